"""Samplers of diffusion models against closed forms.

No network takes part. The best denoiser of Gaussian data, and of mixtures of these, is known.
"""

import math
from typing import NamedTuple

import numpy as np
import pytest
from keras import ops

from kgen.models.diffusion import samplers
from kgen.models.diffusion.edm import churned
from kgen.models.diffusion.paths import (
    DiscretePath,
    ExplodingPath,
    Path,
    StraightPath,
    cosine_betas,
    karras_sigmas,
    linear_betas,
    trailing_times,
)
from kgen.testing.comparing import array

TIMESTEPS = 1000


class Route(NamedTuple):
    """A path, and its times of sampling in so many steps."""

    path: Path
    times: object


ROUTES = {
    "exploding": Route(ExplodingPath(), karras_sigmas),
    "straight": Route(StraightPath(), lambda steps: np.linspace(0.0, 1.0, steps + 1)),
    "linear": Route(
        DiscretePath(linear_betas(TIMESTEPS)), lambda steps: trailing_times(TIMESTEPS, steps)
    ),
    "cosine": Route(
        DiscretePath(cosine_betas(TIMESTEPS)), lambda steps: trailing_times(TIMESTEPS, steps)
    ),
}


def tensor(values):
    return ops.convert_to_tensor(np.asarray(values, "float32"))


