"""Masked dense layer: an output sees only the inputs before it in an ordering.

Mathieu Germain, Karol Gregor, Iain Murray, Hugo Larochelle: MADE: Masked Autoencoder for
Distribution Estimation. 2015, arXiv:1502.03509.
"""

import keras
import numpy as np
from keras import ops

from kgen import backend


@keras.saving.register_keras_serializable("kgen")
class MaskedDense(keras.layers.Layer):
    """Dense layer in which an output sees the inputs up to its own degree (equations 8 and 9).

    The degree of an input or output is the number of the last value it may depend on. Only degrees
    are kept; the mask comes from a comparison.

    Call `set_degrees` after `build`.

    Args:
        units: number of outputs.
        strict: whether an output sees only inputs of lower degree, as the last layer of a network
            of which output i gives the distribution of value i.
        use_bias: whether a bias is added.
        kernel_initializer: Keras initializer of the kernel.
    """

    def __init__(
        self, units, strict=False, use_bias=True, kernel_initializer="glorot_uniform", **kwargs
    ):
        super().__init__(**kwargs)
        self.units = units
        self.strict = strict
        self.use_bias = use_bias
        self.kernel_initializer = kernel_initializer

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units), initializer=self.kernel_initializer, name="kernel"
        )
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.built = True

    def set_degrees(self, inputs, outputs):
        """The degrees of all masks: whole numbers (masks, inputs) and (masks, units)."""
        # float32: on a GPU TensorFlow compares integers on the CPU.
        self.degrees = np.asarray(inputs, "float32"), np.asarray(outputs, "float32")

    def call(self, inputs, mask_number=0):
        kernel = self.masked_kernel(mask_number)  # (inputs, units)
        if not self.use_bias:
            return ops.matmul(inputs, kernel)
        return backend.affine(inputs, kernel, ops.cast(self.bias, self.compute_dtype))

    def masked_kernel(self, mask_number=0):
        """The kernel, zero where the mask of this number (0, or an int32 scalar) hides an input."""
        inputs, outputs = (ops.take(degrees, mask_number, axis=0) for degrees in self.degrees)
        inputs = inputs[:, None]
        seen = inputs < outputs if self.strict else inputs <= outputs
        kernel = ops.cast(self.kernel, self.compute_dtype)
        return ops.where(seen, kernel, ops.zeros_like(kernel))
