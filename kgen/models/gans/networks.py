"""The networks of the GANs: generators and discriminators, dense, convolutional or residual.

Generators return images in [-1, 1], discriminators one logit per image. Both outputs are float32
under any dtype policy.
"""

import math

import keras
from keras import layers

from kgen.layers import Conv2D, MinibatchDeviation, SumPooling, UpsampleConv, pyramid_sizes
from kgen.models.gans.blocks import (
    ResidualDown,
    ResidualUp,
    batch_normalisation,
    linear,
    normal,
)


def network(chain, shape, name):
    """A `keras.Sequential` of the layers `chain` for inputs of `shape`."""
    return keras.Sequential([layers.Input(shape), *chain], name=name)


def conditioned(chain, inputs, vectors):
    """The output of the layers `chain` on `inputs`; the conditional ones are given the vectors."""
    for layer in chain:
        inputs = layer(inputs, vectors) if getattr(layer, "conditional", False) else layer(inputs)
    return inputs


# === Generators: lists of layers, latents to images ===
# Arguments. `conditional`: whether normalisation layers are given a vector.
# `spectral`: whether kernels are divided by their largest singular value.


def dense_generator(image_shape, units, conditional, spectral):
    """Dense layers with batch normalisation and GELU; ends in a scaled sigmoid."""
    chain = []
    for width in units:
        chain.append(linear(layers.Dense, width, use_bias=False, spectral=spectral))
        chain.append(batch_normalisation(conditional))
        chain.append(layers.Activation("gelu"))
    chain.append(layers.Dense(math.prod(image_shape), "sigmoid", dtype="float32"))
    chain.append(layers.Rescaling(2.0, -1.0, dtype="float32"))
    chain.append(layers.Reshape(image_shape, dtype="float32"))
    return chain


def convolutional_generator(image_shape, base_channels, conditional, spectral):
    """The DCGAN's generator: transposed convolutions double a small feature map to the image."""
    chain = smallest_map(image_shape, base_channels, spectral)
    sizes = resolutions(image_shape)  # [(28, 28), (14, 14), (7, 7), (4, 4)]
    for level in reversed(range(1, len(sizes))):
        chain.append(batch_normalisation(conditional))
        chain.append(layers.ReLU())
        last = level == 1
        chain.append(
            linear(
                UpsampleConv,
                image_shape[-1] if last else base_channels * 2 ** (level - 2),
                sizes[level - 1],
                use_bias=last,
                activation="tanh" if last else None,
                kernel_initializer=normal(),
                dtype="float32" if last else None,
                spectral=spectral and not last,
            )
        )
    return chain


def residual_generator(image_shape, base_channels, conditional, spectral):
    """Residual blocks double a small feature map to the image; then one 3x3 convolution."""
    sizes = resolutions(image_shape)
    return [
        *smallest_map(image_shape, base_channels, spectral),
        *[
            ResidualUp(
                base_channels * 2 ** max(0, level - 2), sizes[level - 1], conditional, spectral
            )
            for level in reversed(range(1, len(sizes)))
        ],
        batch_normalisation(),
        layers.ReLU(),
        Conv2D(image_shape[-1], 3, padding="same", activation="tanh", dtype="float32"),
    ]


def smallest_map(image_shape, base_channels, spectral):
    """The first layers of a convolutional generator: latents to (4, 4, 256) for 28x28 images."""
    sizes = resolutions(image_shape)
    smallest = (*sizes[-1], base_channels * 2 ** (len(sizes) - 2))
    settings = {"use_bias": False, "kernel_initializer": normal(), "spectral": spectral}
    return [linear(layers.Dense, math.prod(smallest), **settings), layers.Reshape(smallest)]


# === Discriminators: lists of layers, images to features (n, k), and the layer of the logit ===
# `deviation` puts a `MinibatchDeviation` before the last of these layers or blocks.


def dense_features(units, spectral, deviation):
    """Dense layers, no batch normalisation."""
    chain = [layers.Flatten()]
    for number, width in enumerate(units, 1):
        if deviation and number == len(units):
            chain.append(MinibatchDeviation())
        chain.append(linear(layers.Dense, width, spectral=spectral))
        chain.append(layers.LeakyReLU(0.2))
    return chain


def convolutional_features(image_shape, base_channels, normalised, spectral, deviation):
    """The DCGAN's discriminator without its last layer: strided convolutions.

    Args:
        image_shape: (height, width, channels).
        base_channels: channels of the first convolution; each further one has twice as many.
        normalised: whether batch normalisation follows each convolution but the first.
        spectral, deviation: see above.
    """
    chain, halvings = [], len(resolutions(image_shape)) - 1
    for level in range(halvings):
        normalise = normalised and level > 0
        if deviation and level == halvings - 1:
            chain.append(MinibatchDeviation())
        chain.append(
            linear(
                Conv2D,
                base_channels * 2**level,
                4,
                strides=2,
                padding="same",
                use_bias=not normalise,
                kernel_initializer=normal(),
                spectral=spectral,
            )
        )
        if normalise:
            chain.append(batch_normalisation())
        chain.append(layers.LeakyReLU(0.2))
    return [*chain, layers.Flatten()]  # (n, 4 * 4 * 256)


def residual_features(image_shape, base_channels, spectral, deviation):
    """Residual blocks, each of which halves the image; then the sum over all positions."""
    halvings = len(resolutions(image_shape)) - 1
    chain = [
        ResidualDown(base_channels * 2**level, spectral, first=level == 0)
        for level in range(halvings)
    ]
    if deviation:
        chain.insert(-1, MinibatchDeviation())
    return [*chain, layers.LeakyReLU(0.2), SumPooling()]


def logit_layer(architecture, use_bias, spectral):
    """The last layer of a discriminator: features to the logit (n, 1)."""
    start = normal() if architecture == "conv" else "glorot_uniform"
    settings = {"use_bias": use_bias, "spectral": spectral, "dtype": "float32"}
    return linear(layers.Dense, 1, kernel_initializer=start, **settings)


def resolutions(image_shape):
    """Sizes [(height, width), ...] of the image, halved until a side is at most 4.

    As in the DCGAN paper. A coarsest size of 7x7 would leave distant parts of a digit unrelated.
    """
    return pyramid_sizes(image_shape, below=5)