class Gaussian:
    """Data N(mean, covariance) in two dimensions, and the best denoiser of x at a point.

    Args:
        covariance: (2, 2).
        variance: of `Denoised`.
    """

    def __init__(self, covariance=((0.5, 0.2), (0.2, 0.15)), variance=0.0):
        self.mean, self.covariance = np.array([0.4, -0.3]), np.array(covariance)
        self.values, self.vectors = np.linalg.eigh(self.covariance)
        self.variance = variance

    def denoise(self, x, point):
        mean, values, vectors = map(tensor, (self.mean, self.values, self.vectors))
        centred = ops.matmul(x - point.alpha * mean, vectors)
        scaled = centred / (point.alpha**2 * values + point.sigma**2)
        image = mean + ops.matmul(point.alpha * values * scaled, ops.transpose(vectors))
        noise = ops.matmul(point.sigma * scaled, ops.transpose(vectors))
        return samplers.Denoised(image, noise, self.variance)

    def root(self, alpha, sigma):
        """The symmetric root of the covariance of x at a point."""
        deviations = np.sqrt(alpha**2 * self.values + sigma**2)
        return self.vectors * deviations @ self.vectors.T

    def ends(self, schedule):
        """(alpha, sigma) of a schedule's first and last points, in float64."""
        return schedule[0, 3:5].astype("float64"), schedule[-1, 9:11].astype("float64")

    def flow(self, schedule, x):
        """Where the probability flow leads x (n, 2) from a schedule's first point to its last."""
        (alpha, sigma), (last_alpha, last_sigma) = self.ends(schedule)
        whitened = (x - alpha * self.mean) @ np.linalg.inv(self.root(alpha, sigma))
        return last_alpha * self.mean + whitened @ self.root(last_alpha, last_sigma)

    def moments(self, sampler, route, schedule):
        """Mean and covariance after a schedule, of x that begins as noisy data are.

        The best denoiser is affine, and so is the sampler: it is run on 0 and on the unit vectors
        of all noise, which gives both without drawing any.
        """
        (alpha, sigma), _ = self.ends(schedule)
        size = 2 * (len(schedule) + 1)
        units = np.concatenate([np.zeros((1, size)), np.eye(size)]).reshape(-1, size // 2, 2)
        start = alpha * self.mean + units[:, 0] @ self.root(alpha, sigma)
        moved = run(sampler, route, self.denoise, start, schedule, np.moveaxis(units[:, 1:], 1, 0))
        mean, columns = moved[0], moved[1:] - moved[0]
        return mean, columns.T @ columns


def run(sampler, route, denoise, x, schedule, noise=None):
    """x (n, ...) after a schedule, float64."""
    step = samplers.STEPS.get(sampler, sampler)
    noise = None if noise is None else tensor(noise)
    moved = samplers.run(step, denoise, route.path, tensor(x), tensor(schedule), noise)
    return array(moved).astype("float64")


def schedule_of(name, steps, churn=0.0):
    schedule = samplers.schedule_of(ROUTES[name].path, ROUTES[name].times(steps))
    return churned(schedule, churn) if churn else schedule


# === Samplers on Gaussian data ===

MOMENTS = {  # the largest errors of mean and covariance
    "ddim": 0.02,
    "heun": 0.001,
    "dpm_solver++": 0.001,
    "ancestral": 0.04,
}


@pytest.mark.parametrize("name", ROUTES)
@pytest.mark.parametrize("sampler", [*MOMENTS, "ancestral, large"])
def test_samplers_return_the_moments_of_gaussian_data(sampler, name):
    data = Gaussian(variance=float("large" in sampler))
    sampler = sampler.removesuffix(", large")
    mean, covariance = data.moments(sampler, ROUTES[name], schedule_of(name, 200))
    np.testing.assert_allclose(mean, data.mean, atol=MOMENTS[sampler])
    np.testing.assert_allclose(covariance, data.covariance, atol=MOMENTS[sampler])


def test_churned_heun_returns_the_moments_of_gaussian_data():
    data, schedule = Gaussian(), schedule_of("exploding", 200, churn=40.0)
    assert (schedule[:, 1] > 0.0).all()
    mean, covariance = data.moments("heun", ROUTES["exploding"], schedule)
    np.testing.assert_allclose(mean, data.mean, atol=0.005)
    np.testing.assert_allclose(covariance, data.covariance, atol=0.005)


ORDERS = {"ddim": 1, "euler": 1, "heun": 2, "dpm_solver++": 2, "rk4": 4}


@pytest.mark.parametrize(
    ("sampler", "name"),
    [
        *((sampler, "straight") for sampler in ORDERS),
        *((sampler, "exploding") for sampler in ("ddim", "heun", "dpm_solver++")),
    ],
)
def test_errors_fall_with_the_steps_as_the_order_says(sampler, name):
    data, steps = Gaussian(), 8 if sampler == "rk4" else 256
    start = 2.0 * np.random.default_rng(0).standard_normal((8, 2))
    errors = []
    for count in (steps, 2 * steps):
        schedule = schedule_of(name, count)
        x = start * schedule[0, 4]
        moved = run(sampler, ROUTES[name], data.denoise, x, schedule)
        errors.append(np.abs(moved - data.flow(schedule, x)).max())
    order = math.log2(errors[0] / errors[1])
    assert ORDERS[sampler] - 0.25 < order < ORDERS[sampler] + 0.5


@pytest.mark.parametrize("name", ["linear", "cosine"])
@pytest.mark.parametrize(("variance", "covariance"), [(0.0, np.zeros((2, 2))), (1.0, np.eye(2))])
def test_ancestral_variances_are_exact_for_one_point_and_for_a_standard_normal(
    name, variance, covariance
):
    """The fixed-small and the fixed-large one (Ho et al. 2020, section 3.2); in any few steps."""
    data, schedule = Gaussian(covariance, variance), schedule_of(name, 7)[:-1]
    found, (_, (alpha, sigma)) = (
        data.moments("ancestral", ROUTES[name], schedule),
        data.ends(schedule),
    )
    np.testing.assert_allclose(found[0], alpha * data.mean, atol=1e-5)
    expected = alpha**2 * data.covariance + sigma**2 * np.eye(2)
    np.testing.assert_allclose(found[1], expected, atol=1e-5)


# === Samplers on a ring of eight modes ===

ANGLES = 2.0 * np.pi * np.arange(8) / 8
CENTRES = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
WEIGHTS = np.arange(1.0, 9.0) / 36.0
DEVIATION = 0.05  # of a mode


def ring(x, point):
    """The best denoiser of a mixture of eight Gaussians on a circle, with different weights."""
    variance = (point.alpha * DEVIATION) ** 2 + point.sigma**2
    apart = x[:, None, :] - point.alpha * tensor(CENTRES)  # (n, 8, 2)
    logits = tensor(np.log(WEIGHTS)) - 0.5 * ops.sum(apart**2, axis=-1) / variance
    weights = ops.softmax(logits)[..., None]
    images = tensor(CENTRES) + point.alpha * DEVIATION**2 * apart / variance
    noise = point.sigma * apart / variance
    return samplers.Denoised(*(ops.sum(weights * part, axis=1) for part in (images, noise)))


@pytest.mark.parametrize(
    ("sampler", "name"),
    [
        ("heun", "exploding"),
        ("heun", "cosine"),
        ("dpm_solver++", "straight"),
        ("ancestral", "exploding"),
        ("ddim", "linear"),
    ],
)
def test_all_modes_of_a_ring_come_with_their_weights(sampler, name):
    steps = 100 if sampler in ("heun", "dpm_solver++") else 400  # of order 1
    generator, schedule = np.random.default_rng(0), schedule_of(name, steps)
    start = generator.standard_normal((2000, 2)) * schedule[0, 4]
    noise = generator.standard_normal((steps, 2000, 2)) if sampler in samplers.NOISY else None
    moved = run(sampler, ROUTES[name], ring, start, schedule, noise)
    distances = np.linalg.norm(moved[:, None] - CENTRES, axis=-1)
    assert distances.min(axis=1).max() < 6.0 * DEVIATION
    frequencies = np.bincount(distances.argmin(axis=1), minlength=8) / len(moved)
    np.testing.assert_allclose(frequencies, WEIGHTS, atol=0.03)
    spread = np.sqrt((distances.min(axis=1) ** 2).mean() / 2.0)
    assert spread == pytest.approx(DEVIATION, rel=0.1)


def test_a_repeated_schedule_leads_to_the_conditional_distribution():
    """The first number of correlated data, given the second: nearer to its mean by more repeats."""
    data, known = Gaussian(((0.5, 0.24), (0.24, 0.15))), 0.4
    slope = data.covariance[0, 1] / data.covariance[1, 1]
    expected = data.mean[0] + slope * (known - data.mean[1])
    step = samplers.keeping(
        samplers.ddim, tensor([0.0, known]), ops.convert_to_tensor([True, False])
    )
    errors, route = [], ROUTES["exploding"]
    for repeats in (1, 5, 25):
        generator = np.random.default_rng(0)
        schedule = samplers.repeated_schedule(route.path, route.times(40), repeats)
        start = schedule[0, 4] * generator.standard_normal((300, 2))
        noise = generator.standard_normal((len(schedule), 300, 2))
        moved = run(step, route, data.denoise, start, schedule, noise)
        np.testing.assert_allclose(moved[:, 1], known, rtol=1e-6)
        errors.append(abs(moved[:, 0].mean() - expected))
    assert errors[1] < 0.6 * errors[0]
    assert errors[2] < 0.2 * errors[0]
