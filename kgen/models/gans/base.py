"""The base class of the generative adversarial networks (GANs): two networks, updated in turn.

A generator G maps noise z to images. A discriminator D maps an image to one number, its logit,
which is high for images that look real. Each has its own loss; a model defines the two criteria:

    discriminator_loss = discriminator_criterion(D(x), D(G(z))) + gradient_penalty
    generator_loss     = generator_criterion(D(G(z)))

Every GAN has the options of this base class. Sources: one-sided label smoothing, Salimans et al.
2016, arXiv:1606.03498; spectral normalisation and residual networks, Miyato et al. 2018,
arXiv:1802.05957; the R1 gradient penalty, Mescheder et al. 2018, arXiv:1801.04406, lazily computed
by Karras et al. 2020, arXiv:1912.04958; minibatch standard deviation, Karras et al. 2017,
arXiv:1710.10196; differentiable augmentation, Zhao et al. 2020, arXiv:2006.10738.
"""

from typing import Annotated, Literal

import keras
import numpy as np
from keras import ops

from kgen import backend
from kgen.bounds import Bounds, Count, Fraction, ImageShape, Layers, Levels, Moves, NoCount, Weight
from kgen.errors import KgenError
from kgen.inference import checked_latents, in_chunks, inference, keras_sampler
from kgen.models.gans import augmentation
from kgen.models.gans.collapse import GANWarnings
from kgen.models.gans.construction import GANNetworks
from kgen.training import ImageModel, preserve_moving_statistics


