"""Halved and doubled resolutions, for images of any size: 28 <-> 14 <-> 7, 15 <-> 8 <-> 4."""

import keras

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
