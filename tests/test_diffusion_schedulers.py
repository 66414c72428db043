"""Samplers against the schedulers of diffusers, after every step."""

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    HeunDiscreteScheduler,
)
from test_diffusion_paths import pretended
from test_diffusion_samplers import Route, run

from kgen.models.diffusion import samplers
from kgen.models.diffusion.paths import (
    DiscretePath,
    ExplodingPath,
    StraightPath,
    cosine_betas,
    karras_sigmas,
    linear_betas,
    trailing_times,
)
from kgen.models.diffusion.predictions import EDMPrediction

TIMESTEPS, STEPS, SHAPE = 100, 20, (3, 2)
BETAS = {"linear": linear_betas(TIMESTEPS), "cosine": cosine_betas(TIMESTEPS)}
every_schedule = pytest.mark.parametrize("name", BETAS)


def some_noise(count):
    """Standard normal, (count, 3, 2), as a scheduler draws it from `torch_generator()`."""
    generator = torch_generator()
    return np.stack([torch.randn(SHAPE, generator=generator).numpy() for _ in range(count)])


def torch_generator():
    return torch.Generator().manual_seed(0)


def steps_of(scheduler, outputs, start, evaluations=1, **options):
    """x after every step of a scheduler, float64 (steps, 3, 2).

    Args:
        outputs: one function x -> what the scheduler takes for the network's output, for each
            evaluation.
        start: x, where it begins.
        evaluations: of one step; the last step has one.
        options: of `scheduler.step`.
    """
    x, found = torch.tensor(start, dtype=torch.float64), []
    for time, output in zip(scheduler.timesteps, outputs, strict=True):
        x = scheduler.step(output(x), time, x, **options).prev_sample
        found.append(x.numpy().astype("float64"))
    return np.array([*found[evaluations - 1 : -1 : evaluations], found[-1]])


