"""The networks of the GANs: generators and discriminators, dense or convolutional.

Generators return images in [-1, 1], discriminators one logit per image. Both outputs are float32
under any dtype policy.
"""

import math

import keras
from keras import layers

from kgen.layers import (
    BatchNormalization,
    Conv2D,
    SpectralNormalization,
    UpsampleConv,
    pyramid_sizes,
)


def dense_generator(latent_size, image_shape, units):
    """A generator of dense layers with batch normalisation and GELU; ends in a scaled sigmoid."""
    network = keras.Sequential([layers.Input((latent_size,))], name="generator")
    for width in units:
        network.add(layers.Dense(width, use_bias=False))
        network.add(batch_normalisation())
        network.add(layers.Activation("gelu"))
    network.add(layers.Dense(math.prod(image_shape), "sigmoid", dtype="float32"))
    network.add(layers.Rescaling(2.0, -1.0, dtype="float32"))
    network.add(layers.Reshape(image_shape, dtype="float32"))
    return network


def dense_discriminator(image_shape, units, spectral, use_bias):
    """Dense layers, no batch normalisation; arguments: see `convolutional_discriminator`."""
    network = keras.Sequential([layers.Input(image_shape), layers.Flatten()], name="discriminator")
    for width in units:
        network.add(linear(layers.Dense, width, spectral=spectral))
        network.add(layers.LeakyReLU(0.2))
    network.add(linear(layers.Dense, 1, use_bias=use_bias, spectral=spectral, dtype="float32"))
    return network


def convolutional_generator(latent_size, image_shape, base_channels):
    """The DCGAN's generator: transposed convolutions double a small feature map to the image."""
    sizes = resolutions(image_shape)  # [(28, 28), (14, 14), (7, 7), (4, 4)]
    smallest = (*sizes[-1], base_channels * 2 ** (len(sizes) - 2))  # (4, 4, 256)
    network = keras.Sequential([layers.Input((latent_size,))], name="generator")
    network.add(layers.Dense(math.prod(smallest), use_bias=False, kernel_initializer=normal()))
    network.add(layers.Reshape(smallest))
    for level in reversed(range(1, len(sizes))):
        network.add(batch_normalisation())
        network.add(layers.ReLU())
        last = level == 1
        network.add(
            UpsampleConv(
                image_shape[-1] if last else base_channels * 2 ** (level - 2),
                sizes[level - 1],
                use_bias=last,
                activation="tanh" if last else None,
                kernel_initializer=normal(),
                dtype="float32" if last else None,
            )
        )
    return network


def convolutional_discriminator(image_shape, base_channels, normalised, spectral, use_bias):
    """The DCGAN's discriminator: strided convolutions, then one dense layer to the logit.

    Args:
        image_shape: (height, width, channels).
        base_channels: channels of the first convolution; each further one has twice as many.
        normalised: whether batch normalisation follows each convolution but the first.
        spectral: whether kernels are divided by their largest singular value.
        use_bias: whether the last layer, which gives the logit, has a bias.
    """
    network = keras.Sequential([layers.Input(image_shape)], name="discriminator")
    for level in range(len(resolutions(image_shape)) - 1):
        normalise = normalised and level > 0
        network.add(
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
            network.add(batch_normalisation())
        network.add(layers.LeakyReLU(0.2))
    network.add(layers.Flatten())  # (n, 4 * 4 * 256)
    network.add(
        linear(
            layers.Dense,
            1,
            use_bias=use_bias,
            kernel_initializer=normal(),
            spectral=spectral,
            dtype="float32",
        )
    )
    return network


def resolutions(image_shape):
    """Sizes [(height, width), ...] of the image, halved until a side is at most 4.

    As in the DCGAN paper. A coarsest size of 7x7 would leave distant parts of a digit unrelated.
    """
    return pyramid_sizes(image_shape, below=5)


def linear(kind, *args, spectral, use_bias=True, **kwargs):
    """A layer `kind(*args, **kwargs)`, with spectral normalisation if `spectral`."""
    if not spectral:
        return kind(*args, use_bias=use_bias, **kwargs)
    layer = kind(*args, use_bias=False, **kwargs)
    return SpectralNormalization(layer, use_bias, dtype=kwargs.get("dtype"))


def normal():
    """The DCGAN's initial weights, N(0, 0.02^2)."""
    return keras.initializers.RandomNormal(0.0, 0.02)


def batch_normalisation():
    """Momentum 0.9: at Keras' 0.99 moving statistics would need hundreds of steps to settle."""
    return BatchNormalization(momentum=0.9, epsilon=1e-5)
