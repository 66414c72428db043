"""Halved and doubled resolutions, for images of any size: 28 <-> 14 <-> 7, 15 <-> 8 <-> 4."""

import keras
from keras import ops

from kgen import backend
from kgen.layers.convolution import Conv2DTranspose


def pyramid_sizes(image_shape, below=8):
    """Sizes from (height, width) down, each half the one before: [(28, 20), (14, 10), (7, 5)].

    Halves are rounded up, as by strided convolutions. The last size has a side below `below`.
    """
    sizes = [tuple(image_shape[:2])]
    while min(sizes[-1]) >= below:
        height, width = sizes[-1]
        sizes.append((-(-height // 2), -(-width // 2)))
    return sizes


@keras.saving.register_keras_serializable("kgen")
class UpsampleConv(Conv2DTranspose):
    """Transposed convolution of stride 2 from half of `size`, rounded up, to `size`.

    For an odd size, twice the rounded-up half is one too many: the last row or column is cut off.
    Kernels of 4 overlap evenly at stride 2; odd ones would cause checkerboard artefacts.

    Args:
        filters: output channels.
        size: (height, width) of the output.
        kernel_size, kwargs: see `keras.layers.Conv2DTranspose`.
    """

    def __init__(self, filters, size, kernel_size=4, **kwargs):
        kwargs = {**kwargs, "strides": 2, "padding": "same"}
        super().__init__(filters, kernel_size, **kwargs)
        self.size = tuple(size)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *self.size, self.filters)

    def get_config(self):
        return {**super().get_config(), "size": self.size}


class NearestUpsampleConv(keras.layers.Layer):
    """Each pixel becomes 2x2, then a 3x3 convolution, cut to `size`: no checkerboard artefacts.

    Both are linear, so they are computed as one transposed convolution of kernel 4 and stride 2:
    16 products in place of 36 for each pixel of the input.

    Args:
        filters: output channels.
    """

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, x_shape):
        shape = (3, 3, x_shape[-1], self.filters)
        self.kernel = self.add_weight(shape=shape, initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")
        self.built = True

    def call(self, x, size):
        """Twice as large images, less the last row or column where `size`, (h, w), is odd."""
        kernel = ops.cast(self.kernel, self.compute_dtype)
        kernel = ops.swapaxes(ops.flip(kernel, (0, 1)), 2, 3)  # (3, 3, filters, channels)
        for axis in range(2):  # the full convolution with 2x2 ones: (4, 4, filters, channels)
            before, after = ([[0, 0]] * axis + [pad] + [[0, 0]] * (3 - axis) for pad in PADS)
            kernel = ops.pad(kernel, before) + ops.pad(kernel, after)
        shape = {"strides": (2, 2), "padding": "same", "output_padding": None}
        usual = {"data_format": "channels_last", "dilation_rate": (1, 1)}
        return backend.conv_transpose(x, kernel, **shape, **usual, bias=self.bias, size=size)


PADS = [1, 0], [0, 1]
