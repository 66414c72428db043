"""Denoising diffusion probabilistic model (DDPM).

Jonathan Ho, Ajay Jain, Pieter Abbeel: Denoising Diffusion Probabilistic Models. 2020,
arXiv:2006.11239.

A fixed chain adds noise to an image in T steps (equation 4), alpha_t^2 being the paper's
alpha_bar_t:

    q(x_t | x_0) = N(x_t; alpha_t x_0, sigma_t^2 I),   alpha_t^2 + sigma_t^2 = 1

A network predicts the noise; training minimises (equation 14)

    E_{t, x_0, eps} |eps - eps_theta(alpha_t x_0 + sigma_t eps, t)|^2

Sampling draws x_T ~ N(0, I), then x_t-1 ~ p(x_t-1 | x_t) for t = T, ..., 1. The likelihood has the
lower bound (equation 5)

    log p(x_0) >= log p(x_0 | x_1) - sum_{t=2..T} KL( q(x_t-1 | x_t, x_0) || p(x_t-1 | x_t) )
                  - KL( q(x_T | x_0) || N(0, I) )

with x_t ~ q(x_t | x_0). p(x_0 | x_1) is a discretised Gaussian (equation 13).

Deviations: a smaller U-Net. For T other than 1,000 the betas are scaled by 1000 / T, or x_T would
not be noise. Predicted images are clipped to [-1, 1], in sampling and in the bound, as in the
authors' code.
"""

import math
from typing import Annotated, ClassVar, Literal

import keras
import numpy as np
from keras import ops

from kgen import backend
from kgen.bounds import Bounds, ImageShape, Levels, Number
from kgen.distributions import DiscretisedNormal, normal_kl_between
from kgen.errors import KgenError
from kgen.inference import inference, iterated
from kgen.models.diffusion import samplers
from kgen.models.diffusion.base import Diffusion, Guidance, Sampler
from kgen.models.diffusion.paths import DiscretePath, linear_betas, trailing_times
from kgen.models.diffusion.predictions import NoisePrediction

Timesteps = Annotated[int, Bounds(20, 65_536)]  # below 20 betas of 0.02 * 1000 / T exceed 1


