"""The base class of the generative adversarial networks (GANs): two networks, updated in turn.

A generator G maps noise z to images. A discriminator D maps an image to one number, its logit,
which is high for images that look real. Each has its own loss; a model defines the two criteria:

    discriminator_loss = discriminator_criterion(D(x), D(G(z))) + gradient_penalty
    generator_loss     = generator_criterion(D(G(z)))

Every GAN has the options of this base class. Sources: one-sided label smoothing, Salimans et al.
2016, arXiv:1606.03498; spectral normalisation, Miyato et al. 2018, arXiv:1802.05957; the R1
gradient penalty, Mescheder et al. 2018, arXiv:1801.04406.
"""

from typing import Literal

import keras
import numpy as np
from keras import ops

from kgen import backend
from kgen.bounds import Count, Fraction, ImageShape, Layers, Levels, Moves, Weight
from kgen.errors import KgenError
from kgen.inference import in_chunks, inference, keras_sampler
from kgen.models.gans import networks
from kgen.models.gans.collapse import GANWarnings
from kgen.training import ImageModel, preserve_moving_statistics


class GANBase(ImageModel):
    """Base class of the generative adversarial networks: a generator G and a discriminator D.

    For real images x and noise z ~ N(0, I), both losses are minimised in turn:

        discriminator_loss = discriminator_criterion(D(x), D(G(z))) + gradient_penalty
        generator_loss     = generator_criterion(D(G(z)))

    A subclass defines `discriminator_criterion` and `generator_criterion`.

    Args:
        image_shape: (height, width, channels); "conv": sides from 8 to 64, 1 or 3 channels.
        levels: values per pixel.
        latent_size: dimensions of the noise z ~ N(0, I).
        architecture: "dense" or "conv".
        base_channels: "conv" only: channels at half the image's size, doubled at each halving.
        generator_units, discriminator_units: "dense" only: units of each hidden layer.
        critic_steps: updates of D, each with new noise, per update of G.
        ema: decay of an exponential moving average of the generator's weights, used for sampling
            and warmed up over the first steps; 0 turns it off. The weights of `generator` itself
            are those of the last step.
        label_smoothing: one-sided label smoothing: real images get the target 1 - label_smoothing.
        spectral_normalization: whether D's kernels are divided by their largest singular value.
        r1_weight: weight of the R1 gradient penalty, half the mean squared norm of D's gradient at
            real images.

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
    batch_normalised_discriminator = True  # "conv" only
    discriminator_has_bias = True  # whether the layer that gives the logit has a bias
    discriminator_saturates = True  # whether G learns little from a D that is always right

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        latent_size: Count = 100,
        architecture: Literal["dense", "conv"] = "conv",
        base_channels: Count = 64,
        generator_units: Layers = (128, 256, 512, 1024),
        discriminator_units: Layers = (512, 256, 128, 64, 32),
        critic_steps: Moves = 1,
        label_smoothing: Fraction = 0.0,
        spectral_normalization: bool = False,
        r1_weight: Weight = 0.0,
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
        self.r1_weight = r1_weight
        self._check_shape()
        self.generator, self.discriminator = self.build_generator(), self.build_discriminator()

    def _check_shape(self):
        height, width, channels = self.image_shape
        fits = min(height, width) >= 8 and max(height, width) <= 64 and channels in (1, 3)
        if self.architecture == "conv" and not fits:
            raise KgenError(
                "Expected images from 8x8 to 64x64 with 1 or 3 channels for architecture 'conv', "
                f"received {height}x{width} with {channels}: resize them (size=, mode=), or "
                "use 'dense'."
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
        return {player: keras.optimizers.Adam(2e-4, beta_1=0.5) for player in self.players}

    # === Networks ===

    def build_generator(self, further_latents=0):
        latents = self.latent_size + further_latents
        if self.architecture == "dense":
            return networks.dense_generator(latents, self.image_shape, self.generator_units)
        return networks.convolutional_generator(latents, self.image_shape, self.base_channels)

    def build_discriminator(self, further_channels=0):
        height, width, channels = self.image_shape
        inputs = (height, width, channels + further_channels)
        spectral, use_bias = self.spectral_normalization, self.discriminator_has_bias
        if self.architecture == "dense":
            return networks.dense_discriminator(
                inputs, self.discriminator_units, spectral, use_bias
            )
        # R1 and spectral normalisation constrain the map from one image to its logit; batch
        # normalisation would make that map depend on the batch, so it is left out.
        normalised = self.batch_normalised_discriminator and not (self.r1_weight or spectral)
        return networks.convolutional_discriminator(
            inputs, self.base_channels, normalised, spectral, use_bias
        )

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

    # === Training ===

    def train_step(self, data):
        images, condition = self.unpack(data)
        for _ in range(self.critic_steps):
            discriminator_loss, terms = self.minimize(
                self.discriminator_loss, "discriminator", images, condition
            )
            self.after_discriminator_update()
        generator_loss, _ = self.minimize(self.generator_loss, "generator", images, condition)
        losses = {"discriminator_loss": discriminator_loss, "generator_loss": generator_loss}
        return self.track(images, **losses, **terms)

    def test_step(self, data):
        images, condition = self.unpack(data)
        with preserve_moving_statistics([self.discriminator, self.generator]):
            discriminator_loss, terms = self.regularized(
                self.discriminator_loss, "discriminator", images, condition
            )
            generator_loss, _ = self.regularized(
                self.generator_loss, "generator", images, condition
            )
        losses = {"discriminator_loss": discriminator_loss, "generator_loss": generator_loss}
        return self.track(images, **losses, **terms)

    def discriminator_loss(self, images, condition=None, training=True):
        """D's loss on uint8 `images` and as many generated ones, and {metric: value}."""
        real = self.scale(images)
        fakes = ops.stop_gradient(self.generate(ops.shape(images)[0], condition, training))
        # Two calls: batch normalisation takes the statistics of real and generated images apart.
        real_logits = self.discriminate(real, condition, training)
        fake_logits = self.discriminate(fakes, condition, training)
        penalty = self.gradient_penalty(real, fakes, condition, training)
        boundary = self.decision_boundary(real_logits, fake_logits)
        terms = {
            "real_accuracy": ops.mean(ops.cast(real_logits > boundary, "float32")),
            "fake_accuracy": ops.mean(ops.cast(fake_logits < boundary, "float32")),
            "gradient_penalty": penalty,
        }
        return self.discriminator_criterion(real_logits, fake_logits) + penalty, terms

    def generator_loss(self, images, condition=None, training=True):
        """G's loss on as many generated images as there are `images`, and {metric: value}."""
        fakes = self.generate(ops.shape(images)[0], condition, training)
        return self.generator_criterion(self.discriminate(fakes, condition, training)), {}

    def gradient_penalty(self, real, fakes, condition, training):
        """The R1 gradient penalty at real images in [-1, 1]: r1_weight / 2 E_x[ |grad D(x)|^2 ]."""
        if not self.r1_weight:
            return ops.zeros(())
        return (
            0.5 * self.r1_weight * ops.mean(self.squared_gradient_norms(real, condition, training))
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
        latents = np.asarray(latents, "float32")
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
