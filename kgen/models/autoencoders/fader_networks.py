"""The networks of the Fader network: encoder, decoder and critic."""

import math

import keras
from keras import layers, ops

from kgen.layers import BatchNormalization, Conv2D, Dropout, UpsampleConv


def encoder(image_shape, channels, sizes):
    """Images to codes (n, k): 4x4 convolutions of stride 2, from the first of `sizes` to the last.

    Args:
        image_shape: (height, width, channels).
        channels: after each halving.
        sizes: (height, width) of the image and after each halving.
    """
    network = keras.Sequential([layers.Input(image_shape)], name="encoder")
    for level in range(len(sizes) - 1):
        settings = {"strides": 2, "padding": "same", "use_bias": level == 0}
        network.add(Conv2D(channels[level], 4, **settings))
        if level > 0:
            network.add(batch_normalisation())
        network.add(layers.LeakyReLU(0.2))
    network.add(layers.Flatten(dtype="float32"))
    return network


def decoder(image_shape, channels, sizes, given):
    """Codes (n, k) and `given` numbers per image, which enter every layer, to images in [-1, 1]."""
    code_shape = (*sizes[-1], channels[-1])
    codes, numbers = layers.Input((math.prod(code_shape),)), layers.Input((given,))
    x = layers.Reshape(code_shape)(codes)
    for level in reversed(range(len(sizes) - 1)):
        planes = ops.ones_like(x[..., :1]) * ops.cast(numbers[:, None, None, :], x.dtype)
        x = layers.Concatenate()([x, planes])
        if level > 0:
            x = UpsampleConv(channels[level - 1], sizes[level], use_bias=False)(x)
            x = layers.ReLU()(batch_normalisation()(x))
    x = UpsampleConv(image_shape[-1], sizes[0], activation="tanh", dtype="float32")(x)
    return keras.Model([codes, numbers], x, name="decoder")


def critic(code_size, units, dropout, guesses):
    """Codes (n, code_size) to logits (n, guesses): dense layers."""
    network = keras.Sequential([layers.Input((code_size,))], name="critic")
    for width in units:
        network.add(layers.Dense(width))
        network.add(layers.LeakyReLU(0.2))
        network.add(Dropout(dropout))
    network.add(layers.Dense(guesses, dtype="float32"))
    return network


def batch_normalisation():
    """Momentum 0.9: the critic is trained on codes by moving statistics, which must be recent."""
    return BatchNormalization(momentum=0.9, epsilon=1e-5)
