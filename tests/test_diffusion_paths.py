"""Paths, predictions and steps of diffusion models against formulas; no network takes part."""

import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from test_diffusion_samplers import ROUTES, TIMESTEPS, Route, run, schedule_of

from kgen.errors import KgenError
from kgen.models.diffusion import samplers
from kgen.models.diffusion.paths import (
    DiscretePath,
    cosine_betas,
    karras_sigmas,
    linear_betas,
    trailing_times,
)
from kgen.models.diffusion.predictions import (
    EDMPrediction,
    NoisePrediction,
    VelocityPrediction,
    VPrediction,
)
from kgen.testing.comparing import array

# === Steps of a discrete chain ===


def pretended(x, alpha, sigma):
    """Image and noise from a denoiser that is not linear; for tensors and for NumPy alike."""
    tanh = np.tanh if isinstance(x, np.ndarray) else ops.tanh
    image = 0.9 * tanh(1.5 * alpha * x)
    return image, (x - alpha * image) / sigma


@pytest.mark.parametrize("large", [False, True])
def test_the_ancestral_sampler_is_ho_et_al_equation_7(large):
    betas = linear_betas(50)
    kept = np.append(1.0, np.cumprod(1.0 - betas))  # alpha_bar
    route = Route(DiscretePath(betas), None)
    schedule = samplers.schedule_of(route.path, np.arange(50, -1, -1))
    generator = np.random.default_rng(0)
    start, noise = generator.standard_normal((6, 2)), generator.standard_normal((50, 6, 2))
    x = start
    for t in range(50, 0, -1):
        image, _ = pretended(x, np.sqrt(kept[t]), np.sqrt(1.0 - kept[t]))
        mean = np.sqrt(kept[t - 1]) * betas[t - 1] / (1.0 - kept[t]) * image
        mean += np.sqrt(1.0 - betas[t - 1]) * (1.0 - kept[t - 1]) / (1.0 - kept[t]) * x
        variance = betas[t - 1] * (1.0 if large else (1.0 - kept[t - 1]) / (1.0 - kept[t]))
        x = mean + (t > 1) * np.sqrt(variance) * noise[50 - t]

    def denoise(x, point):
        return samplers.Denoised(*pretended(x, point.alpha, point.sigma), float(large))

    found = run("ancestral", route, denoise, start, schedule, noise)
    np.testing.assert_allclose(found, x, atol=1e-5)


def test_the_ancestral_sampler_is_ddim_with_eta_1():
    """Song et al. 2020, arXiv:2010.02502, equations 12 and 16; on part of the steps, too."""
    for name, steps in (("linear", TIMESTEPS), ("cosine", 10)):
        schedule = schedule_of(name, steps)
        generator = np.random.default_rng(0)
        start, noise = generator.standard_normal((4, 2)), generator.standard_normal((steps, 4, 2))
        x = start
        for row, drawn in zip(schedule.astype("float64"), noise, strict=True):
            (alpha, sigma), (next_alpha, next_sigma) = row[3:5], row[9:11]
            image, eps = pretended(x, alpha, sigma)
            added = next_sigma / sigma * np.sqrt(1.0 - (alpha / next_alpha) ** 2)
            x = next_alpha * image + np.sqrt(next_sigma**2 - added**2) * eps + added * drawn
        found = run(
            "ancestral",
            ROUTES[name],
            lambda x, point: samplers.Denoised(*pretended(x, point.alpha, point.sigma)),
            start,
            schedule,
            noise,
        )
        np.testing.assert_allclose(found, x, atol=1e-4)


@pytest.mark.parametrize("betas", [linear_betas(20), cosine_betas(20)], ids=["linear", "cosine"])
def test_posteriors_are_those_of_conditioning_the_whole_chain(betas):
    """x_1 to x_T are a linear map of noise. Any one given the next one and x_0 follows."""
    steps, image = len(betas), 0.7
    chain = np.zeros((steps, steps))  # x_t by the noise of each step
    for t, beta in enumerate(betas):
        chain[t] = np.sqrt(1.0 - beta) * chain[t - 1]
        chain[t, t] = np.sqrt(beta)
    covariance, means = chain @ chain.T, image * np.cumprod(np.sqrt(1.0 - betas))
    path, x = DiscretePath(betas), 1.3
    for s in range(steps - 1):
        t, gain = s + 1, covariance[s, s + 1] / covariance[s + 1, s + 1]
        mean = means[s] + gain * (x - means[t])
        variance = covariance[s, s] - gain * covariance[s, t]
        here, there = (path.at(np.array(index)) for index in (t + 1, s + 1))
        noise = (x - here.alpha * image) / here.sigma
        for mixed, expected in (
            (0.0, variance),
            (1.0, betas[t]),
            (0.5, np.sqrt(variance * betas[t])),
        ):
            found = samplers.posterior(here, there, image, noise, mixed)
            assert float(array(found[0])) == pytest.approx(mean, rel=1e-5)
            assert float(np.exp(array(found[1]))) == pytest.approx(expected, rel=1e-5)


# === Predictions ===

PREDICTIONS = {  # and alpha and sigma by an angle from 0 (image) to 1 (noise)
    "noise": (NoisePrediction(), lambda angle: (1.0 - angle, 3.0 * angle)),
    "v": (VPrediction(), lambda angle: (math.cos(angle), math.sin(angle))),
    "velocity": (VelocityPrediction(), lambda angle: (1.0 - angle, angle)),
    "edm": (EDMPrediction(0.7), lambda angle: (1.0, 80.0 * angle)),
}
numbers = st.floats(-2.0, 2.0)