class GANBase(GANNetworks, ImageModel):
    """Base class of the generative adversarial networks: a generator G and a discriminator D.

    For real images x and noise z ~ N(0, I), both losses are minimised in turn:

        discriminator_loss = discriminator_criterion(D(x), D(G(z))) + gradient_penalty
        generator_loss     = generator_criterion(D(G(z)))

    A subclass defines `discriminator_criterion` and `generator_criterion`.

    Args:
        image_shape: (height, width, channels); not "dense": sides from 8 to 64, 1 or 3 channels.
        levels: values per pixel.
        latent_size: dimensions of the noise z ~ N(0, I).
        architecture: "dense", "conv" or "resnet".
        base_channels: not "dense": channels at half the image's size, doubled at each halving.
        generator_units, discriminator_units: "dense" only: units of each hidden layer.
        critic_steps: updates of D, each with new noise, per update of G.
        ema: decay of an exponential moving average of the generator's weights, used for sampling
            and warmed up over the first steps; 0 turns it off. The weights of `generator` itself
            are those of the last step.
        label_smoothing: one-sided label smoothing: real images get the target 1 - label_smoothing.
        spectral_normalization: whether D's kernels are divided by their largest singular value.
        generator_spectral_normalization: the same of G's kernels but the last.
        r1_weight: weight of the R1 gradient penalty, half the mean squared norm of D's gradient at
            real images.
        r1_every: training steps from one R1 penalty to the next, which counts so many times as
            much (16 in StyleGAN2).
        minibatch_deviation: whether D sees the standard deviation of its features in the batch.
        augment: random changes of the images that D sees, of "translation", "cutout" and "color".
        background: the level of pixels that `augment` fills.

    Metrics: `discriminator_loss` and `generator_loss`; `real_accuracy` and `fake_accuracy`, the
    fractions of real and of generated images that D classifies correctly; `gradient_penalty`,
    which `discriminator_loss` includes. Validation metrics are those of the last weights, not of
    the averaged ones. In validation, too, batch normalisation uses the statistics of each batch:
    D has been trained with these only.

    Attributes:
        generator: G, the trained network: z to images, float32 in [-1, 1].
        discriminator: D: images in [-1, 1] to logits (n, 1).
    """

    metric_names = (
        "discriminator_loss",
        "generator_loss",
        "real_accuracy",
        "fake_accuracy",
        "gradient_penalty",
    )
    players = ("discriminator", "generator")
    averaged = ("generator",)
    has_sampler = True
    decodes = True
    small_arguments = {
        "architecture": "dense",
        "latent_size": 4,
        "generator_units": (16,),
        "discriminator_units": (16,),
    }
    discriminator_saturates = True  # whether G learns little from a D that is always right

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        latent_size: Count = 100,
        architecture: Literal["dense", "conv", "resnet"] = "conv",
        base_channels: Count = 64,
        generator_units: Layers = (128, 256, 512, 1024),
        discriminator_units: Layers = (512, 256, 128, 64, 32),
        critic_steps: Moves = 1,
        label_smoothing: Fraction = 0.0,
        spectral_normalization: bool = False,
        generator_spectral_normalization: bool = False,
        r1_weight: Weight = 0.0,
        r1_every: Moves = 1,
        minibatch_deviation: bool = False,
        augment: Annotated[augmentation.Changes, Bounds(0, 3)] = (),
        background: NoCount = 0,
        **kwargs,
    ):
        super().__init__(image_shape, levels, **kwargs)
        self.latent_size = latent_size
        self.architecture = architecture
        self.base_channels = base_channels
        self.generator_units = generator_units
        self.discriminator_units = discriminator_units
        self.critic_steps = critic_steps
        self.label_smoothing = label_smoothing
        self.spectral_normalization = spectral_normalization
        self.generator_spectral_normalization = generator_spectral_normalization
        self.r1_weight, self.r1_every = r1_weight, r1_every
        self.minibatch_deviation = minibatch_deviation
        self.augment, self.background = augment, background
        self.check_shape()
        self._check_background()
        self.generator, self.discriminator = self.build_generator(), self.build_discriminator()
        if self.is_lazy:
            settings = {"shape": (), "trainable": False, "initializer": "ones"}
            self.r1_is_due = self.add_weight(dtype="bool", name="r1_is_due", **settings)

    def _check_background(self):
        if self.background >= self.levels:
            raise KgenError(
                f"Expected a background of 0..{self.levels - 1}, received {self.background}: name "
                "a level of the pixels."
            )

    # === What a subclass defines ===

    def discriminator_criterion(self, real_logits, fake_logits):
        """D's loss, a scalar, from its logits (n, 1) of real and generated images; no penalty."""
        raise NotImplementedError(f"{type(self).__name__} defines no discriminator_criterion.")

    def generator_criterion(self, fake_logits):
        """G's loss, a scalar, from D's logits (n, 1) of generated images."""
        raise NotImplementedError(f"{type(self).__name__} defines no generator_criterion.")

    def decision_boundary(self, real_logits, fake_logits):
        """The decision threshold: D calls an image real above this logit."""
        return 0.0

    def watchers(self):
        return [GANWarnings()]

    def recommended_optimizer(self):
        # For short training: see `dcgan.py`, whose paper has 2e-4.
        rates = {"discriminator": 5e-4, "generator": 1e-3}
        return {player: keras.optimizers.Adam(rate, beta_1=0.5) for player, rate in rates.items()}

    # === Training ===

    def with_condition(self, inputs, condition):
        """The inputs of a network: images or latents, and the condition if there is one."""
        return inputs if condition is None else [inputs, *keras.tree.flatten(condition)]

    def generate(self, count, condition=None, training=False):
        """`count` images G(z) of new noise, float32 (count, height, width, channels) in [-1, 1]."""
        latents = self.normal((count, self.latent_size))
        return self.generator(self.with_condition(latents, condition), training=training)

    def discriminate(self, images, condition=None, training=False):
        """The logits (n, 1) of images in [-1, 1]."""
        return self.discriminator(self.with_condition(images, condition), training=training)

    @property
    def is_lazy(self):
        """Whether the R1 penalty is left out of some steps."""
        return self.r1_weight > 0 and self.r1_every > 1

    def augmented(self, images):
        """Images in [-1, 1] as D sees them: after the random changes of `augment`."""
        if not self.augment:
            return images
        uniform = self.uniform((ops.shape(images)[0], augmentation.DRAWS))
        background = 2.0 * self.background / (self.levels - 1) - 1.0
        return augmentation.augmented(images, uniform, self.augment, background)

    def train_step(self, data):
        images, condition = self.unpack(data)
        due = ops.equal(ops.mod(self.step + 1.0, self.r1_every), 0.0)  # in the next step
        for _ in range(self.critic_steps):
            discriminator_loss, terms = self.minimize(
                self.discriminator_loss, "discriminator", images, condition
            )
            self.after_discriminator_update()
        generator_loss, more = self.minimize(self.generator_loss, "generator", images, condition)
        if self.is_lazy:
            self.r1_is_due.assign(due)
        losses = {"discriminator_loss": discriminator_loss, "generator_loss": generator_loss}
        return self.track(images, **losses, **terms, **more)

    def test_step(self, data):
        images, condition = self.unpack(data)
        with preserve_moving_statistics([self.discriminator, self.generator]):
            discriminator_loss, terms = self.regularized(
                self.discriminator_loss, "discriminator", images, condition
            )
            generator_loss, more = self.regularized(
                self.generator_loss, "generator", images, condition
            )
        losses = {"discriminator_loss": discriminator_loss, "generator_loss": generator_loss}
        return self.track(images, **losses, **terms, **more)

    def discriminator_loss(self, images, condition=None, training=True):
        """D's loss on uint8 `images` and as many generated ones, and {metric: value}."""
        real = self.augmented(self.scale(images))
        fakes = ops.stop_gradient(self.generate(ops.shape(images)[0], condition, training))
        fakes = self.augmented(fakes)
        # Two calls: batch normalisation takes the statistics of real and generated images apart.
        real_logits = self.discriminate(real, condition, training)
        fake_logits = self.discriminate(fakes, condition, training)
        penalty = self.gradient_penalty(real, fakes, condition, training)
        return self.judged(real_logits, fake_logits, penalty)

    def judged(self, real_logits, fake_logits, penalty):
        """D's loss and {metric: value}, from its logits and the gradient penalty."""
        boundary = self.decision_boundary(real_logits, fake_logits)
        terms = {
            "real_accuracy": ops.mean(ops.cast(real_logits > boundary, "float32")),
            "fake_accuracy": ops.mean(ops.cast(fake_logits < boundary, "float32")),
            "gradient_penalty": penalty,
        }
        return self.discriminator_criterion(real_logits, fake_logits) + penalty, terms

    def generator_loss(self, images, condition=None, training=True):
        """G's loss on as many generated images as there are `images`, and {metric: value}."""
        fakes = self.augmented(self.generate(ops.shape(images)[0], condition, training))
        return self.generator_criterion(self.discriminate(fakes, condition, training)), {}

    def gradient_penalty(self, real, fakes, condition, training):
        """The R1 gradient penalty at real images in [-1, 1]: r1_weight / 2 E_x[ |grad D(x)|^2 ]."""
        if not self.r1_weight:
            return ops.zeros(())

        def penalty(training, weight=self.r1_weight):
            squares = self.squared_gradient_norms(real, condition, training)
            return 0.5 * weight * ops.mean(squares)

        if not (self.is_lazy and training):
            return penalty(training)
        # Inside a branch nothing may be assigned, so spectral norms are as the last call left them.
        return backend.cond(
            self.r1_is_due.value,
            lambda: penalty(False, self.r1_weight * self.r1_every),
            lambda: ops.zeros(()),
        )

    def squared_gradient_norms(self, images, condition, training):
        """|grad D(x)|^2 at each image x, (n,); differentiable with respect to D's weights."""

        def logits(images):
            return self.discriminate(images, condition, training)

        return ops.sum(backend.input_gradient(self, logits, images) ** 2, axis=(1, 2, 3))

    def after_discriminator_update(self):
        """Called after each update of D; does nothing unless a subclass overrides it."""

    # === Inference ===

    def sample(self, count=None, condition=None, seed=None):
        """`count` generated images, uint8 (count, height, width, channels).

        Batch normalisation uses its moving statistics. With `ema` the averaged weights are used. A
        conditional model without a condition goes through the classes in turn.
        """
        count, condition = self.to_sample(count, condition, noise=self.latent_size)
        latents = np.random.default_rng(seed).standard_normal((count, self.latent_size), "float32")
        return self.decode(latents, condition)

    def decode(self, latents, condition=None):
        """Images G(z), uint8, of latents z (n, latent_size) drawn from N(0, I)."""
        latents = checked_latents(latents, self.latent_size)
        return in_chunks(self._decode, latents, self.checked_condition(condition, len(latents)))

    def sampler(self):
        """A Keras model of the generator that returns levels; with `ema`, of the averaged weights.

        See `GenerativeModel.sampler`. `generator` itself returns float32 values in [-1, 1].
        """
        return keras_sampler(self, self._images_of)

    @inference
    def _decode(self, latents, condition=None):
        return self._images_of(latents, condition)

    def _images_of(self, latents, condition=None):
        inputs = self.with_condition(latents, condition)
        return self.to_levels(self.generator(inputs, training=False))
