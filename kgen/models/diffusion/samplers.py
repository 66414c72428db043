"""Samplers: from noise to an image in steps along a path.

A sampler moves x from one point of a path to the next. It knows neither network nor schedule: it
calls `denoise(x, point) -> Denoised`, the predictions of image and noise, and the path's
`direction` and `advance`. A schedule tells it where to go: one array, computed in float64.

Orders of accuracy: "euler", which is "ddim" by the path's own name, has 1; "heun" and
"dpm_solver++" have 2; "rk4" has 4. "ancestral" draws new noise in every step.
"""

from typing import NamedTuple

import numpy as np
from keras import ops

from kgen import backend
from kgen.models.diffusion.paths import Point

LEAST = 1e-20  # of a variance, before its logarithm


class Denoised(NamedTuple):
    """What a model says of x at a point: image and noise, and how much noise a random step adds.

    `variance` is 0 for the variance of q(x_s | x_t, image) ("fixed-small"), 1 for that of
    q(x_t | x_s) ("fixed-large"), and between these it interpolates their logarithms.
    """

    image: object
    noise: object
    variance: object = 0.0


class Row(NamedTuple):
    """One step of a schedule: x * scale + added * noise is at `here` and goes to `there`.

    `middle` is half-way between them, for Runge-Kutta. `memory` is the weight of the previous
    image's extrapolation, for DPM-Solver++. `guidance` is that of the denoiser.
    """

    scale: float
    added: float
    here: Point
    middle: Point
    there: Point
    memory: float
    guidance: float


def schedule_of(path, times, guidance=1.0):
    """A schedule without added noise: float32 (steps, columns), one `Row` each.

    Args:
        path: a `Path`.
        times: (steps + 1,), from noise to image; of whole numbers on a `DiscretePath`.
        guidance: of classifier-free guidance.
    """
    points = np.stack(path.at(np.asarray(times)), axis=-1).astype("float64")  # (steps + 1, 3)
    here, there = points[:-1], points[1:]
    middle = here  # on a path of whole times nothing lies between two
    if np.asarray(times).dtype.kind == "f":
        middle = np.stack(path.at(0.5 * (here[:, 0] + there[:, 0])), axis=-1)
    ones = np.ones((len(here), 1))
    columns = [ones, 0 * ones, here, middle, there, memories(here, there), guidance * ones]
    return np.concatenate(columns, axis=1).astype("float32")


def memories(here, there):
    """1 / (2 r) of DPM-Solver++, with r the last step's length over this one's, both in log-SNR.

    It is 0 in the first and in the last step, which are of order 1. (steps, 1)
    """
    with np.errstate(divide="ignore"):
        ends = np.log(np.concatenate([here, there[-1:]])[:, 1:])
    log_snr = ends[:, 0] - ends[:, 1]
    lengths = np.diff(log_snr)
    weights = np.zeros(len(here))
    weights[1:-1] = lengths[1:-1] / (2.0 * lengths[:-2])  # 0 after a step from infinite noise
    return weights[:, None]


def row_of(numbers):
    """A `Row` of a tensor of columns."""
    parts = [numbers[column] for column in range(numbers.shape[0])]
    return Row(*parts[:2], Point(*parts[2:5]), Point(*parts[5:8]), Point(*parts[8:11]), *parts[11:])


def repeated_schedule(path, times, repeats, guidance=1.0):
    """A schedule that takes each step `repeats` times: back to its start by new noise in between.

    Andreas Lugmayr et al.: RePaint: Inpainting using Denoising Diffusion Probabilistic Models.
    2022, arXiv:2201.09865, algorithm 1, with jumps of one step. The last step is taken once.
    """
    rows = np.repeat(schedule_of(path, times, guidance), repeats, axis=0)
    again = np.arange(len(rows)) % repeats > 0
    (_, alpha, sigma), (_, next_alpha, next_sigma) = rows[:, 2:5].T, rows[:, 8:11].T
    ratio = alpha / next_alpha
    rows[again, 0] = ratio[again]
    added = np.sqrt(np.maximum(sigma**2 - (ratio * next_sigma) ** 2, 0.0))
    rows[again, 1] = added[again]
    return rows[: len(rows) - repeats + 1]


# === Steps: (denoise, path, x, previous image, row, noise) -> (x, image) ===


def ddim(denoise, path, x, previous, row, noise):
    """Jiaming Song, Chenlin Meng, Stefano Ermon: Denoising Diffusion Implicit Models. 2020,
    arXiv:2010.02502, equation 12 with eta = 0: the step of Euler's method.
    """
    found = denoise(x, row.here)
    return row.there.alpha * found.image + row.there.sigma * found.noise, found.image


