"""Convolutions that see only the pixels before each one, in raster order: rows first, then columns.

Of a square kernel only the taps that a mask would keep are stored and computed: the rows above the
centre and, of the centre's own row, what lies left of it. Zeros stand for all outside the image.

Within a pixel the colours have an order too (R, G, B). Feature i belongs to colour i % colours; in
the centre tap a feature of type "A" sees the colours before its own, of type "B" its own as well.
"""

import keras
import numpy as np
from keras import ops

from kgen import backend


def shifted_down(images):
    """Every row takes the place of the next; the first becomes zero."""
    return ops.pad(images[:, :-1], [[0, 0], [1, 0], [0, 0], [0, 0]])


@keras.saving.register_keras_serializable("kgen")
class VerticalConv2D(keras.layers.Layer):
    """Sees the own row and the `rows` - 1 above it, `columns` // 2 pixels to either side.

    Args:
        filters: output channels.
        rows, columns: size of the kernel, `columns` odd.
        use_bias: whether a bias is added.
        kernel_initializer: what the kernel starts from.
    """

    def __init__(
        self,
        filters,
        rows,
        columns,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.rows = rows
        self.columns = columns
        self.use_bias = use_bias
        self.kernel_initializer = kernel_initializer

    def build(self, input_shape):
        self.channels = input_shape[-1]
        shape = (self.rows, self.columns, self.channels, self.filters)
        self.kernel = self.add_weight(
            shape=shape, initializer=self.kernel_initializer, name="kernel"
        )
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")
        self.built = True

    def call(self, images):
        return self._convolved(images, self.rows - 1)  # (n, height, width, filters)

    def last_row(self, rows):
        """The outputs (n, width, filters) of the last of `rows` (n, rows, width, channels)."""
        return self._convolved(rows, 0)[:, 0]

    def _convolved(self, images, above):
        kernel = ops.cast(self.kernel, self.compute_dtype)
        side = self.columns // 2
        bias = ops.cast(self.bias, self.compute_dtype) if self.use_bias else None
        return backend.padded_conv(images, kernel, (above, 0), (side, side), bias)


@keras.saving.register_keras_serializable("kgen")
class HorizontalConv2D(keras.layers.Layer):
    """Sees the `kernel_size` // 2 pixels to the left and the colours that `mask_type` lets through.

    Args:
        filters: output channels.
        kernel_size: odd size of the square of which this is the left half of the middle row.
        mask_type: "A" (the colours before) or "B" (the own colour too).
        colours: of the image; 1 or 3.
        kernel_initializer: what the kernel starts from.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        mask_type,
        colours=1,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.mask_type = mask_type
        self.colours = colours
        self.kernel_initializer = kernel_initializer
        self.reach = kernel_size // 2  # pixels it sees to the left
        self.taps = self.reach + (mask_type == "B" or colours > 1)

    def build(self, input_shape):
        self.channels = input_shape[-1]
        shape = (self.taps, self.channels, self.filters)
        self.kernel = self.add_weight(
            shape=shape, initializer=self.kernel_initializer, name="kernel"
        )
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")
        self.built = True

    def call(self, inputs):
        if self.reach == 0:  # as one product of two matrices: faster than a convolution
            shape = (-1, *inputs.shape[1:-1], self.filters)
            flat = ops.reshape(inputs, (-1, self.channels))
            return ops.reshape(backend.affine(flat, *self.matrix_and_bias()), shape)
        if self.taps == self.reach:  # without the centre, the last pixel of a row is not seen
            inputs = inputs[:, :, :-1]
        kernel = self.masked_kernel()[None]
        return backend.padded_conv(inputs, kernel, (0, 0), (self.reach, 0), self.bias)

    def matrix_and_bias(self):
        """The kernel (taps * channels, filters) for a pixel after those to its left, and bias."""
        matrix = ops.reshape(self.masked_kernel(), (-1, self.filters))
        return matrix, ops.cast(self.bias, self.compute_dtype)

    def masked_kernel(self):
        """(taps, channels, filters) with zeros where the centre's colours may not be seen."""
        kernel = ops.cast(self.kernel, self.compute_dtype)
        if self.colours == 1:
            return kernel
        mask = np.ones(kernel.shape, "float32")
        inputs = np.arange(self.channels)[:, None] % self.colours
        outputs = np.arange(self.filters) % self.colours
        mask[-1] = inputs < outputs if self.mask_type == "A" else inputs <= outputs
        return kernel * ops.convert_to_tensor(mask, self.compute_dtype)


@keras.saving.register_keras_serializable("kgen")
class MaskedConv2D(keras.layers.Layer):
    """A square convolution of all pixels before each one (van den Oord et al. 2016a, section 3.4).

    Computed by one convolution without the rows below the centre. It keeps the zeros right of the
    centre, 1 tap of 6 for kernels of 3: without them it takes two convolutions, of the rows above
    and of the own row (`apart`), which are slower on TensorFlow, where the whole kernel may be
    faster still (`padded_conv`), and on PyTorch, but a fifth faster on JAX
    (benchmarks/studies/masked_convolution.py).

    Args:
        filters, kernel_size, mask_type, colours: as of `HorizontalConv2D`; kernels from 3.
    """

    def __init__(self, filters, kernel_size, mask_type, colours=1, **kwargs):
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.vertical = VerticalConv2D(filters, kernel_size // 2, kernel_size, use_bias=False)
        self.horizontal = HorizontalConv2D(filters, kernel_size, mask_type, colours)

    def build(self, input_shape):
        self.vertical.build(input_shape)
        self.horizontal.build(input_shape)
        self.built = True

    def call(self, images):
        side = self.kernel_size // 2
        own_row = self.horizontal.masked_kernel()
        unseen = self.kernel_size - own_row.shape[0]
        own_row = ops.pad(own_row, [[0, unseen], [0, 0], [0, 0]])
        above = ops.cast(self.vertical.kernel, self.compute_dtype)
        kernel = ops.concatenate([above, own_row[None]])  # (k // 2 + 1, k, channels, filters)
        bias = self.horizontal.bias
        return backend.padded_conv(images, kernel, (side, 0), (side, side), bias)
