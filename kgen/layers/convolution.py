"""Keras' convolutions of images, computed by `kgen.backend`: the same numbers, sooner.

JAX on the CPU is slow in two places: the gradients of transposed convolutions anywhere, and those
of all convolutions inside compiled loops, which run several training steps at a time. On PyTorch
Keras copies every image twice, and there and on TensorFlow it adds biases in a pass of their own.
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

    size = None  # (height, width) of the outputs, for a subclass that wants the last ones cut off

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
