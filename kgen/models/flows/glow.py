"""Glow.

Diederik P. Kingma, Prafulla Dhariwal: Glow: Generative Flow with Invertible 1x1 Convolutions. 2018,
arXiv:1807.03039.

A bijection f maps images to latents z ~ N(0, I). Training maximises the density of the images
(equations 3 and 4), with h_i the output of step i of f:

    log p(x) = log N(f(x); 0, I) + sum over i of log|det dh_i / dh_(i-1)|

For discrete images this gives a lower bound on their mass (`kgen/models/flows/base.py`).

As in the paper (figure 2, table 1): every scale squeezes 2x2 pixels into channels, then has `depth`
steps of actnorm, an invertible 1x1 convolution and an affine coupling. The first batch initialises
the actnorms. Then half of the channels become latents; their prior depends on the other half. Last
layers of networks are initialised with zeros.

Deviations: the scale of a coupling is exp(2 tanh(s / 2)) instead of sigmoid(s + 2): it is bounded
by e^2 and treats enlarging and shrinking alike. A coupling's network has no actnorm and no scaled
outputs, and he_normal initial weights. Pixels are mapped by a logit first, as in Dinh et al. 2017
(arXiv:1605.08803), but of 0.001 + 0.998 y instead of 0.05 + 0.9 y, which widens the one bin that
holds MNIST's black pixels. A scale does not squeeze where a side is odd: 28 -> 14 -> 7 -> 7. Sizes
are for a CPU: three scales of 8 steps with 48 channels, instead of 32 steps with 512.
"""

from typing import Literal

import keras

from kgen.bounds import Count, ImageShape, Levels, Repeats, Scales
from kgen.layers import ActNorm, AffineCoupling, InvertibleConv, squeezing
from kgen.models.flows.base import Flow


@keras.saving.register_keras_serializable("kgen")
class Glow(Flow):
    """Glow (Kingma & Dhariwal 2018).

    Diederik P. Kingma, Prafulla Dhariwal: Glow: Generative Flow with Invertible 1x1 Convolutions.
    2018, arXiv:1807.03039. Maximises the density of the dequantised images (equations 3 and 4), h_i
    being the output of step i of the bijection f:

        log p(x) = log N(f(x); 0, I) + sum over i of log|det dh_i / dh_(i-1)|

    Args:
        image_shape: (height, width, channels); grey images need even sides.
        levels: values per pixel.
        scales: number of scales; after each but the last, half of the channels become latents.
        depth: steps per scale.
        base_channels: channels of the hidden layers of each coupling's network.
        dequantization: "uniform", or "variational" (Ho et al. 2019), a tighter bound.

    Metrics: `loss`, the negative bound in nats per image; `bits_per_dimension`, the same in bits.
    """

    fewest_channels = 2  # every coupling splits its channels
    alpha = 1e-3  # the bin of black, 1 of 256, becomes a ninth of the logits' range
    small_arguments = {"scales": 2, "depth": 1, "base_channels": 4}

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        scales: Scales = 3,
        depth: Repeats = 8,
        base_channels: Count = 48,
        dequantization: Literal["uniform", "variational"] = "uniform",
        **kwargs,
    ):
        super().__init__(image_shape, levels, scales, base_channels, dequantization, **kwargs)
        self.depth = depth
        self.add_scales()

    def steps(self, shape, last):
        bijections, shape = squeezing(shape)
        for _ in range(self.depth):
            bijections += [
                ActNorm(shape[-1]),
                InvertibleConv(shape[-1]),
                AffineCoupling(shape, self.base_channels),
            ]
        return bijections, shape
