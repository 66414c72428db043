"""Layers the models share."""

from kgen.layers.bijections import (
    ActNorm,
    AffineCoupling,
    Chain,
    CheckerboardCoupling,
    InvertibleConv,
    squeezing,
    zero_per_image,
)
from kgen.layers.convolution import Conv2D, Conv2DTranspose
from kgen.layers.pyramid import Doubling, halved_sizes

__all__ = [
    "ActNorm",
    "AffineCoupling",
    "Chain",
    "CheckerboardCoupling",
    "Conv2D",
    "Conv2DTranspose",
    "Doubling",
    "InvertibleConv",
    "halved_sizes",
    "squeezing",
    "zero_per_image",
]
