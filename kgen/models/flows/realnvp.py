"""Real-valued non-volume preserving flow.

Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio: Density estimation using Real NVP. 2017,
arXiv:1605.08803.

A bijection f of images to latents z ~ N(0, I) maximises the density that it implies (equation 3),
as a bound on the mass of discrete images (`kgen/models/flows/base.py`):

    log p(x) = log N(f(x); 0, I) + log|det df/dx|

Its steps are affine couplings: one part of the image is scaled and shifted by a network that sees
the other part alone (equations 4, 5). As in the paper (section 3.6): a scale has three couplings in
alternating checkerboard pattern, a squeeze of 2x2 pixels into channels and three couplings that
alternate halves of the channels; then half of the channels leave as latents. The last scale is four
checkerboard couplings. Pixels pass through a logit first.

Deviations: actnorm (Kingma & Dhariwal 2018, arXiv:1807.03039) instead of batch normalisation, so
that training and inference are one function; each network is three convolutions instead of
a residual network with weight normalisation; the scale's bound is fixed, exp(2 tanh(s / 2)); the
latents that leave have a learned prior. Where a side is odd a scale neither squeezes nor has its
channel couplings: 28 -> 14 -> 7.
"""

from typing import Literal

import keras

from kgen.bounds import Count, ImageShape, Levels, Scales
from kgen.layers import ActNorm, AffineCoupling, CheckerboardCoupling, squeezing
from kgen.models.flows.base import Flow


@keras.saving.register_keras_serializable("kgen")
class RealNVP(Flow):
    """Real-valued non-volume preserving flow (Dinh et al. 2017).

    Args:
        image_shape: (height, width, channels), 2 pixels or more.
        levels: values per pixel.
        scales: resolutions; after each but the last, half of the channels leave as latents.
        width: channels of the hidden layers of each coupling's network.
        dequantization: "uniform", or "variational" (Ho et al. 2019), a closer bound.

    Metrics: `loss`, a bound in nats per image, and the same in `bits_per_dimension`.
    """

    squeezes_last = False
    small_arguments = {"scales": 1, "width": 4, "dequantization": "variational"}

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        scales: Scales = 3,
        width: Count = 32,
        dequantization: Literal["uniform", "variational"] = "uniform",
        **kwargs,
    ):
        super().__init__(image_shape, levels, scales, width, dequantization, **kwargs)
        self.add_scales()

    def steps(self, shape, last):
        bijections = []
        for number in range(4 if last else 3):
            bijections += [
                ActNorm(shape[-1]),
                CheckerboardCoupling(shape, self.width, colour=number % 2),
            ]
        if last:
            return bijections, shape
        squeeze, shape = squeezing(shape)
        bijections += squeeze
        for changes in ("first", "last", "first") if squeeze else ():
            bijections += [ActNorm(shape[-1]), AffineCoupling(shape, self.width, changes)]
        return bijections, shape
