"""pix2pix: translation from image to image by a conditional generative adversarial network.

Phillip Isola, Jun-Yan Zhu, Tinghui Zhou, Alexei A. Efros: Image-to-Image Translation with
Conditional Adversarial Networks. 2016, arXiv:1611.07004.

A generator G maps a source image a to a target image b. A discriminator D takes both and returns
one logit for each patch of the target. With s = sigmoid, and means over patches and pixels
(equation 4):

    min over G, max over D of  E[ log s(D(a, b)) ] + E[ log(1 - s(D(a, G(a)))) ]
                               + l1_weight E[ |b - G(a)| ]

L1 alone gives the median of all targets that fit a source, which is blurred. The discriminator
recognises blurred patches as generated. As in the paper: D's loss is halved; G maximises
log s(D(a, G(a))); G is a U-Net, with skip connections from encoder to decoder at each resolution;
Adam with rate 0.0002 and beta_1 = 0.5; kernels from N(0, 0.02).

Deviations: instance normalisation instead of batch normalisation, so that an output depends on its
source alone. For the paper's batches of one image the two are the same in training. No dropout: the
paper uses it as the noise z, at test time too, and finds that outputs hardly vary with it. So G has
no noise here and is deterministic. The U-Net's coarsest size is 2x2, not 1x1, where instance
normalisation would set every value to zero.
"""

from typing import Literal

import keras
from keras import layers, ops

from kgen.bounds import Count, ImageShape, Levels, Weight
from kgen.errors import KgenError
from kgen.inference import in_chunks, inference
from kgen.layers import Conv2D, UpsampleConv, pyramid_sizes
from kgen.spaces import Pixels
from kgen.training import ImageModel

LEAST_SIDE = 8
MOST_TIMES = 8  # channels double at each halving, up to `MOST_TIMES` times `base_channels`
STRIDES = {16: (2, 1), 34: (2, 2, 1), 70: (2, 2, 2, 1)}  # {patch: D's strides but the last}


@keras.saving.register_keras_serializable("kgen")
class Pix2Pix(ImageModel):
    """Image-to-image translation with a conditional GAN (Isola et al. 2016).

    Phillip Isola et al.: Image-to-Image Translation with Conditional Adversarial Networks. 2016,
    arXiv:1611.07004. For sources a and targets b, with s = sigmoid (equation 4):

        min over G, max over D of  E[ log s(D(a, b)) ] + E[ log(1 - s(D(a, G(a)))) ]
                                   + l1_weight E[ |b - G(a)| ]

    `fit(targets, sources)` trains the model, `sample(condition=sources)` translates. G is
    deterministic: equal sources give equal samples for all seeds.

    Args:
        image_shape: (height, width, channels) of the targets, sides from 8.
        levels: values per pixel of the targets.
        source_shape: (height, width, channels) of the sources, of the targets' height and width.
        source_levels: values per pixel of the sources.
        base_channels: channels after the first halving; doubled at each further one, up to 8 times.
        patch: receptive field of each logit of D: a square of so many pixels a side.
        l1_weight: weight in G's loss of the mean absolute difference of generated and true targets.
        adversarial_weight: weight in G's loss of -log s(D(a, G(a))); 0 trains the U-Net by L1
            alone. D is trained all the same.
        kwargs: see `GenerativeModel`.

    Metrics: `discriminator_loss` and `generator_loss`, in nats; `l1`, the mean absolute difference
    of values in [-1, 1]; `real_accuracy` and `fake_accuracy`, the fractions of patches of true and
    of generated targets that D classifies correctly. Where D cannot tell them apart,
    `discriminator_loss` is 0.693 and `generator_loss` is 0.693 plus `l1_weight` times `l1`.

    Attributes:
        generator: G: sources to targets, float32 in [-1, 1].
        discriminator: D: [sources, targets] to logits (n, rows, columns, 1).
    """

    metric_names = ("discriminator_loss", "generator_loss", "l1", "real_accuracy", "fake_accuracy")
    players = ("discriminator", "generator")
    averaged = ("generator",)
    conditional = True
    stochastic = False
    small_arguments = {
        "source_shape": (8, 8, 1),
        "source_levels": 2,
        "base_channels": 4,
        "patch": 16,
    }

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        source_shape: ImageShape = (28, 28, 1),
        source_levels: Levels = 256,
        base_channels: Count = 64,
        patch: Literal[16, 34, 70] = 34,
        l1_weight: Weight = 100.0,
        adversarial_weight: Weight = 1.0,
        **kwargs,
    ):
        self.source_shape, self.source_levels = source_shape, source_levels
        super().__init__(image_shape, levels, **kwargs)
        self.base_channels = base_channels
        self.patch = patch
        self.l1_weight = l1_weight
        self.adversarial_weight = adversarial_weight
        self._check_arguments()
        self.generator = u_net(source_shape, image_shape, base_channels)
        self.discriminator = patch_discriminator(source_shape, image_shape, base_channels, patch)

    def _check_arguments(self):
        if self.source_shape[:2] != self.image_shape[:2] or min(self.image_shape[:2]) < LEAST_SIDE:
            raise KgenError(
                f"Expected sources and targets of one height and width, from {LEAST_SIDE} each, "
                f"received shapes {self.source_shape} and {self.image_shape}: resize them."
            )
        if not self.l1_weight and not self.adversarial_weight:
            raise KgenError(
                "Expected l1_weight or adversarial_weight above 0, received 0 for both: raise one."
            )

    @property
    def condition_space(self):
        return Pixels(self.source_shape, self.source_levels)

    def recommended_optimizer(self):
        return {player: keras.optimizers.Adam(2e-4, beta_1=0.5) for player in self.players}

    def scale_sources(self, sources):
        """Sources 0..source_levels-1 as float32 in [-1, 1]."""
        return ops.cast(sources, "float32") * (2.0 / (self.source_levels - 1)) - 1.0

    # === Training ===

    def train_step(self, data):
        targets, sources = self.unpack(data)
        pairs = self.scale(targets), self.scale_sources(sources)
        discriminator_loss, seen = self.minimize(self.discriminator_loss, "discriminator", *pairs)
        generator_loss, terms = self.minimize(self.generator_loss, "generator", *pairs)
        losses = {"discriminator_loss": discriminator_loss, "generator_loss": generator_loss}
        return self.track(targets, **losses, **seen, **terms)

    def test_step(self, data):
        targets, sources = self.unpack(data)
        pairs = self.scale(targets), self.scale_sources(sources)
        discriminator_loss, seen = self.regularized(
            self.discriminator_loss, "discriminator", *pairs
        )
        generator_loss, terms = self.regularized(self.generator_loss, "generator", *pairs)
        losses = {"discriminator_loss": discriminator_loss, "generator_loss": generator_loss}
        return self.track(targets, **losses, **seen, **terms)

    def discriminator_loss(self, targets, sources):
        """Half the sum of the cross-entropies of true and generated targets; images in [-1, 1]."""
        fakes = ops.stop_gradient(self.generator(sources))
        real_logits = self.discriminator([sources, targets])
        fake_logits = self.discriminator([sources, fakes])
        terms = {
            "real_accuracy": ops.mean(ops.cast(real_logits > 0, "float32")),
            "fake_accuracy": ops.mean(ops.cast(fake_logits < 0, "float32")),
        }
        # softplus(-a) = -log s(a), softplus(a) = -log(1 - s(a))
        entropies = ops.mean(ops.softplus(-real_logits)) + ops.mean(ops.softplus(fake_logits))
        return 0.5 * entropies, terms

    def generator_loss(self, targets, sources):
        """The weighted sum of L1 and -log s(D(a, G(a))); images in [-1, 1]."""
        fakes = self.generator(sources)
        l1 = ops.mean(ops.abs(targets - fakes))
        loss = self.l1_weight * l1
        if self.adversarial_weight:
            logits = self.discriminator([sources, fakes])
            loss = loss + self.adversarial_weight * ops.mean(ops.softplus(-logits))
        return loss, {"l1": l1}

    # === Inference ===

    def sample(self, count=None, condition=None, seed=None):
        """Targets G(a), uint8, of the sources a given as `condition`; equal for all seeds."""
        _, sources = self.to_sample(count, condition, noise=0)
        return in_chunks(self._translated, sources)

    @inference
    def _translated(self, sources):
        return self.to_levels(self.generator(self.scale_sources(sources)))


