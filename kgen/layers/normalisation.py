"""Batch and group normalisation computed by `kgen.backend`: Keras' numbers, faster."""

import math

import keras
from keras import ops

from kgen import backend


@keras.saving.register_keras_serializable("kgen")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`: the same arguments, weights, outputs and gradients.

    In training, Keras' own passes over the images a dozen times. TensorFlow and PyTorch have one
    fused operation for the usual case: channels last, scale and offset on.
    """

    def call(self, inputs, training=None, mask=None):
        usual = self.scale and self.center and not self.renorm and mask is None
        last = self.axis in (-1, len(inputs.shape) - 1)
        if not (training and self.trainable and usual and last):
            return super().call(inputs, training=training, mask=mask)
        values = [ops.cast(value, "float32") for value in (inputs, self.gamma, self.beta)]
        outputs, mean, variance = backend.batch_normalised(*values, self.epsilon)
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(self.momentum * moving + (1.0 - self.momentum) * value)
        return ops.cast(outputs, self.compute_dtype)


@keras.saving.register_keras_serializable("kgen")
class ConditionalBatchNormalization(keras.layers.Layer):
    """Batch normalisation whose scale and offset are linear functions of a vector.

    At first they are 1 and 0. Of a one-hot label they are a scale and an offset per class.

    Args:
        momentum, epsilon: see `keras.layers.BatchNormalization`.

    Source: Dumoulin et al., "A Learned Representation for Artistic Style", 2016, arXiv:1610.07629.
    """

    conditional = True

    def __init__(self, momentum=0.99, epsilon=1e-3, **kwargs):
        super().__init__(**kwargs)
        self.momentum, self.epsilon = momentum, epsilon
        settings = {"momentum": momentum, "epsilon": epsilon}
        self.normalisation = BatchNormalization(**settings, center=False, scale=False)

    def build(self, x_shape, vectors_shape):
        shape = (vectors_shape[-1], x_shape[-1])
        self.normalisation.build(x_shape)
        self.gamma = self.add_weight(shape=shape, initializer="zeros", name="gamma")
        self.beta = self.add_weight(shape=shape, initializer="zeros", name="beta")
        self.built = True

    def call(self, x, vectors, training=None):
        """Features (n, height, width, channels) or (n, channels), and vectors (n, k)."""
        normal = self.normalisation(x, training=training)
        shape = (-1, *[1] * (len(x.shape) - 2), x.shape[-1])
        scale, offset = (
            ops.reshape(ops.matmul(vectors, matrix), shape) for matrix in (self.gamma, self.beta)
        )
        return normal * (1.0 + scale) + offset

    def compute_output_shape(self, x_shape, vectors_shape):
        return x_shape

    def get_config(self):
        own = {name: getattr(self, name) for name in ("momentum", "epsilon")}
        return {**super().get_config(), **own}


class GroupNormalization(keras.layers.Layer):
    """Group normalisation: statistics of a group of channels of one image.

    `keras.layers.GroupNormalization` computes the same. Statistics are float32 under any policy.

    Args:
        groups: of channels; of other numbers of channels the largest divisor they share.

    Source: Wu and He, "Group Normalization", 2018, arXiv:1803.08494.
    """

    epsilon = 1e-5

    def __init__(self, groups, **kwargs):
        super().__init__(**kwargs)
        self.groups = groups

    def build(self, x_shape):
        self.groups = math.gcd(self.groups, x_shape[-1])
        self.gamma = self.add_weight(shape=x_shape[-1:], initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=x_shape[-1:], initializer="zeros", name="beta")
        self.built = True

    def call(self, x):
        return self.normalised(x, self.gamma, self.beta)

    def normalised(self, x, scale, offset):
        """The normalised x times a scale plus an offset, each (channels,) or (n, channels)."""
        values = [ops.cast(value, "float32") for value in (x, scale, offset)]
        outputs = backend.group_normalised(*values, self.groups, self.epsilon)
        return ops.cast(outputs, self.compute_dtype)


class AdaptiveGroupNormalization(GroupNormalization):
    """Group normalisation whose scale and offset are linear functions of an embedding (n, e)."""

    def build(self, x_shape, embedding_shape):
        self.groups = math.gcd(self.groups, x_shape[-1])
        self.modulation = keras.layers.Dense(2 * x_shape[-1])
        self.modulation.build(embedding_shape)
        self.built = True

    def call(self, x, embedding):
        scale, offset = ops.split(self.modulation(embedding), 2, axis=-1)
        return self.normalised(x, 1.0 + scale, offset)
