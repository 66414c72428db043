"""Deep convolutional generative adversarial network.

Alec Radford, Luke Metz, Soumith Chintala: Unsupervised Representation Learning with Deep
Convolutional Generative Adversarial Networks. 2015, arXiv:1511.06434.
Loss: Ian Goodfellow et al.: Generative Adversarial Networks. 2014, arXiv:1406.2661.

A generator G maps noise z to images, a discriminator D gives the logit that an image is real. With
s = sigmoid they minimise in turn (non-saturating form, Goodfellow et al., section 3)

    discriminator_loss = E_x[ -log s(D(x)) ] + E_z[ -log(1 - s(D(G(z)))) ]
    generator_loss     = E_z[ -log s(D(G(z))) ]

As in the paper: strided and transposed convolutions and no pooling, batch normalisation except at
G's output and D's input, ReLU in G and LeakyReLU(0.2) in D, tanh output, weights from
N(0, 0.02^2), Adam with rate 0.0002 and beta_1 = 0.5, z of 100 dimensions.

Deviations: z is normal, not uniform; kernels of 4 instead of 5, which overlap evenly at stride 2;
`width` 64 as the paper's D, but G starts from the size reached by halving the image to below 8
instead of from 4x4 with 1024 channels, so that any size from 8x8 to 64x64 works and 28x28 trains
on a CPU.
"""

import math

import keras
import numpy as np
from keras import layers, ops

from kgen.errors import KgenError
from kgen.layers import Conv2D, Doubling, halved_sizes
from kgen.training import GenerativeModel, in_chunks, inference


@keras.saving.register_keras_serializable("kgen")
class DCGAN(GenerativeModel):
    """Deep convolutional generative adversarial network (Radford et al. 2015).

    Args:
        image_shape: (height, width, channels), sides from 8 to 64, 1 or 3 channels.
        levels: values per pixel.
        latent_size: dimensions of the noise z.
        width: channels next to the image; twice as many after each halving.

    Terms: `discriminator_loss`, `generator_loss`, in nats: 1.386 and 0.693 where D cannot tell.
    """

    tracked = ("discriminator_loss", "generator_loss")
    players = ("discriminator", "generator")

    def __init__(
        self,
        image_shape: tuple[int, ...] = (28, 28, 1),
        levels: int = 256,
        latent_size: int = 100,
        width: int = 64,
        **kwargs,
    ):
        super().__init__(image_shape, levels, **kwargs)
        height, breadth, channels = self.image_shape
        if not (min(height, breadth) >= 8 and max(height, breadth) <= 64 and channels in (1, 3)):
            raise KgenError(
                "Expected images from 8x8 to 64x64 with 1 or 3 channels for a DCGAN, received "
                f"{height}x{breadth} with {channels}: resize them (size=, grayscale=)."
            )
        self.latent_size = latent_size
        self.width = width
        self.generator = build_generator(latent_size, self.image_shape, width)
        self.discriminator = build_discriminator(self.image_shape, width)

    def recommended_optimizer(self):
        return {player: keras.optimizers.Adam(2e-4, beta_1=0.5) for player in self.players}

    # === Training ===

    def train_step(self, data):
        images, _ = self.unpack(data)
        discriminator_loss, _ = self.minimize(self.discriminator_loss, "discriminator", images)
        generator_loss, _ = self.minimize(self.generator_loss, "generator", ops.shape(images)[0])
        return self.track(
            images, discriminator_loss=discriminator_loss, generator_loss=generator_loss
        )

    def test_step(self, data):
        images, _ = self.unpack(data)
        discriminator_loss, _ = self.discriminator_loss(images, training=False)
        generator_loss, _ = self.generator_loss(ops.shape(images)[0], training=False)
        return self.track(
            images, discriminator_loss=discriminator_loss, generator_loss=generator_loss
        )

    def discriminator_loss(self, images, training=True):
        # Real and generated images are normalised as batches of their own.
        fakes = ops.stop_gradient(self.generate(ops.shape(images)[0], training))
        real_logits = self.discriminator(self.scale(images), training=training)  # (n, 1)
        fake_logits = self.discriminator(fakes, training=training)
        # softplus(-a) = -log s(a), softplus(a) = -log(1 - s(a))
        loss = ops.mean(ops.softplus(-real_logits)) + ops.mean(ops.softplus(fake_logits))
        return loss, {}

    def generator_loss(self, count, training=True):
        logits = self.discriminator(self.generate(count, training), training=training)
        return ops.mean(ops.softplus(-logits)), {}

    def generate(self, count, training):
        """`count` images in [-1, 1], float32 (count, height, width, channels)."""
        return self.generator(self.normal((count, self.latent_size)), training=training)

    # === Inference ===

    def sample(self, count, seed=None):
        """`count` generated images, uint8; batch normalisation uses its moving statistics."""
        latents = np.random.default_rng(seed).standard_normal((count, self.latent_size), "float32")
        return in_chunks(self._sample, latents)

    @inference
    def _sample(self, latents):
        return self.to_levels(self.generator(latents, training=False))


# === Networks ===


def build_generator(latent_size, image_shape, width):
    sizes = halved_sizes(image_shape)  # [(28, 28), (14, 14), (7, 7)]
    smallest = (*sizes[-1], width * 2 ** (len(sizes) - 2))  # (7, 7, 128)
    network = keras.Sequential([layers.Input((latent_size,))], name="generator")
    network.add(layers.Dense(math.prod(smallest), use_bias=False, kernel_initializer=normal()))
    network.add(layers.Reshape(smallest))
    for level in reversed(range(1, len(sizes))):
        network.add(batch_normalisation())
        network.add(layers.ReLU())
        last = level == 1
        network.add(
            Doubling(
                image_shape[-1] if last else width * 2 ** (level - 2),
                sizes[level - 1],
                use_bias=last,
                activation="tanh" if last else None,
                kernel_initializer=normal(),
                dtype="float32" if last else None,
            )
        )
    return network


def build_discriminator(image_shape, width):
    network = keras.Sequential([layers.Input(image_shape)], name="discriminator")
    for level in range(len(halved_sizes(image_shape)) - 1):
        first = level == 0
        network.add(
            Conv2D(
                width * 2**level,
                4,
                strides=2,
                padding="same",
                use_bias=first,
                kernel_initializer=normal(),
            )
        )
        if not first:
            network.add(batch_normalisation())
        network.add(layers.LeakyReLU(0.2))
    network.add(layers.Flatten())  # (n, 7 * 7 * 128)
    network.add(layers.Dense(1, kernel_initializer=normal(), dtype="float32"))
    return network


def normal():
    return keras.initializers.RandomNormal(0.0, 0.02)


def batch_normalisation():
    # Keras' momentum 0.99 would need hundreds of steps to know the statistics samples need.
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