def assert_same_steps(expected, sampler, path, times, start, noise=None, variance=0.0):
    """Compares x after the first step, after the first two, and so on; of many steps some."""

    def denoise(x, point):
        return samplers.Denoised(*pretended(x, point.alpha, point.sigma), variance)

    schedule = samplers.schedule_of(path, times)
    assert len(expected) == len(schedule)
    for steps in range(len(schedule), 0, -len(schedule) // STEPS):
        drawn = None if noise is None else noise[:steps]
        found = run(sampler, Route(path, None), denoise, start, schedule[:steps], drawn)
        scale = max(1.0, np.abs(expected[steps - 1]).max())
        np.testing.assert_allclose(found, expected[steps - 1], atol=1e-4 * scale)


def image_at(alpha, sigma):
    """x -> the pretended image at a point, for tensors of PyTorch."""

    def image(x):
        return torch.tensor(pretended(x.numpy().astype("float64"), alpha, sigma)[0])

    return image


def points_of(path, times):
    """(alpha, sigma) at all times but the last."""
    points = path.at(np.asarray(times)[:-1])
    return list(zip(points.alpha * np.ones(len(times) - 1), points.sigma, strict=True))


def chain_of(name, scheduler_class, steps=STEPS, **options):
    """A scheduler, our path, the times and the start of one discrete chain."""
    options = {"trained_betas": BETAS[name], "timestep_spacing": "trailing", **options}
    scheduler = scheduler_class(num_train_timesteps=TIMESTEPS, **options)
    scheduler.set_timesteps(steps)
    times = trailing_times(TIMESTEPS, steps)
    np.testing.assert_array_equal(np.asarray(scheduler.timesteps), times[:-1] - 1)
    return scheduler, DiscretePath(BETAS[name]), times, some_noise(1)[0]


# === Discrete chains ===


@every_schedule
@pytest.mark.parametrize(
    ("variance", "ours", "steps"),
    # On part of the steps diffusers adds noise of a fixed-large variance to the image itself.
    [("fixed_small", 0.0, STEPS), ("fixed_large", 1.0, TIMESTEPS)],
)
def test_ancestral_sampling_is_that_of_ddpm(name, variance, ours, steps):
    options = {"variance_type": variance, "clip_sample": False, "prediction_type": "sample"}
    scheduler, path, times, start = chain_of(name, DDPMScheduler, steps, **options)
    outputs = [image_at(*point) for point in points_of(path, times)]
    expected = steps_of(scheduler, outputs, start, generator=torch_generator())
    noise = some_noise(steps)
    assert_same_steps(expected, "ancestral", path, times, start, noise, ours)


@every_schedule
@pytest.mark.parametrize(("sampler", "eta"), [("ddim", 0.0), ("ancestral", 1.0)])
def test_ddim_is_that_of_diffusers_with_any_eta(name, sampler, eta):
    options = {"clip_sample": False, "prediction_type": "sample"}
    scheduler, path, times, start = chain_of(name, DDIMScheduler, **options)
    outputs = [image_at(*point) for point in points_of(path, times)]
    expected = steps_of(scheduler, outputs, start, eta=eta, generator=torch_generator())
    noise = some_noise(STEPS) if eta else None
    assert_same_steps(expected, sampler, path, times, start, noise)


@every_schedule
def test_dpm_solver_is_that_of_diffusers(name):
    options = {"prediction_type": "sample", "final_sigmas_type": "zero"}
    scheduler, path, times, start = chain_of(name, DPMSolverMultistepScheduler, **options)
    outputs = [image_at(*point) for point in points_of(path, times)]
    expected = steps_of(scheduler, outputs, start)
    assert_same_steps(expected, "dpm_solver++", path, times, start)


# === Noise levels of EDM ===


@pytest.mark.parametrize(
    ("scheduler_class", "sampler"),
    [(EDMEulerScheduler, "euler"), (EDMDPMSolverMultistepScheduler, "dpm_solver++")],
)
def test_euler_and_dpm_solver_on_karras_sigmas_are_those_of_diffusers(scheduler_class, sampler):
    scheduler = scheduler_class(sigma_min=0.002, sigma_max=80.0, sigma_data=0.5)
    scheduler.set_timesteps(STEPS)
    sigmas, edm = karras_sigmas(STEPS), EDMPrediction(0.5)
    np.testing.assert_allclose(np.asarray(scheduler.sigmas), sigmas, rtol=1e-4)

    def network(sigma):  # the output F that means the pretended image
        def output(x):
            x = x.numpy().astype("float64")
            return torch.tensor(edm.target(*pretended(x, 1.0, sigma), 1.0, sigma))

        return output

    start = 80.0 * some_noise(1)[0]
    expected = steps_of(scheduler, [network(sigma) for sigma in sigmas[:-1]], start)
    assert_same_steps(expected, sampler, ExplodingPath(), sigmas, start)


def test_heun_on_karras_sigmas_is_that_of_diffusers():
    scheduler = HeunDiscreteScheduler(
        TIMESTEPS, trained_betas=BETAS["linear"], prediction_type="sample", use_karras_sigmas=True
    )
    scheduler.set_timesteps(STEPS)
    scheduler.set_begin_index(0)
    given = np.unique(np.asarray(scheduler.sigmas).astype("float64"))[::-1]
    sigmas = karras_sigmas(STEPS, given[-2], given[0])
    np.testing.assert_allclose(sigmas, given, rtol=1e-4)
    start = given[0] * some_noise(1)[0]
    used = np.repeat(sigmas[:-1], 2)[1:]  # the first one once, others for two evaluations
    expected = steps_of(scheduler, [image_at(1.0, sigma) for sigma in used], start, 2)
    assert_same_steps(expected, "heun", ExplodingPath(), given, start)


# === Straight paths ===


@pytest.mark.parametrize(
    ("scheduler_class", "sampler", "evaluations"),
    [(FlowMatchEulerDiscreteScheduler, "euler", 1), (FlowMatchHeunDiscreteScheduler, "heun", 2)],
)
def test_straight_paths_are_those_of_diffusers(scheduler_class, sampler, evaluations):
    scheduler = scheduler_class()
    scheduler.set_timesteps(STEPS)
    scheduler.set_begin_index(0)
    times = 1.0 - np.unique(np.asarray(scheduler.sigmas).astype("float64"))[::-1]
    assert (times[0], times[-1]) == (0.0, 1.0)

    def velocity(time):  # from image to noise, as diffusers has it
        def output(x):
            image, noise = pretended(x.numpy().astype("float64"), time, 1.0 - time)
            return torch.tensor(noise - image)

        return output

    used = np.repeat(times[:-1], evaluations)[evaluations - 1 :]
    start = some_noise(1)[0]
    expected = steps_of(scheduler, [velocity(time) for time in used], start, evaluations)
    assert_same_steps(expected, sampler, StraightPath(), times, start)