def u_net(source_shape, image_shape, base_channels):
    """The generator: halvings down to a side of 2, as many doublings, and skip connections."""
    sizes = pyramid_sizes(image_shape, below=3)  # [(28, 28), (14, 14), (7, 7), (4, 4), (2, 2)]
    inputs, skips = layers.Input(source_shape), []
    x = inputs
    for level in range(len(sizes) - 1):
        skips.append(x)
        # As in the paper, the first and the last convolution are not normalised.
        normalise = 0 < level < len(sizes) - 2
        x = convolution(channels_at(level, base_channels), 2, normalise)(x)
        x = instance_normalisation()(x) if normalise else x
        x = layers.LeakyReLU(0.2)(x)
    for level in reversed(range(1, len(sizes) - 1)):
        filters, kernels = channels_at(level - 1, base_channels), normal()
        x = UpsampleConv(filters, sizes[level], use_bias=False, kernel_initializer=kernels)(x)
        x = layers.ReLU()(instance_normalisation()(x))
        x = layers.Concatenate()([x, skips[level]])
    last = {"activation": "tanh", "kernel_initializer": normal(), "dtype": "float32"}
    return keras.Model(inputs, UpsampleConv(image_shape[-1], sizes[0], **last)(x), name="generator")


def patch_discriminator(source_shape, image_shape, base_channels, patch):
    """The discriminator: 4x4 convolutions; each logit sees `patch` x `patch` pixels."""
    inputs = [layers.Input(source_shape), layers.Input(image_shape)]
    x = layers.Concatenate()(inputs)
    for level, strides in enumerate(STRIDES[patch]):
        x = convolution(channels_at(level, base_channels), strides, normalise=level > 0)(x)
        x = instance_normalisation()(x) if level > 0 else x
        x = layers.LeakyReLU(0.2)(x)
    last = {"padding": "same", "kernel_initializer": normal(), "dtype": "float32"}
    return keras.Model(inputs, Conv2D(1, 4, **last)(x), name="discriminator")


def channels_at(level, base_channels):
    """Channels after halving number `level`, counted from 0."""
    return base_channels * min(2**level, MOST_TIMES)


def convolution(filters, strides, normalise):
    """A 4x4 convolution; without a bias where normalisation follows, which would remove it."""
    settings = {"padding": "same", "kernel_initializer": normal()}
    return Conv2D(filters, 4, strides=strides, use_bias=not normalise, **settings)


def normal():
    """The paper's initial weights, N(0, 0.02^2)."""
    return keras.initializers.RandomNormal(0.0, 0.02)


def instance_normalisation():
    """Instance normalisation: statistics of one channel of one image."""
    return layers.GroupNormalization(groups=-1, epsilon=1e-5)
