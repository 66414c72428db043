"""Parts of the networks of GANs that are given texts: blocks, and a vector joined to features."""

import keras
from keras import layers

from kgen.layers import Conv2D
from kgen.models.gans import networks


def of_each_image():
    """Normalisation of each image by itself.

    In several groups of channels, a vector that is the same at each place would be subtracted.
    """
    return layers.GroupNormalization(1)


def discriminating(spectral):
    """The settings of a discriminator's blocks; spectral normalisation takes the other's place."""
    return {"normalisation": None if spectral else of_each_image, "spectral": spectral}


def block(
    filters,
    size,
    strides,
    activation,
    normalisation=networks.batch_normalisation,
    spectral=False,
):
    """A convolution, normalisation and an activation.

    Args:
        filters, size, strides: of the convolution.
        activation: a layer.
        normalisation: function that makes its layer; None for none.
        spectral: whether the kernel is divided by its largest singular value.
    """
    settings = {"strides": strides, "padding": "same", "use_bias": normalisation is None}
    settings |= {"kernel_initializer": networks.normal(), "spectral": spectral}
    convolution = networks.linear(Conv2D, filters, size, **settings)
    normalised = [normalisation()] if normalisation else []
    return keras.Sequential([convolution, *normalised, activation])


def strided_convolutions(x, image_shape, base_channels, **settings):
    """The DCGAN's discriminator without its last layer: features (n, 4, 4, channels)."""
    for level in range(len(networks.resolutions(image_shape)) - 1):
        own = settings if level else settings | {"normalisation": None}
        x = block(base_channels * 2**level, 4, 2, layers.LeakyReLU(0.2), **own)(x)
    return x


def joined(features, vector):
    """Features (n, height, width, channels) with a vector at each place as further channels."""
    _, height, width, _ = features.shape
    repeated = layers.RepeatVector(height * width)(vector)
    repeated = layers.Reshape((height, width, vector.shape[-1]))(repeated)
    return layers.Concatenate()([features, repeated])


def logit(features, spectral):
    """One dense layer to the logit, (n, 1) float32."""
    settings = {"kernel_initializer": networks.normal(), "dtype": "float32", "spectral": spectral}
    return networks.linear(layers.Dense, 1, **settings)(layers.Flatten()(features))


def projected(text, size):
    """A text's vector through a dense layer and LeakyReLU; each network has its own."""
    return layers.LeakyReLU(0.2)(layers.Dense(size)(text))


def doubled(x, filters, size):
    """Features upsampled to `size`, with batch normalisation and ReLU."""
    settings = {"use_bias": False, "kernel_initializer": networks.normal()}
    x = networks.UpsampleConv(filters, size, **settings)(x)
    return layers.ReLU()(networks.batch_normalisation()(x))


def residual(x):
    """x plus two convolutions of it, then ReLU."""
    hidden = block(x.shape[-1], 3, 1, layers.ReLU())(x)
    hidden = block(x.shape[-1], 3, 1, layers.Activation("linear"))(hidden)
    return layers.ReLU()(layers.Add()([x, hidden]))
