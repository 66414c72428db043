"""Image convolutions with custom gradients that XLA computes fast on the CPU, also in loops.

XLA's fast CPU routine needs images (batch, height, width, channels), kernels (height, width, in,
out) and no kernel larger than the image. Anything else runs as plain loops, at least ten times
slower. JAX's own gradients use other layouts, which XLA rearranges everywhere but inside
`lax.scan`. JAX's kernel gradient of a transposed convolution slides the large image over the small
one. So the gradients are written out here. All follow from one sum, linear in each of x, w and y,

    sum over positions p and taps k of  x[stride * p + k - low] * w[k] * y[p]

with images x (batch, height, width, channels), zero outside; a kernel w (rows, columns, channels,
filters); smaller images y (batch, height', width', filters). Its three partial derivatives,

    d/dy: convolution of x by w,  d/dx: transposed convolution of y by w,  d/dw: `_kernel_of(x, y)`,

are linear in their two arguments, and the gradients of each are the other two. So reverse mode
works to any order (forward mode does not). Each function takes the `strides` and, per image axis,
the `padding` (low, high) of the convolution from x to y. `high` is such that the last position ends
exactly at the border: stride * (height' - 1) + rows = low + height + high. Negative padding crops.
"""

import functools

import jax
import keras
from jax import lax, numpy

from kgen.backend.bias import add_bias

__all__ = ["conv", "conv_transpose", "padded_conv"]

_linear_in_two = functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
_layout = ("NHWC", "HWIO", "NHWC")
LEAST_CHANNELS = 16  # from which the gradient of a kernel is a convolution


@_linear_in_two
def _convolution(x, w, strides, padding):
    """y[p] = sum over k of x[stride * p + k - low] w[k]."""
    return lax.conv_general_dilated(x, w, strides, padding, dimension_numbers=_layout)


@_linear_in_two
def _transposed(y, w, strides, padding):
    """x[q] = sum over those p and k with stride * p + k - low = q of y[p] w[k].

    Computed as the convolution of y, dilated by stride - 1 zeros, with the flipped kernel.
    """
    reach = _reach(w.shape[:2], padding)
    return lax.conv_general_dilated(
        y, _turned(w), (1, 1), reach, lhs_dilation=strides, dimension_numbers=_layout
    )


@_linear_in_two
def _kernel_of(x, y, strides, padding):
    """w[k] = sum over p of x[stride * p + k - low] y[p].

    For stride 1 and many channels: a convolution of x by the kernel y, in which images and channels
    change places, written with the layout of XLA's fast routine. Else one matrix product per tap k,
    which is up to six times as fast. If x has few channels, one product per row of taps avoids
    reading y once per tap.
    """
    rows, columns = taps = [
        low + size + high - stride * (positions - 1)
        for (low, high), size, stride, positions in zip(
            padding, x.shape[1:3], strides, y.shape[1:3], strict=True
        )
    ]
    channels, filters = x.shape[3], y.shape[3]
    if filters < channels and strides == (1, 1):  # the same sum over p + k - low, taps flipped
        return _turned(_kernel_of(y, x, strides, _reach(taps, padding)))
    within = y.shape[1] <= x.shape[1] and y.shape[2] <= x.shape[2]
    if channels >= LEAST_CHANNELS and strides == (1, 1) and within:
        swapped, kernel = x.transpose(3, 1, 2, 0), y.transpose(1, 2, 0, 3)
        w = lax.conv_general_dilated(swapped, kernel, (1, 1), padding, dimension_numbers=_layout)
        return w.transpose(1, 2, 0, 3)
    borders = [(0, 0, 0), *((*side, 0) for side in padding), (0, 0, 0)]
    x = lax.pad(x, numpy.zeros((), x.dtype), borders)
    ends = [stride * (size - 1) + 1 for stride, size in zip(strides, y.shape[1:3], strict=True)]

    def product(x, row):
        """The pixels of x under a row of taps, (positions, channels), transposed, times y."""
        part = x[:, row : row + ends[0] : strides[0]]
        return part.reshape(-1, part.shape[-1]).T @ y

    y = y.reshape(-1, filters)
    views = [x[:, :, column : column + ends[1] : strides[1]] for column in range(columns)]
    if rows * columns * channels <= 2 * filters:
        views = [numpy.concatenate(views, axis=-1)]
    w = numpy.stack([product(view, row) for row in range(rows) for view in views])
    return w.reshape(rows, columns, channels, filters)


def _turned(w):
    """The kernel of the opposite direction: flipped, channels and filters swapped."""
    return w[::-1, ::-1].swapaxes(2, 3)


