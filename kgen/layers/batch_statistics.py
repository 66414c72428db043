"""Layers of a discriminator: a batch's deviation as a feature, and the sum over positions."""

import keras
from keras import ops

EPSILON = 1e-8


@keras.saving.register_keras_serializable("kgen")
class MinibatchDeviation(keras.layers.Layer):
    """Append one channel: the mean over all features of their standard deviation in the batch.

    It shows a discriminator whether generated images are too much alike.

    Source: Karras et al., "Progressive Growing of GANs", 2017, arXiv:1710.10196, section 3.
    """

    def call(self, x):
        values = ops.cast(x, "float32")
        deviation = ops.mean(ops.sqrt(ops.var(values, axis=0) + EPSILON))
        channel = ops.ones_like(x[..., :1]) * ops.cast(deviation, x.dtype)
        return ops.concatenate([x, channel], axis=-1)


@keras.saving.register_keras_serializable("kgen")
class SumPooling(keras.layers.Layer):
    """The sum over all positions: (n, height, width, channels) to (n, channels)."""

    def call(self, x):
        return ops.sum(x, axis=(1, 2))
