"""Layers the models share."""

from kgen.layers.convolution import Conv2D, Conv2DTranspose
from kgen.layers.pyramid import Doubling, halved_sizes

__all__ = ["Conv2D", "Conv2DTranspose", "Doubling", "halved_sizes"]
