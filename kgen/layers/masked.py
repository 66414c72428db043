"""Masked convolutions, which see only the pixels before each one in raster order (rows first).

Of a square kernel only the taps that the mask keeps are stored and computed: the rows above the
centre and, in the centre's row, the taps left of the centre. Images are padded with zeros.

Within a pixel the channels are ordered, too (R, G, B). Feature i belongs to channel
i % image_channels. In the centre tap, a feature of type "A" sees the channels before its own, one
of type "B" its own as well.
"""

import keras
import numpy as np
from keras import ops

from kgen import backend


def shifted_down(images):
    """Images shifted down by one row; the first row is zero."""
    return ops.pad(images[:, :-1], [[0, 0], [1, 0], [0, 0], [0, 0]])


@keras.saving.register_keras_serializable("kgen")
class VerticalConv2D(keras.layers.Layer):
    """Convolution of the current row and the `rows` - 1 rows above it.

    It sees `columns` // 2 pixels to either side.

    Args:
        filters: output channels.
        rows, columns: size of the kernel, `columns` odd.
        use_bias: whether a bias is added.
        kernel_initializer: Keras initializer of the kernel.
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
        """The outputs (n, width, filters) at the last row of `rows` (n, rows, width, channels)."""
        return self._convolved(rows, 0)[:, 0]

    def _convolved(self, images, above):
        kernel = ops.cast(self.kernel, self.compute_dtype)
        side = self.columns // 2
        bias = ops.cast(self.bias, self.compute_dtype) if self.use_bias else None
        return backend.padded_conv(images, kernel, (above, 0), (side, side), bias)


@keras.saving.register_keras_serializable("kgen")
class HorizontalConv2D(keras.layers.Layer):
    """Convolution of the `kernel_size` // 2 pixels to the left, and of the pixel by `mask_type`.

    Args:
        filters: output channels.
        kernel_size: odd; this kernel is the left half of the middle row of a square so wide.
        mask_type: in the pixel itself, a feature sees the channels before its own ("A") or its own
            as well ("B").
        image_channels: channels of the image, 1 or 3.
        kernel_initializer: Keras initializer of the kernel.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        mask_type,
        image_channels=1,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.mask_type = mask_type
        self.image_channels = image_channels
        self.kernel_initializer = kernel_initializer
        self.reach = kernel_size // 2  # number of pixels seen to the left
        self.taps = self.reach + (mask_type == "B" or image_channels > 1)

    def build(self, input_shape):
        self.channels = input_shape[-1]
        shape = (self.taps, self.channels, self.filters)
        self.kernel = self.add_weight(
            shape=shape, initializer=self.kernel_initializer, name="kernel"
        )
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")
        self.built = True

    def call(self, inputs):
        if self.reach == 0:
            return backend.pointwise_conv(inputs, *self.matrix_and_bias())
        if self.taps == self.reach:  # no centre tap: the last pixel of a row is not seen
            inputs = inputs[:, :, :-1]
        kernel = self.masked_kernel()[None]
        return backend.padded_conv(inputs, kernel, (0, 0), (self.reach, 0), self.bias)

    def matrix_and_bias(self):
        """The kernel (taps * channels, filters), taps from left to right, and the bias."""
        matrix = ops.reshape(self.masked_kernel(), (-1, self.filters))
        return matrix, ops.cast(self.bias, self.compute_dtype)

    def masked_kernel(self):
        """The kernel (taps, channels, filters), zero where the mask hides the centre's channels."""
        kernel = ops.cast(self.kernel, self.compute_dtype)
        if self.image_channels == 1:
            return kernel
        mask = np.ones(kernel.shape, "float32")
        inputs = np.arange(self.channels)[:, None] % self.image_channels
        outputs = np.arange(self.filters) % self.image_channels
        mask[-1] = inputs < outputs if self.mask_type == "A" else inputs <= outputs
        return kernel * ops.convert_to_tensor(mask, self.compute_dtype)


@keras.saving.register_keras_serializable("kgen")
class MaskedConv2D(keras.layers.Layer):
    """Masked convolution: a square kernel that sees all pixels before each one.

    Source: van den Oord et al. 2016, arXiv:1601.06759, section 3.4.

    One convolution over the rows above and the current row; the taps right of the centre are zero.
    Two exact convolutions would be 20 % faster on JAX but slower on TensorFlow and PyTorch
    (benchmarks/studies/masked_convolution.py). On TensorFlow the whole square kernel may be faster
    still (`padded_conv` of the backend).

    Args:
        filters, kernel_size, mask_type, image_channels: see `HorizontalConv2D`; kernels from 3.
    """

    def __init__(self, filters, kernel_size, mask_type, image_channels=1, **kwargs):
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.vertical = VerticalConv2D(filters, kernel_size // 2, kernel_size, use_bias=False)
        self.horizontal = HorizontalConv2D(filters, kernel_size, mask_type, image_channels)

    def build(self, input_shape):
        self.vertical.build(input_shape)
        self.horizontal.build(input_shape)
        self.built = True

    def call(self, images):
        side = self.kernel_size // 2
        current_row = self.horizontal.masked_kernel()
        unseen = self.kernel_size - current_row.shape[0]
        current_row = ops.pad(current_row, [[0, unseen], [0, 0], [0, 0]])
        above = ops.cast(self.vertical.kernel, self.compute_dtype)
        kernel = ops.concatenate([above, current_row[None]])  # (k // 2 + 1, k, channels, filters)
        bias = self.horizontal.bias
        return backend.padded_conv(images, kernel, (side, 0), (side, side), bias)

    # === Pixel by pixel, see kgen/models/autoregressive/cached_convolutions.py ===

    @property
    def parts(self):
        return self.vertical, self.horizontal

    def first_pixel(self, count):
        return None  # the horizontal part has a cache of its own

    def first_row(self, count, width):
        return ops.zeros((count, width, self.vertical.filters), self.compute_dtype)

    def pixel_step(self, apply, x):
        apply.kept[self.name] = x
        return apply(self.horizontal, x) + apply.vertical_features[self.name]

    def row_step(self, apply, kept, above):
        return apply(self.vertical, kept)
