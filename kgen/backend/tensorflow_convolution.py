"""Image convolutions with biases, by TensorFlow's own operations."""

import functools

import keras
import tensorflow as tf

__all__ = ["computes_with_onednn", "conv", "conv_transpose", "padded_conv"]


def conv(inputs, kernel, strides, padding, data_format, dilation_rate, bias=None):
    """`keras.ops.conv` of images, plus `bias`."""
    outputs = keras.ops.conv(inputs, kernel, strides, padding, data_format, dilation_rate)
    return _add_bias(outputs, bias, data_format)


def conv_transpose(
    inputs,
    kernel,
    strides,
    padding,
    output_padding,
    data_format,
    dilation_rate,
    bias=None,
    size=None,
):
    """`keras.ops.conv_transpose` of images, see `kgen.backend.jax_convolution.conv_transpose`.

    TensorFlow's operation computes outputs of any size, but for some sizes it also crops at the
    start. In these cases the outputs are cropped here.
    """

    def before(length, positions, taps, stride):
        return max(stride * (positions - 1) + taps - length, 0) // 2

    def is_cut_at_the_end(length, positions, taps, stride):
        sizes = length, stride * positions
        smaller, whole = (before(size, positions, taps, stride) for size in sizes)
        return -(-length // stride) == positions and smaller == whole

    sides = size or (), inputs.shape[1:3], kernel.shape[:2], strides
    if size and padding == "same" and all(map(is_cut_at_the_end, *sides)):
        shape = (tf.shape(inputs)[0], *size, kernel.shape[2])
        inputs = tf.cast(inputs, kernel.dtype)
        return _add_bias(tf.nn.conv2d_transpose(inputs, kernel, shape, strides), bias)
    outputs = keras.ops.conv_transpose(
        inputs, kernel, strides, padding, output_padding, data_format, dilation_rate
    )
    outputs = _add_bias(outputs, bias, data_format)
    return outputs[:, : size[0], : size[1]] if size else outputs


def _add_bias(outputs, bias, data_format="channels_last"):
    """Add a bias by `tf.nn.bias_add`, whose gradient is one pass over the outputs, not several.

    TensorFlow reorders plain sums once the batch size is known, but not this operation: equal steps
    give equal results.
    """
    if bias is None:
        return outputs
    return tf.nn.bias_add(outputs, bias, "NHWC" if data_format == "channels_last" else "NCHW")


def padded_conv(images, kernel, rows, columns, bias=None):
    """Convolution of zero-padded `images`, see `kgen.backend.jax_convolution.padded_conv`.

    Padding and convolution are one operation. With oneDNN (the default on processors with AVX-512),
    TensorFlow 2.21 fuses a separate padding with convolution, bias and sum, gives the fused
    operation one input too many, and crashes (`MklLayoutRewritePass`,
    `__MklDummyPadWithFusedConv2D`).

    With oneDNN, and if the images keep their size, the kernel is padded instead of the images: the
    PixelCNN's step takes 0.83 of the time, though it multiplies more.
    """
    images, padding = tf.cast(images, kernel.dtype), (rows, columns)
    keeps_size = all(sum(p) == taps - 1 for p, taps in zip(padding, kernel.shape, strict=False))
    if keeps_size and computes_with_onednn():
        zeros = [(max(p) - p[0], max(p) - p[1]) for p in padding]
        kernel = tf.pad(kernel, [*zeros, (0, 0), (0, 0)])  # the current pixel is in its middle
        return _add_bias(tf.nn.conv2d(images, kernel, 1, "SAME"), bias)
    return _add_bias(tf.nn.conv2d(images, kernel, 1, ((0, 0), *padding, (0, 0))), bias)


@functools.cache
def computes_with_onednn():
    """Whether oneDNN computes TensorFlow's convolutions; see `TF_ENABLE_ONEDNN_OPTS`.

    By default it does on processors with instructions for neural networks.
    """
    try:
        from tensorflow.python.util._pywrap_util_port import IsMklEnabled
    except ImportError:  # a private name: a later TensorFlow may move it
        return False
    return IsMklEnabled()
