"""Dequantisation: where in its bin the continuous value of a pixel lies.

Uniform: Lucas Theis, Aaron van den Oord, Matthias Bethge: A note on the evaluation of generative
models. 2016, arXiv:1511.01844. Variational: Jonathan Ho et al.: Flow++: Improving Flow-Based
Generative Models with Variational Dequantization and Architecture Design. 2019, arXiv:1902.00275.

Both map uniform noise e in [0, 1)^D to offsets u in [0, 1]^D, and return log q(u|x), (n,). The
variational one (Ho et al., section 3.1) has a flow g that sees the image x:

    u = sigmoid(g(logit(e); x)),    log q(u|x) = -log|det du/de|

g is initialised as the identity, which makes it uniform dequantisation.

Deviations: g is four affine couplings instead of mixture couplings with attention. Its base noise
is logistic instead of normal, so that the initial q(u|x) is uniform.
"""

import math

from keras import layers, ops

from kgen.layers import Chain, CheckerboardCoupling, squeezing, zero_per_image

COUPLINGS = 4
MARGIN = 1e-6  # keeps noise off 0 and 1, whose logits are infinite


class UniformDequantization:
    """Uniform dequantisation: the offsets are the noise."""

    def offsets(self, images, noise):
        """Offsets for uint8 images (n, h, w, c) and noise of that shape, and log q(u|x), (n,)."""
        return noise, zero_per_image(noise)


class VariationalDequantization(layers.Layer):
    """Variational dequantisation; image and noise are squeezed where the sides are even.

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel.
        base_channels: channels of the hidden layers of each coupling's network.
    """

    def __init__(self, image_shape, levels, base_channels):
        super().__init__(dtype="float32")
        self.levels = levels
        bijections, shape = squeezing(image_shape)
        self.squeeze = Chain(bijections)
        self.couplings = [
            CheckerboardCoupling(shape, base_channels, number % 2, conditions=shape[-1])
            for number in range(COUPLINGS)
        ]
        self.built = True

    def offsets(self, images, noise):
        """See `UniformDequantization.offsets`; log q(u|x) is that of the flow g."""
        images = ops.cast(images, "float32") * (2.0 / (self.levels - 1)) - 1.0
        images, _ = self.squeeze.forward(images)  # (n, h/2, w/2, 4c)
        noise, _ = self.squeeze.forward(MARGIN + (1.0 - 2.0 * MARGIN) * noise)
        values = ops.log(noise) - ops.log1p(-noise)
        # The derivative of logit is 1 / sigmoid'; the noise was scaled by 1 - 2 MARGIN.
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
