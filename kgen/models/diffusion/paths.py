"""Paths from images to noise: x_t = alpha_t x + sigma_t eps, with eps ~ N(0, I).

Every model of the family follows such a path; what differs is how alpha and sigma depend on the
time t. The functions take NumPy arrays (schedules, in float64) and tensors (training) alike.
"""

from typing import NamedTuple

import numpy as np
from keras import ops

from kgen.errors import KgenError

LARGEST_PRIOR_KL = 1e-3  # bits per dimension; above it x_T is not noise


class Point(NamedTuple):
    """A point of a path: the time t, alpha_t and sigma_t."""

    time: float
    alpha: float
    sigma: float


class Path:
    """Base class: a path whose ordinary differential equation is solved for y = x / alpha.

    In y and s = sigma / alpha the equation of the probability flow is dy/ds = eps, for any alpha
    and sigma (Karras et al. 2022, arXiv:2206.00364, appendix B).
    """

    def at(self, time):
        """The `Point` of times, numbers or arrays."""
        raise NotImplementedError

    def direction(self, image, noise):
        """What a solver takes as constant over a step, from predictions of image and noise."""
        return noise

    def coordinates(self, point):
        """(s, scale) of the equation d(x / scale)/ds = direction at a point."""
        return point.sigma / point.alpha, point.alpha

    def advance(self, x, direction, here, there):
        """x of the point `here` moved to the point `there` along a constant direction."""
        ratio = there.alpha / here.alpha
        return ratio * x + (there.sigma - ratio * here.sigma) * direction


class ExplodingPath(Path):
    """alpha = 1, sigma = t: noise is added until it drowns the image (Karras et al. 2022)."""

    def at(self, time):
        return Point(time, 0.0 * time + 1.0, time)


class StraightenedPath(Path):
    """Base class: a path whose equation is solved for z = x / (alpha + sigma).

    With r = alpha / (alpha + sigma) it is z = r image + (1 - r) noise, a straight line, and the
    equation is dz/dr = image - noise. Unlike s = sigma / alpha, r is finite where alpha is 0, and
    changes little where alpha is nearly 0, as at the end of a cosine schedule.
    """

    def direction(self, image, noise):
        return image - noise

    def coordinates(self, point):
        scale = point.alpha + point.sigma
        return point.alpha / scale, scale

    def advance(self, x, direction, here, there):
        (r, scale), (next_r, next_scale) = self.coordinates(here), self.coordinates(there)
        return next_scale * (x / scale + (next_r - r) * direction)


class StraightPath(StraightenedPath):
    """alpha = t, sigma = 1 - t: a straight line from noise (t = 0) to the image (t = 1).

    Xingchao Liu, Chengyue Gong, Qiang Liu: Flow Straight and Fast. 2022, arXiv:2209.03003. The
    equation is that of x itself, dx/dt = u = image - noise.
    """

    def at(self, time):
        return Point(time, time, 1.0 - time)


class DiscretePath(StraightenedPath):
    """A Markov chain x_0, ..., x_T that keeps the variance: alpha^2 + sigma^2 = 1.

    Jonathan Ho, Ajay Jain, Pieter Abbeel: Denoising Diffusion Probabilistic Models. 2020,
    arXiv:2006.11239, equations 2 and 4. Step t adds noise of variance beta_t. Times are whole
    numbers 0..T.

    Args:
        betas: float64 (T,), beta_1 to beta_T.

    Raises:
        KgenError: if x_T is not noise: its KL divergence from N(0, I) exceeds 0.001 bits per
            dimension.
    """

    def __init__(self, betas):
        kept = np.concatenate([[1.0], np.cumprod(1.0 - np.asarray(betas, "float64"))])
        self.betas = np.asarray(betas, "float64")
        self.alphas, self.sigmas = np.sqrt(kept), np.sqrt(1.0 - kept)  # (T + 1,)
        if self.prior_kl > LARGEST_PRIOR_KL:
            raise KgenError(
                f"Expected a schedule that ends in noise, received {len(betas)} steps after which "
                f"sqrt(alpha_bar) is {self.alphas[-1]:.3f}, {self.prior_kl:.3f} bits per dimension "
                "from noise: choose larger betas, or another schedule."
            )

    @property
    def steps(self):
        """T."""
        return len(self.betas)

    @property
    def prior_kl(self):
        """The largest KL( q(x_T|x) || N(0, I) ) of x in [-1, 1], bits per dimension."""
        alpha, sigma = self.alphas[-1], self.sigmas[-1]
        return 0.5 * (alpha**2 + sigma**2 - 1.0 - 2.0 * np.log(sigma)) / np.log(2.0)

    def at(self, time):
        if isinstance(time, np.ndarray):
            return Point(time, self.alphas[time], self.sigmas[time])
        tables = (table.astype("float32") for table in (self.alphas, self.sigmas))
        return Point(time, *(ops.take(table, time, axis=0) for table in tables))


def linear_betas(steps):
    """The betas of Ho et al. 2020, 0.0001 to 0.02 for 1,000 steps, scaled for another number."""
    scale = 1000.0 / steps
    return np.minimum(np.linspace(1e-4 * scale, 0.02 * scale, steps), 0.999)


def cosine_betas(steps, offset=0.008):
    """The betas of Alex Nichol, Prafulla Dhariwal: Improved Denoising Diffusion Probabilistic
    Models. 2021, arXiv:2102.09672, equation 17, at most 0.999.
    """
    times = np.linspace(0.0, 1.0, steps + 1)
    kept = np.cos((times + offset) / (1.0 + offset) * np.pi / 2.0) ** 2
    return np.minimum(1.0 - kept[1:] / kept[:-1], 0.999)


def karras_sigmas(steps, smallest=0.002, largest=80.0, rho=7.0):
    """Noise levels of Karras et al. 2022, equation 5: float64 (steps + 1,), the last one 0."""
    if steps == 1:
        return np.array([largest, 0.0])
    ends = largest ** (1.0 / rho), smallest ** (1.0 / rho)
    return np.append(np.linspace(*ends, steps) ** rho, 0.0)


def trailing_times(last, steps):
    """Whole times from `last` to 0, evenly spaced: (steps + 1,).

    They begin at the noise, as Lin et al. 2023, arXiv:2305.08891, section 3.3, ask ("trailing").
    """
    return np.round(np.linspace(last, 0, steps + 1)).astype("int64")
