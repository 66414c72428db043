"""Batch normalisation computed by `kgen.backend`: Keras' numbers, faster."""

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
