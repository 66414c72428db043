"""Autoencoder.

Geoffrey Hinton, Ruslan Salakhutdinov: Reducing the Dimensionality of Data with Neural Networks.
Science 313, 2006, doi:10.1126/science.1127647.

An encoder maps an image x to a short code z. A decoder maps z to p(x|z), a distribution of
independent pixels. Training minimises the negative log-likelihood of x given its code:

    loss = E_x[ -log p(x | z = encoder(x)) ]

The model has no distribution of codes, so it cannot draw new images. The variational autoencoder
adds one (`vae.py`, which builds on this file).

Deviations: trained end to end from random weights, by Adam and with ReLU, instead of layer by layer
as restricted Boltzmann machines; `architecture="conv"` is ours.
"""

import math
from typing import Literal

import keras
from keras import layers, ops

from kgen.bounds import Count, ImageShape, Layers, Levels
from kgen.capabilities import names_with
from kgen.distributions import pixel_distribution
from kgen.errors import KgenError
from kgen.inference import checked_latents, in_chunks, inference
from kgen.layers import Conv2D, UpsampleConv, pyramid_sizes
from kgen.training import ImageModel


@keras.saving.register_keras_serializable("kgen")
class Autoencoder(ImageModel):
    """Autoencoder (Hinton & Salakhutdinov 2006).

    Geoffrey Hinton, Ruslan Salakhutdinov: Reducing the Dimensionality of Data with Neural Networks.
    2006, doi:10.1126/science.1127647. For an image x with code z = encoder(x):

        loss = E_x[ -log p(x | z = encoder(x)) ]

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel; Bernoulli pixels for 2, else discretised logistic ones.
        latent_size: dimensions of the code z.
        hidden: units of each hidden layer of the dense encoder; mirrored in the decoder.
        architecture: "dense", or "conv" for strided convolutions.
        base_channels: "conv" only: channels of the first convolution, doubled at each further one.

    Metrics: `loss`, the negative log-likelihood given the code, in nats per image.
    """

    encodes = True
    decodes = True
    can_sample = False
    small_arguments = {"latent_size": 4, "hidden": (16,)}
    outputs_per_latent = 1  # outputs of the encoder per dimension of z

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        latent_size: Count = 20,
        hidden: Layers = (500,),
        architecture: Literal["dense", "conv"] = "dense",
        base_channels: Count = 32,
        **kwargs,
    ):
        super().__init__(image_shape, levels, **kwargs)
        self.latent_size = latent_size
        self.hidden = hidden
        self.architecture = architecture
        self.base_channels = base_channels
        self.likelihood_distribution = pixel_distribution(levels)
        rows, columns, _ = self.image_shape
        if architecture == "conv" and min(rows, columns) < 8:
            raise KgenError(
                "Expected images from 8x8 for architecture 'conv', received "
                f"{rows}x{columns}: use 'dense'."
            )
        self.build_networks()

    def build_networks(self, further_channels=0, further_latents=0):
        """Build encoder and decoder, with further input channels and latents for a condition."""
        *size, channels = self.image_shape
        inputs = (*size, channels + further_channels)
        latents = self.latent_size + further_latents
        codes = self.outputs_per_latent * self.latent_size
        outputs = (*size, channels * self.likelihood_distribution.parameters_per_value)
        if self.architecture == "conv":
            self.encoder = convolutional_encoder(inputs, self.base_channels, codes)
            self.decoder = convolutional_decoder(latents, self.base_channels, outputs)
        else:
            self.encoder = dense_encoder(inputs, self.hidden, codes)
            self.decoder = dense_decoder(latents, self.hidden, outputs)

    def recommended_optimizer(self):
        # Cosine decay to a tenth; why: benchmarks/records/autoencoder-tuning.md.
        rate = keras.optimizers.schedules.CosineDecay(1.5e-3, decay_steps=8000, alpha=0.1)
        return keras.optimizers.Adam(rate)

    # === Training ===

    def objective(self, images, condition, training):
        latents = self.apply_encoder(images, condition, training)  # (n, latent_size)
        parameters = self.apply_decoder(latents, condition, training)
        return -ops.mean(self.likelihood_distribution.log_prob(images, parameters)), {}

    def apply_encoder(self, images, condition=None, training=False):
        """The encoder's outputs for uint8 images: (n, outputs_per_latent * latent_size)."""
        return self.encoder(self.brightness(images), training=training)

    def brightness(self, images):
        """The encoder's input: levels 0..levels-1 as float32 in [0, 1].

        Not in [-1, 1], where a black background makes most hidden ReLUs die
        (benchmarks/records/autoencoder-tuning.md).
        """
        return ops.cast(images, "float32") * (1.0 / (self.levels - 1))

    def apply_decoder(self, latents, condition=None, training=False):
        """The parameters of p(x|z), as `self.likelihood_distribution` takes them."""
        return self.decoder(latents, training=training)

    # === Inference ===

    def encode(self, images, condition=None):
        """The codes of uint8 images, float32 (n, latent_size)."""
        images = self.checked_items(images)
        return in_chunks(self._encode, images, self.checked_condition(condition, len(images)))

    def latents(self, images, condition=None):
        """One point of the latent space per image, float32 (n, latent_size)."""
        return self.encode(images, condition)

    def decode(self, latents, condition=None):
        """The median of p(x|z), uint8 images (n, height, width, channels)."""
        latents = checked_latents(latents, self.latent_size)
        return in_chunks(self._decode, latents, self.checked_condition(condition, len(latents)))

    def reconstruct(self, images, condition=None):
        """Encode and decode uint8 images; returns uint8 images of the same shape."""
        return self.decode(self.latents(images, condition), condition)

    def sample(self, count=None, condition=None, seed=None):
        raise KgenError(
            f"{type(self).__name__} cannot sample: it learns no distribution of latents to draw "
            f"from. Take one of {names_with('can_sample')}, or decode latents of your own: "
            "model.decode(latents)."
        )

    @inference
    def _encode(self, images, condition=None):
        return self.apply_encoder(images, condition)

    def _images_of(self, latents, condition=None):
        return self.likelihood_distribution.median(self.apply_decoder(latents, condition))

    @inference
    def _decode(self, latents, condition=None):
        return self._images_of(latents, condition)