@pytest.mark.parametrize("name", PREDICTIONS)
@settings(deadline=None)
@given(image=numbers, noise=numbers, angle=st.floats(0.01, 0.99))
def test_image_and_noise_follow_from_a_target(name, image, noise, angle):
    prediction, point = PREDICTIONS[name][0], PREDICTIONS[name][1](angle)
    x = point[0] * image + point[1] * noise
    target = prediction.target(image, noise, *point)
    found = prediction.image_and_noise(target, x, *point)
    np.testing.assert_allclose(found, (image, noise), atol=1e-8)


@pytest.mark.parametrize("name", PREDICTIONS)
@settings(deadline=None)
@given(output=numbers, x=numbers, angle=st.floats(0.01, 0.99))
def test_image_and_noise_make_up_x_whatever_the_network_says(name, output, x, angle):
    prediction, (alpha, sigma) = PREDICTIONS[name][0], PREDICTIONS[name][1](angle)
    image, noise = prediction.image_and_noise(output, x, alpha, sigma)
    assert alpha * image + sigma * noise == pytest.approx(x, abs=1e-9)
    assert prediction.target(image, noise, alpha, sigma) == pytest.approx(output, abs=1e-6)


@settings(deadline=None)
@given(sigma_data=st.floats(0.05, 2.0), log_sigma=st.floats(-6.0, 5.0))
def test_edm_input_and_target_have_variance_1_and_are_uncorrelated(sigma_data, log_sigma):
    """Both are linear in an image of deviation sigma_data and in noise: so are two columns."""
    edm, sigma = EDMPrediction(sigma_data), math.exp(log_sigma)
    target = np.array([edm.target(sigma_data, 0.0, 1.0, sigma), edm.target(0.0, 1.0, 1.0, sigma)])
    network_input = edm.input_scale(sigma) * np.array([sigma_data, sigma])
    assert target @ target == pytest.approx(1.0)
    assert network_input @ network_input == pytest.approx(1.0)
    assert target @ network_input == pytest.approx(0.0, abs=1e-9)


@functools.cache
def edm_table(sigma, sigma_data):
    """c_skip, c_out and c_in of Karras et al. 2022, table 1, and the weight of the loss."""
    total = sigma**2 + sigma_data**2
    skip, out = sigma_data**2 / total, sigma * sigma_data / math.sqrt(total)
    return skip, out, 1.0 / math.sqrt(total), total / (sigma * sigma_data) ** 2


@pytest.mark.parametrize("sigma", [0.002, 0.5, 80.0])
def test_edm_is_that_of_its_table_1(sigma):
    edm = EDMPrediction(0.5)
    skip, out, scale, weight = edm_table(sigma, 0.5)
    x, output = 1.2, -0.3
    assert edm.input_scale(sigma) == pytest.approx(scale)
    assert edm.image_and_noise(output, x, 1.0, sigma)[0] == pytest.approx(skip * x + out * output)
    # |F - target|^2 is the weighted error of the denoised image
    image, noise = 0.4, (x - 0.4) / sigma
    error = output - edm.target(image, noise, 1.0, sigma)
    assert error**2 == pytest.approx(weight * (skip * x + out * output - image) ** 2)


# === Schedules ===


@pytest.mark.parametrize("betas_of", [linear_betas, cosine_betas])
@pytest.mark.parametrize("timesteps", [20, 50, 200, 1000, 4000])
def test_every_schedule_ends_in_noise(betas_of, timesteps):
    path = DiscretePath(betas_of(timesteps))
    kept = np.prod(1.0 - betas_of(timesteps))
    # of N(sqrt(kept) x, 1 - kept) and N(0, 1), with x = 1
    kl = 0.5 * ((1.0 - kept) + kept - 1.0 - math.log1p(-kept)) / math.log(2.0)
    assert path.prior_kl == pytest.approx(kl, rel=1e-6, abs=1e-12)
    assert 0.0 <= path.prior_kl < 1e-3
    assert path.sigmas[0] == 0.0
    assert (np.diff(path.sigmas) > 0.0).all()


def test_a_schedule_that_does_not_end_in_noise_is_refused():
    with pytest.raises(KgenError, match=r"ends in noise, received 200 steps .* bits per dimension"):
        DiscretePath(np.linspace(1e-4, 0.02, 200))


def test_karras_sigmas_are_the_published_ones():
    published = [80, 57.6, 40.8, 28.4, 19.4, 12.9, 8.40, 5.32, 3.26, 1.92]
    sigmas = karras_sigmas(18)
    np.testing.assert_allclose(sigmas[:10], published, rtol=0.006)
    np.testing.assert_allclose(sigmas[-2:], [0.002, 0.0], rtol=1e-12)
    assert karras_sigmas(1).tolist() == [80.0, 0.0]


@pytest.mark.parametrize("steps", [1, 3, 7, 50, 1000])
def test_trailing_times_begin_at_the_noise_and_end_at_the_image(steps):
    times = trailing_times(1000, steps)
    assert (times[0], times[-1], len(times)) == (1000, 0, steps + 1)
    assert abs(np.diff(times) + 1000 / steps).max() <= 1.0
