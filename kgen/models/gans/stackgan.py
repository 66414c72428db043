"""StackGAN: text to image in two stages.

Han Zhang, Tao Xu, Hongsheng Li, Shaoting Zhang, Xiaogang Wang, Xiaolei Huang, Dimitris Metaxas:
StackGAN: Text to Photo-realistic Image Synthesis with Stacked Generative Adversarial Networks.
2017, arXiv:1612.03242.

Stage I is a matching-aware GAN (`text_to_image_gan.py`) of small images. Stage II makes the large
image of a small one and the caption's vector t. In both, the generator is not given t itself, but a
draw (conditioning augmentation, section 3.2)

    c ~ q(c|t) = N(mean(t), variance(t)),   generator_loss + w KL( q(c|t) || N(0, I) )

which makes captions near each other overlap. As in the authors' code, the KL is the mean over
images and dimensions, with w = 2, and the discriminator of stage II has two logits, a with the
caption and b without. With t' another image's caption and s = sigmoid (means over images):

    discriminator_loss = -[ log s(a(x, t)) + log s(b(x)) ] / 2
        - [ log(1 - s(a(x, t'))) + log(1 - s(a(G, t))) + log(1 - s(b(G))) ] / 3
    generator_loss     = -log s(a(G, t)) - log s(b(G)) + w KL

Deviations: the text encoder learns beside the discriminator of stage I and then stays. In both
stages the discriminator learns to match images and captions, too. Captions t' have other words (the
authors take the next image's). In stage II, stage I's generator is frozen as in the paper, with the
moving statistics. Sizes are for a CPU. The noise is one vector: of stage II's c, of stage I's, z.
"""

import keras
import numpy as np
from keras import layers, ops

from kgen.bounds import Count, Fraction, ImageShape, Levels, Repeats, Scales, Weight, Words
from kgen.data import Split
from kgen.distributions import normal_kl_between
from kgen.errors import KgenError
from kgen.inference import in_chunks, inference
from kgen.layers import UpsampleConv, pyramid_sizes
from kgen.models.gans import networks
from kgen.models.gans.text_networks import block, doubled, joined, logit, residual
from kgen.models.gans.text_to_image_gan import TextToImageGAN

ROWS = 1000  # images whose small versions are computed at a time


class Augmented(TextToImageGAN):
    """Base class of both stages: generators given draws of N(mean(t), variance(t))."""

    averaged = ("augmentation", "generator")

    def __init__(
        self, image_shape, levels, *, condition_size, conditioning_weight, latent_size, **kwargs
    ):
        self.condition_size, self.conditioning_weight = condition_size, conditioning_weight
        super().__init__(image_shape, levels, latent_size=latent_size, **kwargs)

    def build_augmentation(self):
        self.augmentation = layers.Dense(2 * self.condition_size, dtype="float32")
        self.augmentation.build((None, self.text_size))

    def augmented(self, text, noise):
        """A draw c (n, condition_size) for captions' vectors, and its weighted KL, a scalar."""
        mean, log_variance = ops.split(self.augmentation(text), 2, axis=-1)
        kl = ops.mean(normal_kl_between(mean, log_variance, 0.0, 0.0))
        return mean + ops.exp(0.5 * log_variance) * noise, self.conditioning_weight * kl

    def generated(self, latents, text, training=False):
        noise, latents = latents[:, : self.condition_size], latents[:, self.condition_size :]
        condition, penalty = self.augmented(text, noise)
        return self.generator([self.source(latents, text), condition], training=training), penalty

    def source(self, latents, text):
        """The generator's input beside the condition."""
        return latents


@keras.saving.register_keras_serializable("kgen")
class StageI(Augmented):
    """Stage I of a StackGAN: a matching-aware GAN with conditioning augmentation."""

    players = {
        "discriminator": ("caption_encoder", "image_encoder", "discriminator"),
        "generator": ("augmentation", "generator"),
    }

    def build_text_networks(self):
        super().build_text_networks()
        self.build_augmentation()

    def build_generator(self):
        size = self.latent_size - self.condition_size
        settings = {"conditional": False, "spectral": self.generator_spectral_normalization}
        chain = networks.convolutional_generator(self.image_shape, self.base_channels, **settings)
        network = networks.network(chain, (self.latent_size,), "images")
        latents, condition = layers.Input((size,)), layers.Input((self.condition_size,))
        images = network(layers.Concatenate()([latents, condition]))
        return keras.Model([latents, condition], images, name="small_generator")


