"""Convolutions computed by `kgen.backend`: Keras' numbers, faster.

What is slow in Keras' own: on JAX on the CPU, the gradients of transposed convolutions, and those
of all convolutions inside compiled loops, which run several training steps at a time. On PyTorch
every image is copied twice. On PyTorch and TensorFlow biases are added in a separate pass.
"""

import keras

from kgen import backend


@keras.saving.register_keras_serializable("kgen")
class Conv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D`: the same arguments, weights, outputs and gradients."""

    def call(self, inputs):
        outputs = backend.conv(
            inputs,
            self.kernel,
            self.strides,
            self.padding,
            self.data_format,
            self.dilation_rate,
            bias=self.bias,
        )
        return self.activation(outputs)


@keras.saving.register_keras_serializable("kgen")
class Conv2DTranspose(keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose`: the same arguments, weights, outputs and gradients."""

    size = None  # a subclass may set (height, width), to which outputs are cut

    def call(self, inputs):
        outputs = backend.conv_transpose(
            inputs,
            self.kernel,
            self.strides,
            self.padding,
            self.output_padding,
            self.data_format,
            self.dilation_rate,
            bias=self.bias,
            size=self.size,
        )
        return self.activation(outputs)