@keras.saving.register_keras_serializable("kgen")
class DDPM(Diffusion):
    """Denoising diffusion probabilistic model (Ho et al. 2020).

    Jonathan Ho, Ajay Jain, Pieter Abbeel: Denoising Diffusion Probabilistic Models. 2020,
    arXiv:2006.11239. Minimises the squared error of the predicted noise (equation 14):

        E_{t, x_0, eps} |eps - eps_theta(alpha_t x_0 + sigma_t eps, t)|^2

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel.
        timesteps: T, from 20.
        variance: of p(x_t-1 | x_t): "fixed_large", beta_t, or "fixed_small", that of
            q(x_t-1 | x_t, x_0), which is better in few steps.
        kwargs: see `Diffusion`.

    Metrics: `loss`, the mean squared error of the noise per pixel; below 1.

    Examples:
        >>> model = kgen.DDPM((8, 8, 1), levels=17, base_channels=8, multipliers=(1, 2))
        >>> model.sample(2, seed=0, steps=4, sampler="ddim").shape
        (2, 8, 8, 1)
    """

    small_arguments: ClassVar[dict] = {**Diffusion.small_arguments, "timesteps": 20}
    picture_arguments: ClassVar[dict] = {"sampler": "ddim", "steps": 50}
    clips = True
    prediction = NoisePrediction()

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        timesteps: Timesteps = 1000,
        variance: Literal["fixed_small", "fixed_large"] = "fixed_large",
        **kwargs,
    ):
        self.timesteps, self.variance = timesteps, variance
        self.noise_path = DiscretePath(self.betas())
        super().__init__(image_shape, levels, **kwargs)
        self.decoder = DiscretisedNormal(levels)

    def betas(self):
        """beta_1 to beta_T, float64 (T,)."""
        return linear_betas(self.timesteps)

    def draw_times(self, uniform):
        return 1 + ops.cast(uniform * self.timesteps, "int32")  # 1..T

    def noise_level(self, point):
        return ops.cast(point.time, "float32") / self.timesteps

    def times(self, steps):
        return trailing_times(self.timesteps, min(steps, self.timesteps))

    def inversion_times(self, steps):
        return np.append(1, self.times(steps)[-2::-1])[int(steps >= self.timesteps) :]

    def interpreted(self, output, x, point):
        found = super().interpreted(output, x, point)
        return found._replace(variance=float(self.variance == "fixed_large"))

    # === Inference ===

    def sample(
        self,
        count=None,
        condition=None,
        seed=None,
        steps: Number | None = None,
        sampler: Sampler = "ancestral",
        guidance: Guidance = 1.0,
    ):
        """`count` images, uint8 up to 256 levels.

        Args:
            count, condition, seed: see `GenerativeModel.sample`.
            steps: of the T steps, evenly spaced; None for all. Each evaluates the network once,
                twice with "heun".
            sampler: "ancestral", which draws x_t-1 ~ p(x_t-1 | x_t); or without noise "ddim",
                "heun" or "dpm_solver++".
            guidance: weight of the condition: 1 plain, 0 unconditional, above 1 exaggerated.
        """
        given = self.sampling_arguments(steps=steps, sampler=sampler, guidance=guidance)
        times = self.times(given["steps"] or self.timesteps)
        schedule = samplers.schedule_of(self.noise_path, times, given["guidance"])
        return self.sampled(count, condition, seed, given["sampler"], schedule)

    def log_prob(self, images, condition=None, seed=None, steps: Number | None = None):
        """The lower bound of log p(x) in nats per image, (n,), with one draw x_t for each t.

        Args:
            images: uint8 (n, height, width, channels).
            condition: n rows, in a conditional model.
            seed: of the draws x_t.
            steps: terms of the sum to compute, from 2: log p(x_0 | x_1) and others drawn at
                random, an estimate without bias. None for all T.

        Raises:
            KgenError: for images the model does not take, or fewer than 2 steps.
        """
        images = self.checked_items(images)
        condition = self.checked_condition(condition, len(images))
        schedule = self._bound_schedule(steps or self.timesteps, seed)
        given = {"images": images, "condition": condition}
        start = np.zeros(images.shape, "float32")
        bound = iterated(self._bound_block, start, schedule, seed, given).sum(axis=(1, 2, 3))
        return bound.astype("float64") - self._prior_kl(images)

    def _bound_schedule(self, steps, seed):
        """The steps whose terms are summed, and in the column `scale` their weights."""
        if steps < 2:
            raise KgenError(f"Expected at least 2 steps, received {steps}: give a larger number.")
        steps = min(steps, self.timesteps)
        offset = np.random.default_rng(seed).random()
        others = (np.arange(steps - 1) + offset) * ((self.timesteps - 1) / (steps - 1))
        times = np.append(1, 2 + np.floor(others).astype("int64"))
        pairs = [samplers.schedule_of(self.noise_path, np.array([t, t - 1])) for t in times]
        schedule = np.concatenate(pairs)
        schedule[1:, 0] = (self.timesteps - 1) / (steps - 1)
        return schedule

    def _prior_kl(self, images):
        """KL( q(x_T | x_0) || N(0, I) ) of each image, nats (n,)."""
        alpha, sigma = self.noise_path.alphas[-1], self.noise_path.sigmas[-1]
        x = np.asarray(images, "float64") * (2.0 / (self.levels - 1)) - 1.0
        terms = sigma**2 + (alpha * x) ** 2 - 1.0 - 2.0 * math.log(sigma)
        return 0.5 * terms.sum(axis=(1, 2, 3))

    @inference
    def _bound_block(self, total, schedule, noise, given):
        """Adds the terms of some t to `total`, nats for every pixel."""
        image = self.values_of(given["images"])
        embedded = self.embed(given["condition"])

        def add(total, inputs):
            row, noise = samplers.row_of(inputs[0]), inputs[1]
            x = row.here.alpha * image + row.here.sigma * noise
            found = self.denoise(x, row.here, embedded)
            term = self.bound_term(given["images"], image, noise, found, row.here, row.there)
            return total + row.scale * term, ()

        return backend.scan(add, total, (schedule, noise))[0]

    def bound_term(self, images, image, noise, found, here, there):
        """The term of one t of the bound, nats for every pixel; at t = 1 log p(x_0 | x_1).

        Args:
            images, image: levels, and the same as floats in [-1, 1].
            noise: eps in x_t = alpha_t image + sigma_t eps.
            found: `samplers.Denoised` of x_t.
            here, there: the points t and t - 1.
        """
        mean, log_variance = samplers.posterior(here, there, *found)
        true_mean, true_log_variance = samplers.posterior(here, there, image, noise, 0.0)
        kl = normal_kl_between(true_mean, true_log_variance, mean, log_variance)
        decoded = self.decoder.log_prob(images, mean, self.decoder_log_variance(found))
        return ops.where(there.sigma > 0.0, -kl, decoded)

    def decoder_log_variance(self, found):
        """That of p(x_0 | x_1), a scalar: as t = 1 has no q(x_0 | x_1, x_0), that of t = 2."""
        return math.log(
            self.noise_path.sigmas[1] ** 2
            / self.noise_path.sigmas[2] ** 2
            * self.noise_path.betas[1]
        )