def _reach(taps, padding):
    """The padding of the opposite direction, for stride 1."""
    return tuple(
        (count - 1 - low, count - 1 - high)
        for count, (low, high) in zip(taps, padding, strict=True)
    )


def _set_gradients(function, gradients):
    def forward(first, second, *geometry):
        return function(first, second, *geometry), (first, second)

    def backward(strides, padding, arguments, of_result):
        return gradients(*arguments, of_result, strides, padding)

    function.defvjp(forward, backward)


_set_gradients(_convolution, lambda x, w, y, *to: (_transposed(y, w, *to), _kernel_of(x, y, *to)))
_set_gradients(_transposed, lambda y, w, x, *to: (_convolution(x, w, *to), _kernel_of(x, y, *to)))
_set_gradients(_kernel_of, lambda x, y, w, *to: (_transposed(y, w, *to), _convolution(x, w, *to)))


def conv(inputs, kernel, strides, padding, data_format, dilation_rate, bias=None):
    """`keras.ops.conv` of images, plus `bias`; on the CPU with this module's gradients."""
    outputs = _without_bias(inputs, kernel, strides, padding, data_format, dilation_rate)
    return add_bias(outputs, bias, data_format)


def _without_bias(inputs, kernel, strides, padding, data_format, dilation_rate):
    grouped = kernel.shape[2] != inputs.shape[-1]
    if grouped or not _is_ours(data_format, dilation_rate):
        return keras.ops.conv(inputs, kernel, strides, padding, data_format, dilation_rate)

    def total_padding(size, taps, stride):
        positions = -(-size // stride) if padding == "same" else (size - taps) // stride + 1
        return stride * (positions - 1) + taps - size

    kernel = keras.ops.convert_to_tensor(kernel)
    inputs = keras.ops.convert_to_tensor(inputs, dtype=kernel.dtype)
    if kernel.shape[:2] == strides == (1, 1):  # twice as fast
        outputs = inputs.reshape(-1, inputs.shape[-1]) @ kernel[0, 0]
        return outputs.reshape(*inputs.shape[:-1], -1)
    totals = map(total_padding, inputs.shape[1:3], kernel.shape[:2], strides)
    return _convolution(inputs, kernel, strides, tuple(map(_halves, totals)))


def padded_conv(images, kernel, rows, columns, bias=None):
    """Stride-1 convolution of zero-padded `images`, plus `bias`.

    Args:
        images: (batch, height, width, channels).
        kernel: (rows, columns, channels, filters).
        rows, columns: the padding (before, after) of either axis.
        bias: (filters,), or None.
    """
    images, sides = images.astype(kernel.dtype), (rows, columns)
    if _is_ours("channels_last", (1, 1)):
        outputs = _convolution(images, kernel, (1, 1), sides)
    else:
        outputs = lax.conv_general_dilated(images, kernel, (1, 1), sides, dimension_numbers=_layout)
    return add_bias(outputs, bias, "channels_last")


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
    """`keras.ops.conv_transpose`, plus `bias`; on the CPU with this module's gradients.

    Args:
        size: (height, width) to crop the outputs to, at the end; None for Keras' size.
    """
    if output_padding is not None or not _is_ours(data_format, dilation_rate):
        outputs = keras.ops.conv_transpose(
            inputs, kernel, strides, padding, output_padding, data_format, dilation_rate
        )
        outputs = add_bias(outputs, bias, data_format)
        return outputs if size is None else outputs[:, : size[0], : size[1]]

    def padding_of_side(positions, taps, stride, length):
        # "same": outputs are stride times larger; "valid": no crop
        total = taps - stride if padding == "same" else min(taps - stride, 0)
        low, high = _halves(total)
        return low, high if length is None else stride * (positions - 1) + taps - low - length

    kernel = keras.ops.convert_to_tensor(kernel)
    inputs = keras.ops.convert_to_tensor(inputs, dtype=kernel.dtype)
    sides = inputs.shape[1:3], kernel.shape[:2], strides, size or (None, None)
    outputs = _transposed(inputs, kernel, strides, tuple(map(padding_of_side, *sides)))
    return add_bias(outputs, bias, data_format)


def _is_ours(data_format, dilation_rate):
    usual = data_format == "channels_last" and tuple(dilation_rate) == (1, 1)
    return usual and jax.default_backend() == "cpu"


def _halves(total):
    """Split padding into (low, high): an odd pixel goes to `high`, and so does a whole crop."""
    low = max(total, 0) // 2
    return low, total - low
