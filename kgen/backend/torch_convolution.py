"""Image convolutions by PyTorch, without the copies that Keras makes.

Keras copies images (batch, height, width, channels) to PyTorch's axis order, and from there to
PyTorch's channels_last layout, which is the one they had: two copies of every image, and two of its
gradient. Here a view permutes the axes. If a transposed convolution crops its outputs evenly, the
crop is passed to PyTorch as padding, so that cropped pixels are not computed.
"""

import keras
import torch
from torch.nn import functional

from kgen.backend.bias import add_bias

__all__ = ["conv", "conv_transpose", "padded_conv", "pointwise_conv"]


def to_channels_last(variables):
    """Store 4-D kernels in channels_last memory format, which PyTorch's convolutions use directly.

    In Keras' memory order every kernel, and its gradient, would be copied at every use. The order
    of the axes stays, so a variable looks the same from outside.
    """
    for variable in variables:
        if len(variable.shape) == 4:
            value = variable.value
            value.data = (
                _permuted(value.data)
                .contiguous(memory_format=torch.channels_last)
                .permute(2, 3, 1, 0)
            )


def conv(inputs, kernel, strides, padding, data_format, dilation_rate, bias=None):
    """`keras.ops.conv` of images, plus `bias`."""
    if not _is_ours(data_format, dilation_rate):
        outputs = keras.ops.conv(inputs, kernel, strides, padding, data_format, dilation_rate)
        return add_bias(outputs, bias, data_format)

    def total_padding(size, taps, stride):
        return max(stride * (-(-size // stride) - 1) + taps - size, 0) if padding == "same" else 0

    images, kernel = _in_order(inputs, kernel)
    rows, columns = map(total_padding, images.shape[2:], kernel.shape[2:], strides)
    if rows % 2 or columns % 2:  # an odd pixel of padding goes after the image
        images = functional.pad(images, (columns // 2, -(-columns // 2), rows // 2, -(-rows // 2)))
        rows = columns = 0
    groups = images.shape[1] // kernel.shape[1]
    padding = rows // 2, columns // 2
    bias = _tensor(bias)
    return functional.conv2d(images, kernel, bias, strides, padding, 1, groups).movedim(1, -1)


def padded_conv(images, kernel, rows, columns, bias=None):
    """Convolution of zero-padded `images`, see `kgen.backend.jax_convolution.padded_conv`.

    The convolution pads both ends of an axis by the larger padding, and what this adds is cut off:
    without a padded copy of the images the PixelCNN's step takes 2 to 6 % less time.
    """
    if 0 in images.shape[1:3]:  # PyTorch pads no image without pixels, as one of width 1 leaves
        images, rows, columns = functional.pad(images, (0, 0, *columns, *rows)), (0, 0), (0, 0)
    images, kernel = _in_order(images, kernel)
    padding = [max(ends) for ends in (rows, columns)]
    outputs = functional.conv2d(images, kernel, _tensor(bias), 1, padding).movedim(1, -1)
    # Cut in this order of axes, as the gradient of a cut is zeros in the order of its axes.
    for axis, ends, most in zip((1, 2), (rows, columns), padding, strict=True):
        if ends[0] != ends[1]:
            size = outputs.shape[axis] - abs(ends[0] - ends[1])
            outputs = outputs.narrow(axis, most - ends[0], size)
    return outputs


def pointwise_conv(images, matrix, bias):
    """1x1 convolution of images or rows by a matrix, see `kgen.backend.jax.pointwise_conv`.

    No matrix product: PyTorch's copies the bias into all outputs first, and the PixelCNN's step
    takes 5 to 15 % more time.
    """
    if images.ndim == 3:
        return pointwise_conv(images[:, None], matrix, bias)[:, 0]
    images, kernel = _in_order(images, matrix[None, None])
    return functional.conv2d(images, kernel, bias).movedim(1, -1)


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
    """`keras.ops.conv_transpose` of images, see `kgen.backend.jax_convolution.conv_transpose`."""
    crops = [taps - stride for taps, stride in zip(kernel.shape[:2], strides, strict=True)]
    even = padding == "same" and all(crop >= 0 and crop % 2 == 0 for crop in crops)
    if even and output_padding is None and _is_ours(data_format, dilation_rate):
        images, kernel = _in_order(inputs, kernel)
        crops = [crop // 2 for crop in crops]
        outputs = functional.conv_transpose2d(images, kernel, _tensor(bias), strides, crops)
        outputs = outputs.movedim(1, -1)
    else:
        outputs = keras.ops.conv_transpose(
            inputs, kernel, strides, padding, output_padding, data_format, dilation_rate
        )
        outputs = add_bias(outputs, bias, data_format)
    return outputs if size is None else outputs[:, : size[0], : size[1]]


def _is_ours(data_format, dilation_rate):
    return data_format == "channels_last" and tuple(dilation_rate) == (1, 1)


def _in_order(inputs, kernel):
    """Views in PyTorch's axis order: images (batch, channels, height, width), and the kernel."""
    kernel = keras.ops.convert_to_tensor(kernel)
    inputs = keras.ops.convert_to_tensor(inputs, dtype=kernel.dtype)
    return inputs.movedim(-1, 1), _permuted(kernel)


def _tensor(bias):
    return None if bias is None else keras.ops.convert_to_tensor(bias)


def _permuted(kernel):
    return kernel.permute(3, 2, 0, 1)
