"""Layers that models share."""

import kgen.chosen_backend  # noqa: F401  # before Keras
from kgen.layers.batch_statistics import MinibatchDeviation, SumPooling
from kgen.layers.bijections import (
    ActNorm,
    AffineCoupling,
    Chain,
    CheckerboardCoupling,
    InvertibleConv,
    squeezed_shape,
    squeezing,
    zero_per_image,
)
from kgen.layers.codebook import Codebook
from kgen.layers.convolution import Conv2D, Conv2DTranspose
from kgen.layers.dropout import Dropout
from kgen.layers.embeddings import ConditionEmbedding, TimeEmbedding
from kgen.layers.masked import HorizontalConv2D, MaskedConv2D, VerticalConv2D, shifted_down
from kgen.layers.masked_dense import MaskedDense
from kgen.layers.normalisation import (
    AdaptiveGroupNormalization,
    BatchNormalization,
    ConditionalBatchNormalization,
    GroupNormalization,
)
from kgen.layers.pyramid import NearestUpsampleConv, UpsampleConv, pyramid_sizes
from kgen.layers.recurrent import GRU
from kgen.layers.spectral import SpectralNormalization
from kgen.layers.text import RecurrentTextEncoder, TransformerTextEncoder
from kgen.layers.unet import UNet

__all__ = [
    "GRU",
    "ActNorm",
    "AdaptiveGroupNormalization",
    "AffineCoupling",
    "BatchNormalization",
    "Chain",
    "CheckerboardCoupling",
    "Codebook",
    "ConditionEmbedding",
    "ConditionalBatchNormalization",
    "Conv2D",
    "Conv2DTranspose",
    "Dropout",
    "GroupNormalization",
    "HorizontalConv2D",
    "InvertibleConv",
    "MaskedConv2D",
    "MaskedDense",
    "MinibatchDeviation",
    "NearestUpsampleConv",
    "RecurrentTextEncoder",
    "SpectralNormalization",
    "SumPooling",
    "TimeEmbedding",
    "TransformerTextEncoder",
    "UNet",
    "UpsampleConv",
    "VerticalConv2D",
    "pyramid_sizes",
    "shifted_down",
    "squeezed_shape",
    "squeezing",
    "zero_per_image",
]
