"""Where in its bin a pixel's continuous value lies.

Uniform: Lucas Theis, Aaron van den Oord, Matthias Bethge: A note on the evaluation of generative
models. 2016, arXiv:1511.01844. Variational: Jonathan Ho et al.: Flow++: Improving Flow-Based
Generative Models with Variational Dequantization and Architecture Design. 2019, arXiv:1902.00275.

Both take uniform noise e in [0, 1)^D to offsets u in [0, 1]^D, and give log q(u|x), (n,).
Variational (Ho et al., section 3.1):

    u = sigmoid(g(logit(e); x)),    log q(u|x) = -log|det du/de|

with a flow g that sees the image x and starts as the identity: as uniform dequantisation.

Deviations: g is four affine couplings instead of mixture couplings with attention; its base noise
is logistic instead of normal, which makes the start uniform.
"""

import math

from keras import layers, ops

from kgen.layers import Chain, CheckerboardCoupling, squeezing, zero_per_image

COUPLINGS = 4
MARGIN = 1e-6  # noise stays off 0 and 1, whose logits are infinite


class UniformDequantization:
    """The noise itself."""

    def offsets(self, images, noise):
        """Offsets of uint8 images (n, h, w, c) for noise of their shape, and log q(u|x) (n,)."""
        return noise, zero_per_image(noise)


class VariationalDequantization(layers.Layer):
    """A flow that sees the image; both are squeezed where the sides are even.

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel.
        width: channels of the hidden layers of each coupling's network.
    """

    def __init__(self, image_shape, levels, width):
        super().__init__(dtype="float32")
        self.levels = levels
        bijections, shape = squeezing(image_shape)
        self.squeeze = Chain(bijections)
        self.couplings = [
            CheckerboardCoupling(shape, width, number % 2, conditions=shape[-1])
            for number in range(COUPLINGS)
        ]
        self.built = True

    def offsets(self, images, noise):
        """As of `UniformDequantization`."""
        images = ops.cast(images, "float32") * (2.0 / (self.levels - 1)) - 1.0
        images, _ = self.squeeze.forward(images)  # (n, h/2, w/2, 4c)
        noise, _ = self.squeeze.forward(MARGIN + (1.0 - 2.0 * MARGIN) * noise)
        values = ops.log(noise) - ops.log1p(-noise)
        # The logit's slope is one over the sigmoid's; the noise was shrunk by 1 - 2 MARGIN.
        shrunk = math.prod(noise.shape[1:]) * math.log1p(-2.0 * MARGIN)
        log_q = ops.sum(log_slope_of_sigmoid(values), axis=(1, 2, 3)) - shrunk
        for coupling in self.couplings:
            values, change = coupling.forward(values, images)
            log_q = log_q - change
        log_q = log_q - ops.sum(log_slope_of_sigmoid(values), axis=(1, 2, 3))
        return self.squeeze.inverse(ops.sigmoid(values)), log_q


def log_slope_of_sigmoid(values):
    """log d sigmoid(v) / dv = log sigmoid(v) + log sigmoid(-v)."""
    return -ops.softplus(values) - ops.softplus(-values)