@keras.saving.register_keras_serializable("kgen")
class StackGAN(Augmented):
    """Text to image in two stages (Zhang et al. 2017); `kgen.fit` trains both in turn.

    Han Zhang et al.: StackGAN: Text to Photo-realistic Image Synthesis with Stacked Generative
    Adversarial Networks. 2017, arXiv:1612.03242. Both generators are given a draw c for the
    caption's vector t (section 3.2), with the loss w KL( q(c|t) || N(0, I) ):

        c ~ q(c|t) = N(mean(t), variance(t))

    Stage I, the model `first`, makes small images of z and c, stage II large ones of these and
    another c. In Python, train `first` on `model.small(images)` before `model.fit`.

    Args:
        image_shape: (height, width, channels), sides from 16 to 64, 1 or 3 channels.
        levels: values per pixel.
        words: that captions consist of.
        length: most words of a caption.
        halvings: from images of stage II to those of stage I; with 2, 64x64 becomes 16x16.
        latent_size: dimensions of the noise: `condition_size` for each c, the rest z.
        condition_size: dimensions of c.
        conditioning_weight: w; the KL is the mean over images and dimensions.
        base_channels: of stage I, see `GANBase`; stage II has as many at full resolution.
        residual_blocks: of stage II's generator.
        interpolation, ema, kwargs: of both stages, see `TextToImageGAN`.

    Metrics of each stage: see `TextToImageGAN`; accuracies are those of the logit with the caption.

    Attributes:
        first: stage I, whose `caption_encoder` stage II uses, too.
        generator: [small images in [-1, 1], c] to large images.
        discriminator: [images, vectors] to logits with and without caption, (n, 1) each.
    """

    players = StageI.players | {"discriminator": ("image_encoder", "discriminator")}
    small_arguments = {
        **{"image_shape": (16, 16, 1), "words": tuple("abcdefgh"), "length": 5, "text_size": 8},
        **{"halvings": 1, "latent_size": 9, "condition_size": 3, "base_channels": 4},
    }

    def __init__(
        self,
        image_shape: ImageShape = (64, 64, 3),
        levels: Levels = 256,
        *,
        words: Words,
        length: Count,
        halvings: Scales = 1,
        latent_size: Count = 128,
        condition_size: Count = 32,
        conditioning_weight: Weight = 2.0,
        base_channels: Count = 32,
        residual_blocks: Repeats = 2,
        interpolation: Weight = 0.0,
        ema: Fraction = 0.0,
        **kwargs,
    ):
        self.halvings, self.residual_blocks = halvings, residual_blocks
        self.small_shape = self._checked_shape(image_shape, halvings)
        if latent_size <= 2 * condition_size:
            raise KgenError(
                f"Expected latent_size above twice condition_size, received {latent_size} and "
                f"{condition_size}: choose such numbers."
            )
        shared = {"words": words, "length": length, "condition_size": condition_size}
        shared |= {"conditioning_weight": conditioning_weight, "base_channels": base_channels}
        shared |= {"interpolation": interpolation, "ema": ema, **kwargs}
        super().__init__(image_shape, levels, latent_size=latent_size, **shared)
        shared |= {"latent_size": latent_size - condition_size, "name": None}
        self.first = StageI(self.small_shape, levels, **shared)

    @staticmethod
    def _checked_shape(image_shape, halvings):
        *size, channels = image_shape
        times = 2**halvings
        if any(side % times or side // times < 8 for side in size):
            raise KgenError(
                f"Expected images whose sides can be halved {halvings} times, to 8 or more, "
                f"received {size[0]}x{size[1]}: resize them, or choose other halvings."
            )
        return (*(side // times for side in size), channels)

    def stages(self):
        return [
            ("small", self.first, lambda split: Split(self.small(split.x), split.condition)),
            ("large", self, lambda split: split),
        ]

    def small(self, images):
        """Images of stage I: means over squares of pixels, rounded; KgenError for other images."""
        rows, columns, channels = self.small_shape
        times = 2**self.halvings

        def shrunk(images):
            squares = images.reshape(len(images), rows, times, columns, times, channels)
            return np.rint(squares.mean(axis=(2, 4))).astype(images.dtype)

        return in_chunks(shrunk, self.checked_items(images), size=ROWS)

    # === Networks ===

    def build_text_networks(self):
        self.build_augmentation()

    def build_generator(self):
        """Small images are halved, joined with c at each place, and doubled to large ones."""
        images, condition = layers.Input(self.small_shape), layers.Input((self.condition_size,))
        sizes = pyramid_sizes(self.image_shape, below=2)[: self.halvings + 2]
        channels = self.base_channels * 2 ** (self.halvings + 1)
        x = block(channels // 2, 3, 1, layers.ReLU(), normalisation=None)(images)
        x = block(channels, 4, 2, layers.ReLU())(x)
        x = block(channels, 3, 1, layers.ReLU())(joined(x, condition))
        for _ in range(self.residual_blocks):
            x = residual(x)
        for level in reversed(range(1, self.halvings + 1)):
            x = doubled(x, self.base_channels * 2**level, sizes[level])
        last = {"activation": "tanh", "kernel_initializer": networks.normal(), "dtype": "float32"}
        x = UpsampleConv(self.image_shape[-1], sizes[0], **last)(x)
        return keras.Model([images, condition], x, name="generator")

    def build_discriminator(self):
        images, text = layers.Input(self.image_shape), layers.Input((self.text_size,))
        features = self.features(images)
        self.image_encoder = self.encoder_of(images, features)
        parts = [self.matched(features, text), features]
        logits = [logit(part, self.spectral_normalization) for part in parts]
        return keras.Model([images, text], logits, name="discriminator")

    def text_of(self, captions):
        return ops.stop_gradient(self.first.text_of(captions))

    def source(self, latents, text):
        return ops.stop_gradient(self.first.generated(latents, text)[0])

    # === Inference ===

    def sample_in_stages(self, count=None, condition=None, seed=None):
        """The images of `sample`, each behind the image of stage I that it is made of.

        Returns:
            uint8 (count, 2, height, width, channels); pixels of small images are repeated.
        """
        count, condition = self.to_sample(count, condition, noise=self.latent_size)
        latents = np.random.default_rng(seed).standard_normal((count, self.latent_size), "float32")
        large = self.decode(latents, condition)
        small = in_chunks(self._small, latents, condition)
        small = small.repeat(2**self.halvings, axis=1).repeat(2**self.halvings, axis=2)
        return np.stack([small, large], axis=1)

    @inference
    def _small(self, latents, condition):
        latents = latents[:, self.condition_size :]
        return self.to_levels(self.first.generated(latents, self.text_of(condition))[0])
