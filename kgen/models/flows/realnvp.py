"""Real-valued non-volume preserving flow.

Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio: Density estimation using Real NVP. 2017,
arXiv:1605.08803.

A bijection f maps images to latents z ~ N(0, I). Training maximises the density of the images
(equation 3):

    log p(x) = log N(f(x); 0, I) + log|det df/dx|

For discrete images this gives a lower bound on their mass (`kgen/models/flows/base.py`).

The steps of f are affine couplings: a network that sees one part of the image scales and shifts the
other part (equations 4 and 5). As in the paper (section 3.6): a scale has three couplings with
alternating checkerboard masks, a squeeze of 2x2 pixels into channels, and three couplings that
alternate between halves of the channels. Then half of the channels become latents. The last scale
is four checkerboard couplings. Pixels are mapped by a logit first.

Deviations: actnorm (Kingma & Dhariwal 2018, arXiv:1807.03039) instead of batch normalisation, so
that training and inference compute the same function. Each network is three convolutions instead of
a residual network with weight normalisation. The scale has a fixed bound, exp(2 tanh(s / 2)). The
latents of all scales but the last have a learned prior. Where a side is odd, a scale has neither
squeeze nor channel couplings: 28 -> 14 -> 7.
"""

from typing import Literal

import keras

from kgen.bounds import Count, ImageShape, Levels, Scales
from kgen.layers import ActNorm, AffineCoupling, CheckerboardCoupling, squeezing
from kgen.models.flows.base import Flow


@keras.saving.register_keras_serializable("kgen")
class RealNVP(Flow):
    """Real-valued non-volume preserving flow (Dinh et al. 2017).

    Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio: Density estimation using Real NVP. 2017,
    arXiv:1605.08803. Maximises the density of the dequantised images (equation 3), f a bijection:

        log p(x) = log N(f(x); 0, I) + log|det df/dx|

    Args:
        image_shape: (height, width, channels), 2 pixels or more.
        levels: values per pixel.
        scales: number of scales; after each but the last, half of the channels become latents.
        base_channels: channels of the hidden layers of each coupling's network.
        dequantization: "uniform", or "variational" (Ho et al. 2019), a tighter bound.

    Metrics: `loss`, the negative bound in nats per image; `bits_per_dimension`, the same in bits.
    """

    squeezes_last = False
    small_arguments = {"scales": 1, "base_channels": 4, "dequantization": "variational"}

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        scales: Scales = 3,
        base_channels: Count = 32,
        dequantization: Literal["uniform", "variational"] = "uniform",
        **kwargs,
    ):
        super().__init__(image_shape, levels, scales, base_channels, dequantization, **kwargs)
        self.add_scales()

    def steps(self, shape, last):
        bijections = []
        for number in range(4 if last else 3):
            bijections += [
                ActNorm(shape[-1]),
                CheckerboardCoupling(shape, self.base_channels, colour=number % 2),
            ]
        if last:
            return bijections, shape
        squeeze, shape = squeezing(shape)
        bijections += squeeze
        for changes in ("first", "last", "first") if squeeze else ():
            bijections += [ActNorm(shape[-1]), AffineCoupling(shape, self.base_channels, changes)]
        return bijections, shape
