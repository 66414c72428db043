"""Layers of the GANs' networks, and the residual blocks of `architecture="resnet"`.

The blocks are those of Miyato et al. 2018 (arXiv:1802.05957, appendix B.4). Deviation: convolutions
of stride 2 and kernel 4 take the place of a 3x3 convolution beside a resizing.
"""

import keras
from keras import layers, ops

from kgen.layers import (
    BatchNormalization,
    ConditionalBatchNormalization,
    Conv2D,
    SpectralNormalization,
    UpsampleConv,
)


def linear(kind, *args, spectral, use_bias=True, **kwargs):
    """A layer `kind(*args, **kwargs)`, with spectral normalisation if `spectral`."""
    if not spectral:
        return kind(*args, use_bias=use_bias, **kwargs)
    layer = kind(*args, use_bias=False, **kwargs)
    return SpectralNormalization(layer, use_bias, dtype=kwargs.get("dtype"))


def normal():
    """The DCGAN's initial weights, N(0, 0.02^2)."""
    return keras.initializers.RandomNormal(0.0, 0.02)


def batch_normalisation(conditional=False):
    """Batch normalisation; if `conditional`, scale and offset depend on a vector.

    Momentum 0.9: at Keras' 0.99 moving statistics would need hundreds of steps to settle.
    """
    kind = ConditionalBatchNormalization if conditional else BatchNormalization
    return kind(momentum=0.9, epsilon=1e-5)


@keras.saving.register_keras_serializable("kgen")
class ResidualUp(layers.Layer):
    """Residual block of a generator, from half of `size`, rounded up, to `size`.

    Args:
        filters: output channels.
        size: (height, width) of the output.
        conditional: whether the normalisation is given a vector.
        spectral: whether the kernels are divided by their largest singular value.
    """

    def __init__(self, filters, size, conditional=False, spectral=False, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.size = filters, tuple(size)
        self.conditional, self.spectral = conditional, spectral
        self.normalisations = [batch_normalisation(conditional) for _ in range(2)]
        settings = {"padding": "same", "spectral": spectral}
        self.upsampling = linear(UpsampleConv, filters, size, use_bias=False, spectral=spectral)
        self.convolution = linear(Conv2D, filters, 3, **settings)
        self.shortcut = linear(Conv2D, filters, 1, use_bias=False, **settings)

    def build(self, x_shape, vectors_shape=None):
        inner = (None, *self.size, self.filters)
        given = (vectors_shape,) if self.conditional else ()
        first, second = self.normalisations
        first.build(x_shape, *given)
        second.build(inner, *given)
        self.upsampling.build(x_shape)
        self.convolution.build(inner)
        self.shortcut.build(x_shape)
        self.built = True

    def call(self, x, vectors=None, training=False):
        given = (vectors,) if self.conditional else ()
        first, second = self.normalisations
        h = self.upsampling(ops.relu(first(x, *given, training=training)))
        h = self.convolution(ops.relu(second(h, *given, training=training)))
        wide = ops.repeat(ops.repeat(self.shortcut(x), 2, axis=1), 2, axis=2)
        return h + wide[:, : self.size[0], : self.size[1]]

    def compute_output_shape(self, x_shape, vectors_shape=None):
        return (x_shape[0], *self.size, self.filters)

    def get_config(self):
        own = {name: getattr(self, name) for name in ("filters", "size", "conditional", "spectral")}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("kgen")
class ResidualDown(layers.Layer):
    """Residual block of a discriminator, which halves the image, rounded up.

    Args:
        filters: output channels.
        spectral: whether the kernels are divided by their largest singular value.
        first: whether the input is an image, to which no nonlinearity is applied.
    """

    def __init__(self, filters, spectral=False, first=False, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.spectral, self.first = filters, spectral, first
        settings = {"padding": "same", "spectral": spectral}
        self.convolution = linear(Conv2D, filters, 3, **settings)
        self.halving = linear(Conv2D, filters, 4, strides=2, **settings)
        self.pooling = layers.AveragePooling2D(2, padding="same")
        self.shortcut = linear(Conv2D, filters, 1, use_bias=False, **settings)

    def build(self, x_shape):
        self.convolution.build(x_shape)
        self.halving.build((*x_shape[:-1], self.filters))
        self.shortcut.build(x_shape)
        self.built = True

    def call(self, x):
        h = x if self.first else ops.leaky_relu(x, 0.2)
        h = self.halving(ops.leaky_relu(self.convolution(h), 0.2))
        return h + self.shortcut(self.pooling(x))

    def get_config(self):
        own = {name: getattr(self, name) for name in ("filters", "spectral", "first")}
        return {**super().get_config(), **own}
