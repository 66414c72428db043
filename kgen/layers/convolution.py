"""Keras' convolutions of images, computed by `kgen.backend`: the same numbers, sooner.

JAX on the CPU is slow in two places: the gradients of transposed convolutions anywhere, and those
of all convolutions inside compiled loops, which run several training steps at a time. On PyTorch
Keras copies every image twice. The layers here do neither; on TensorFlow they call the same
operations as Keras' own.
"""

import keras
from keras import ops

from kgen import backend


@keras.saving.register_keras_serializable("kgen")
class Conv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D`: the same arguments, weights, outputs and gradients."""

    def convolution_op(self, inputs, kernel):
        return backend.conv(
            inputs, kernel, self.strides, self.padding, self.data_format, self.dilation_rate
        )


@keras.saving.register_keras_serializable("kgen")
class Conv2DTranspose(keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose`: the same arguments, weights, outputs and gradients."""

    def call(self, inputs):
        outputs = backend.conv_transpose(
            inputs,
            self.kernel,
            self.strides,
            self.padding,
            self.output_padding,
            self.data_format,
            self.dilation_rate,
        )
        if self.use_bias:
            bias_shape = (-1,) if self.data_format == "channels_last" else (-1, 1, 1)
            outputs = ops.add(outputs, ops.reshape(self.bias, bias_shape))
        return self.activation(outputs)
