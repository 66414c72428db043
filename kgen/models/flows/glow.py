"""Glow.

Diederik P. Kingma, Prafulla Dhariwal: Glow: Generative Flow with Invertible 1x1 Convolutions. 2018,
arXiv:1807.03039.

A bijection f of images to latents z ~ N(0, I) maximises the density that it implies (equations 3
and 4), as a bound on the mass of discrete images (`kgen/models/flows/base.py`):

    log p(x) = log N(f(x); 0, I) + sum over its steps h_i of log|det dh_i / dh_(i-1)|

As in the paper (figure 2, table 1): every scale squeezes 2x2 pixels into channels, then takes
`depth` steps of actnorm, which the first batch sets, an invertible 1x1 convolution and an affine
coupling; then half of the channels leave, their prior learned from the other half. Last layers
start at zero.

Deviations: the scale of a coupling is exp(2 tanh(s / 2)) instead of sigmoid(s + 2), so that it
enlarges as easily as it shrinks and stays within e^2; networks have neither actnorm nor scaled
outputs inside, and start with he_normal weights. Pixels pass through a logit first, as in Dinh et
al. 2017 (arXiv:1605.08803), but of 0.001 + 0.998 y instead of 0.05 + 0.9 y: it widens the one bin
that holds MNIST's black pixels. Where a side is odd a scale does not squeeze: 28 -> 14 -> 7 -> 7.
Three scales of 8 steps of width 48 instead of 32 steps of width 512, for a CPU.
"""

from typing import Literal

import keras

from kgen.bounds import Count, ImageShape, Levels, Repeats, Scales
from kgen.layers import ActNorm, AffineCoupling, InvertibleConv, squeezing
from kgen.models.flows.base import Flow


@keras.saving.register_keras_serializable("kgen")
class Glow(Flow):
    """Glow (Kingma & Dhariwal 2018).

    Args:
        image_shape: (height, width, channels); grey images need even sides.
        levels: values per pixel.
        scales: resolutions; after each but the last, half of the channels leave as latents.
        depth: steps of each scale.
        width: channels of the hidden layers of each coupling's network.
        dequantization: "uniform", or "variational" (Ho et al. 2019), a closer bound.

    Metrics: `loss`, a bound in nats per image, and the same in `bits_per_dimension`.
    """

    fewest_channels = 2  # every coupling splits them
    alpha = 1e-3  # black, one bin of 256 levels, becomes a ninth of the logits' range
    small_arguments = {"scales": 2, "depth": 1, "width": 4}

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        scales: Scales = 3,
        depth: Repeats = 8,
        width: Count = 48,
        dequantization: Literal["uniform", "variational"] = "uniform",
        **kwargs,
    ):
        super().__init__(image_shape, levels, scales, width, dequantization, **kwargs)
        self.depth = depth
        self.add_scales()

    def steps(self, shape, last):
        bijections, shape = squeezing(shape)
        for _ in range(self.depth):
            bijections += [
                ActNorm(shape[-1]),
                InvertibleConv(shape[-1]),
                AffineCoupling(shape, self.width),
            ]
        return bijections, shape
