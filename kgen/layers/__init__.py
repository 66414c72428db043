"""Layers the models share."""

from kgen.layers.convolution import Conv2D, Conv2DTranspose
from kgen.layers.masked import HorizontalConv2D, MaskedConv2D, VerticalConv2D, shifted_down
from kgen.layers.pyramid import Doubling, halved_sizes

__all__ = [
    "Conv2D",
    "Conv2DTranspose",
    "Doubling",
    "HorizontalConv2D",
    "MaskedConv2D",
    "VerticalConv2D",
    "halved_sizes",
    "shifted_down",
]
