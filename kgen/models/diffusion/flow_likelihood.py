"""The likelihood of a model whose sampling solves a differential equation.

Yang Song et al.: Score-Based Generative Modeling through Stochastic Differential Equations. 2020,
arXiv:2011.13456, section 4.3 and appendix D.2.

Where dy/ds = f(y, s) leads from an image to noise, the density changes by the divergence of f:

    log p(y_image) = log p(y_noise) + integral of div f(y, s) ds from image to noise

The divergence is the trace of the Jacobian J: exact, as the sum of e^T J e over the unit vectors e,
one for each of the D pixels; or estimated by one e of random signs (Hutchinson), without bias.

A pixel's level is that in whose bin the value lies, (level + u) / levels with u in [0, 1). So the
mean of log p over uniform u, less D log(levels / 2), is at most the log mass (Theis et al. 2016,
arXiv:1511.01844).
"""

import math
from typing import Annotated, Literal

import numpy as np
from keras import ops

from kgen import backend
from kgen.bounds import Bounds, Draws
from kgen.distributions import standard_normal_log_prob
from kgen.inference import in_chunks, inference
from kgen.models.diffusion import samplers

ODESteps = Annotated[int, Bounds(1, 10_000)]
IMAGES_PER_CHUNK = 64
MOST_EXACT = 32  # pixels of images whose divergence is exact


class FlowLikelihood:
    """Mixin: `log_prob` of a `Diffusion` model by the equation of the probability flow."""

    def log_prob(
        self,
        images,
        condition=None,
        draws: Draws = 1,
        seed=None,
        steps: ODESteps = 100,
        divergence: Literal["auto", "exact", "hutchinson"] = "auto",
    ):
        """An estimate, without bias, of a lower bound of log P(x) in nats per image, (n,).

        Two errors are left: the solver's, which doubling `steps` shows, and the noise of the draws,
        which `log_prob_draws` shows.

        Args:
            images: uint8 (n, height, width, channels).
            condition: n rows, in a conditional model.
            draws: of u and of the signs; their mean is returned.
            seed: of these.
            steps: of Heun's method.
            divergence: "exact", "hutchinson", or "auto": exact for images of up to 32 values.
        """
        given = {"draws": draws, "steps": steps, "divergence": divergence}
        return self.log_prob_draws(images, condition, seed=seed, **given).mean(axis=0)

    def log_prob_draws(
        self, images, condition=None, draws=1, seed=None, steps=100, divergence="auto"
    ):
        """The draws that `log_prob` is the mean of, float64 (draws, n).

        Their standard deviation tells how far one draw is off.
        """
        images = self.checked_items(images)
        condition = self.checked_condition(condition, len(images))
        if divergence == "auto":
            divergence = "exact" if self.latent_size <= MOST_EXACT else "hutchinson"
        schedule = samplers.schedule_of(self.noise_path, self.inversion_times(steps))
        generator = np.random.default_rng(seed)

        def draw():
            offsets = generator.random(images.shape, "float32")
            signs = generator.integers(0, 2, images.shape).astype("float32") * 2.0 - 1.0
            return in_chunks(
                lambda *rows: self._flow_log_prob(*rows, schedule, exact=divergence == "exact"),
                images,
                condition,
                offsets,
                signs,
                size=IMAGES_PER_CHUNK,
            )

        found = np.stack([draw() for _ in range(draws)]).astype("float64")
        return found - self.latent_size * math.log(0.5 * self.levels)

    @inference
    def _flow_log_prob(self, images, condition, offsets, signs, schedule, *, exact):
        x = self.values_of(images, lambda shape: offsets)
        given = self.embed(condition)
        start = samplers.row_of(schedule[0]).here
        end = samplers.row_of(schedule[-1]).there

        def direction(y, point):
            """f and div f (n,) at y."""
            scale = self.noise_path.coordinates(point)[1]

            def of(y):
                found = self.denoise(scale * y, point, given)
                return self.noise_path.direction(found.image, found.noise)

            return with_divergence(of, y, signs, exact)

        def step(carry, numbers):
            y, total = carry
            row = samplers.row_of(numbers)
            here, there = (self.noise_path.coordinates(p)[0] for p in (row.here, row.there))
            first, change = direction(y, row.here)
            second, next_change = direction(y + (there - here) * first, row.there)
            y = y + 0.5 * (there - here) * (first + second)
            return (y, total + 0.5 * (there - here) * (change + next_change)), ()

        scales = [self.noise_path.coordinates(point)[1] for point in (start, end)]
        first = (x / scales[0], ops.zeros_like(x[:, 0, 0, 0]))
        (y, total), _ = backend.scan(step, first, schedule)
        noise = ops.reshape(scales[1] * y, (-1, self.latent_size)) / self.prior_deviation
        log_density = standard_normal_log_prob(noise) + total
        stretched = ops.log(scales[1] / scales[0] / self.prior_deviation)
        return log_density + self.latent_size * stretched


def with_divergence(function, y, signs, exact):
    """`function(y)`, like y (n, h, w, c), and its divergence (n,), exact or by random signs."""
    if not exact:
        value, product = backend.value_and_vjp(function, y, signs)
        return value, ops.sum(product * signs, axis=(1, 2, 3))
    size = math.prod(y.shape[1:])
    units = ops.reshape(ops.eye(size, dtype="float32"), (size, 1, *y.shape[1:]))

    def add(total, unit):
        _, product = backend.value_and_vjp(function, y, ops.broadcast_to(unit, ops.shape(y)))
        return total + ops.sum(product * unit, axis=(1, 2, 3)), ()

    total, _ = backend.scan(add, ops.zeros_like(y[:, 0, 0, 0]), units)
    return function(y), total