# === Networks ===
# The last layers compute in float32 under any dtype policy: a likelihood is a difference of large
# numbers.


def dense_encoder(image_shape, hidden, outputs):
    """Images to (n, outputs): dense ReLU layers."""
    return keras.Sequential(
        [
            layers.Input(image_shape),
            layers.Flatten(),
            *[layers.Dense(units, "relu") for units in hidden],
            layers.Dense(outputs, dtype="float32"),
        ],
        name="encoder",
    )


def dense_decoder(latent_size, hidden, output_shape):
    """Latents to (n, *output_shape): dense ReLU layers, mirrored."""
    return keras.Sequential(
        [
            layers.Input((latent_size,)),
            *[layers.Dense(units, "relu") for units in reversed(hidden)],
            layers.Dense(math.prod(output_shape), dtype="float32"),
            layers.Reshape(output_shape, dtype="float32"),
        ],
        name="decoder",
    )


def convolutional_encoder(image_shape, base_channels, outputs):
    """Images to (n, outputs): strided convolutions, then one dense layer."""
    depth = len(pyramid_sizes(image_shape)) - 1
    return keras.Sequential(
        [
            layers.Input(image_shape),
            *[
                Conv2D(base_channels * 2**level, 4, strides=2, padding="same", activation="relu")
                for level in range(depth)
            ],
            layers.Flatten(),
            layers.Dense(outputs, dtype="float32"),
        ],
        name="encoder",
    )


def convolutional_decoder(latent_size, base_channels, output_shape):
    """Latents to (n, *output_shape): one dense layer, then transposed convolutions."""
    sizes = pyramid_sizes(output_shape)  # [(28, 28), (14, 14), (7, 7)]
    smallest = (*sizes[-1], base_channels * 2 ** (len(sizes) - 2))  # (7, 7, 64)
    network = keras.Sequential([layers.Input((latent_size,))], name="decoder")
    network.add(layers.Dense(math.prod(smallest), "relu"))
    network.add(layers.Reshape(smallest))
    for level in reversed(range(1, len(sizes) - 1)):
        network.add(UpsampleConv(base_channels * 2 ** (level - 1), sizes[level], activation="relu"))
    network.add(UpsampleConv(output_shape[-1], sizes[0], dtype="float32"))
    return network