def ancestral(denoise, path, x, previous, row, noise):
    """A draw from the model's p(x_s | x_t), s the point `there`: DDIM with eta = 1."""
    found = denoise(x, row.here)
    mean, log_variance = posterior(row.here, row.there, *found)
    deviation = ops.where(row.there.sigma > 0.0, ops.exp(0.5 * log_variance), 0.0)
    return mean + deviation * noise, found.image


def posterior(here, there, image, noise, variance):
    """Mean and log variance of p(x_s | x_t), t being the point `here` and s the point `there`.

    The mean is that of q(x_s | x_t, image) (Ho et al. 2020, arXiv:2006.11239, equation 7); the
    variance is that of `Denoised`. Without noise at s the log variance is that of the least noise.
    """
    ratio = here.alpha * there.sigma / (there.alpha * here.sigma)
    mean = there.alpha * image + there.sigma * ratio * noise
    large = ops.maximum(here.sigma**2 - (here.alpha / there.alpha * there.sigma) ** 2, LEAST)
    small = ops.maximum(there.sigma**2 * large / here.sigma**2, LEAST)
    return mean, variance * ops.log(large) + (1.0 - variance) * ops.log(small)


def heun(denoise, path, x, previous, row, noise):
    """Heun's method (Karras et al. 2022, algorithm 1); the last step is Euler's."""
    found = denoise(x, row.here)
    first = path.direction(found.image, found.noise)
    euler = path.advance(x, first, row.here, row.there)

    def corrected():
        after = denoise(euler, row.there)
        second = path.direction(after.image, after.noise)
        return path.advance(x, 0.5 * (first + second), row.here, row.there)

    # Where no noise is left, a network cannot be asked for it.
    return backend.cond(row.there.sigma > 0.0, corrected, lambda: euler), found.image


def rk4(denoise, path, x, previous, row, noise):
    """The classical Runge-Kutta method of order 4; for straight paths, whose ends are regular."""
    directions, found = [], denoise(x, row.here)
    for point in (row.middle, row.middle, row.there):
        directions.append(path.direction(found.image, found.noise))
        found = denoise(path.advance(x, directions[-1], row.here, point), point)
    first, second, third = directions
    fourth = path.direction(found.image, found.noise)
    mean = (first + 2.0 * second + 2.0 * third + fourth) / 6.0
    return path.advance(x, mean, row.here, row.there), found.image


def dpm_solver(denoise, path, x, previous, row, noise):
    """Cheng Lu et al.: DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic
    Models. 2022, arXiv:2211.01095, algorithm 2 (2M): one evaluation a step.
    """
    image = denoise(x, row.here).image
    extrapolated = image + row.memory * (image - previous)
    shrunk = row.there.sigma / row.here.sigma
    left = 1.0 - shrunk * row.here.alpha / row.there.alpha  # 1 - exp(-h)
    return shrunk * x + row.there.alpha * left * extrapolated, image


def keeping(step, values, mask):
    """A step after which the pixels outside of the mask are known values with the path's noise."""

    def kept(denoise, path, x, previous, row, noise):
        x, image = step(denoise, path, x, previous, row, noise)
        known = row.there.alpha * values + row.there.sigma * noise
        return ops.where(mask, x, known), image

    return kept


STEPS = {
    "ddim": ddim,
    "euler": ddim,
    "heun": heun,
    "rk4": rk4,
    "dpm_solver++": dpm_solver,
    "ancestral": ancestral,
}
NOISY = ("ancestral",)  # samplers that need noise in every step
EVALUATIONS = {"ddim": 1, "euler": 1, "ancestral": 1, "dpm_solver++": 1, "heun": 2, "rk4": 4}


def evaluations(sampler, steps):
    """How often a sampler of so many steps evaluates the network (NFE)."""
    return EVALUATIONS[sampler] * steps - (sampler == "heun")


def run(step, denoise, path, x, schedule, noise=None):
    """x after all steps of a schedule, or of a part of one.

    Args:
        step: of `STEPS`.
        denoise: (x, point) -> `Denoised`.
        path: a `Path`.
        x: (n, ...), at the first row's point `here` once scaled and with its noise added.
        schedule: float32 (steps, columns), see `schedule_of`.
        noise: standard normal (steps, n, ...), or None for samplers that need none.
    """

    def move(carry, inputs):
        x, previous = carry
        row = row_of(inputs[0])
        drawn = None if noise is None else inputs[1]
        if drawn is not None:
            x = row.scale * x + row.added * drawn
        x, image = step(denoise, path, x, previous, row, drawn)
        return (x, image), ()

    inputs = (schedule,) if noise is None else (schedule, noise)
    (x, _), _ = backend.scan(move, (x, ops.zeros_like(x)), inputs)
    return x
