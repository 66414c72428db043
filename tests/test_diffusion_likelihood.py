"""Diffusion models of Gaussian images, with the best denoiser in the network's place.

Their densities, bounds, samples, latents and completions have closed forms.
"""

import functools
import math

import numpy as np
import pytest
from keras import ops
from scipy import stats

import kgen
from kgen.models.diffusion import samplers

SHAPE = (2, 2, 1)
MEAN = np.array([0.1, -0.2, 0.0, 0.15])
VECTORS = np.linalg.qr(np.random.default_rng(0).standard_normal((4, 4)))[0]
SETTINGS = {"image_shape": SHAPE, "base_channels": 8, "multipliers": (1,), "attention": 0}
FINE = 65_536  # levels so near to each other that pixels are all but continuous


class Known:
    """Mixin: the best denoiser of images N(MEAN, VECTORS diag(variances) VECTORS^T)."""

    variances = np.array([0.1, 0.05, 0.02, 0.005])

    def denoise(self, x, point, embedded, guidance=1.0):
        mean, variances, vectors = (
            ops.convert_to_tensor(np.asarray(part, "float32"))
            for part in (MEAN, self.variances, VECTORS)
        )
        centred = ops.matmul(ops.reshape(x, (-1, 4)) - point.alpha * mean, vectors)
        scaled = centred / (point.alpha**2 * variances + point.sigma**2)
        image = mean + ops.matmul(point.alpha * variances * scaled, ops.transpose(vectors))
        noise = ops.matmul(point.sigma * scaled, ops.transpose(vectors))
        parts = (ops.reshape(part, (-1, *SHAPE)) for part in (image, noise))
        return samplers.Denoised(*parts, self.random_variance(point))

    def random_variance(self, point):
        return float(getattr(self, "variance", "") == "fixed_large")


class KnownEDM(Known, kgen.EDM):
    ends = (1.0, 0.002), (1.0, 80.0)  # (alpha, sigma) at the image and at the noise


class KnownFlow(Known, kgen.FlowMatching):
    ends = (1.0, 0.0), (0.0, 1.0)


class KnownDDPM(Known, kgen.DDPM):
    pass


class KnownImproved(Known, kgen.ImprovedDDPM):
    """With the best variance: p(x_t-1 | x_t) is then exact; pixels are independent."""

    variances = np.full(4, 0.09)

    def random_variance(self, point):
        return ops.take(self.best(), ops.cast(point.time, "int32"))

    def best(self):
        """w of every t, float32 (T + 1,)."""
        alpha, sigma = self.noise_path.alphas, self.noise_path.sigmas
        spread = 0.09 * sigma**2 / (alpha**2 * 0.09 + sigma**2)  # of the image, given x_t
        least = (sigma[:-1] / sigma[1:]) ** 2 * self.noise_path.betas
        pull = alpha[:-1] * self.noise_path.betas / sigma[1:] ** 2  # of the image on the mean
        variance = least + pull**2 * spread[1:]
        least[0] = least[1]  # that of the decoder
        with np.errstate(divide="ignore"):
            w = np.log(variance / least) / np.log(self.noise_path.betas / least)
        return np.append(0.0, w).astype("float32")


@functools.cache
def known(model_class, levels=FINE, **settings):
    kgen.set_seed(0)
    return model_class(**SETTINGS, levels=levels, **settings)


def root(variances, alpha, sigma):
    return VECTORS * np.sqrt(alpha**2 * variances + sigma**2) @ VECTORS.T


def covariance_of(model):
    return root(model.variances, 1.0, 0.0) @ root(model.variances, 1.0, 0.0)


def some_values(count, variances=Known.variances):
    """Pixels in [-1, 1] from the distribution of the images, (count, 4)."""
    drawn = np.random.default_rng(1).standard_normal((count, 4))
    return MEAN + drawn @ root(variances, 1.0, 0.0)


def values_of(images, model):
    """Pixels as numbers in [-1, 1], (n, 4); the centres of bins."""
    flat = images.reshape(-1, 4).astype("float64")
    if model.dequantized:
        return (flat + 0.5) * 2.0 / model.levels - 1.0
    return flat * 2.0 / (model.levels - 1) - 1.0


def images_of(values, model):
    scale = 0.5 * (model.levels if model.dequantized else model.levels - 1)
    levels = (values + 1.0) * scale - 0.5 * model.dequantized
    levels = np.clip(np.round(levels), 0, model.levels - 1)
    return levels.astype(model.space.dtype).reshape(-1, *SHAPE)


def flowed(model, values):
    """The noise that the exact flow leads values to."""
    (alpha, sigma), (last_alpha, last_sigma) = model.ends
    whitened = (values - alpha * MEAN) @ np.linalg.inv(root(model.variances, alpha, sigma))
    return last_alpha * MEAN + whitened @ root(model.variances, last_alpha, last_sigma)


def log_density(model, values):
    """log p of the values where the exact flow leads to N(0, prior_deviation^2)."""
    first, last = (a**2 * model.variances + s**2 for a, s in model.ends)
    noise = stats.norm(scale=model.prior_deviation).logpdf(flowed(model, values)).sum(axis=1)
    return noise + 0.5 * np.log(last / first).sum()


# === The likelihood of the probability flow ===


@pytest.mark.parametrize("model_class", [KnownEDM, KnownFlow])
def test_the_likelihood_of_the_flow_is_the_density(model_class):
    model = known(model_class)
    images = images_of(some_values(4), model)
    values = values_of(images, model)
    expected = log_density(model, values)
    density = stats.multivariate_normal(MEAN, covariance_of(model))
    np.testing.assert_allclose(density.logpdf(values), expected, atol=0.02)  # the prior's error
    found = model.log_prob(images, steps=800) + 4 * math.log(FINE / 2)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("model_class", [KnownEDM, KnownFlow])
def test_one_probe_estimates_the_divergence_without_bias(model_class):
    model = known(model_class)
    image = images_of(some_values(1), model)
    exact = model.log_prob(image, steps=50)
    found = model.log_prob(
        np.tile(image, (640, 1, 1, 1)), seed=0, steps=50, divergence="hutchinson"
    )
    error = found.std() / math.sqrt(len(found))
    assert found.std() > 0.05  # or nothing was estimated
    assert error < 0.05
    np.testing.assert_allclose(found.mean(), exact, atol=4.0 * error)


# === The bound of the chain ===


def gap(model, count=1500):
    """Mean of log P(x) less its bound, nats per pixel, and the standard error of it."""
    images = images_of(some_values(count, model.variances), model)
    half, centres = 1.0 / (model.levels - 1), values_of(images, model)
    normal = stats.norm(MEAN, np.sqrt(model.variances[0]))
    log_mass = np.log(normal.cdf(centres + half) - normal.cdf(centres - half)).sum(axis=1)
    found = (log_mass - model.log_prob(images, seed=0)) / 4.0
    return found.mean(), found.std() / math.sqrt(count)


@pytest.mark.parametrize("timesteps", [20, 100])
def test_the_bound_with_the_best_variance_is_the_entropy(timesteps):
    found, error = gap(known(KnownImproved, 256, timesteps=timesteps))
    assert error < 0.02
    assert abs(found) < 3.0 * error


class IndependentDDPM(KnownDDPM):
    variances = KnownImproved.variances


class LargeImproved(KnownImproved):
    def random_variance(self, point):
        return 1.0


@pytest.mark.parametrize(
    ("model_class", "settings", "at_last"),
    [
        (LargeImproved, {}, 0.06),
        # Its p(x_0 | x_1) is too narrow for data without a grain.
        (IndependentDDPM, {"variance": "fixed_large"}, 0.12),
        (IndependentDDPM, {"variance": "fixed_small"}, 1.5),
    ],
)
def test_the_bound_approaches_the_entropy_as_the_steps_grow(model_class, settings, at_last):
    few, many = (gap(known(model_class, 256, timesteps=t, **settings)) for t in (20, 100))
    assert few[0] > 3.0 * few[1]
    assert many[0] < few[0] - 3.0 * math.hypot(few[1], many[1])
    assert -3.0 * many[1] < many[0] < at_last


def test_a_bound_of_some_steps_is_an_estimate_without_bias():
    model = known(IndependentDDPM, 256, timesteps=20)
    images = images_of(some_values(100, model.variances), model)
    whole = np.mean([model.log_prob(images, seed=seed).mean() for seed in range(10)])
    drawn = np.array([model.log_prob(images, seed=seed, steps=8).mean() for seed in range(80)])
    error = drawn.std() / math.sqrt(len(drawn))
    assert error < 0.05 * abs(whole)
    assert abs(drawn.mean() - whole) < 4.0 * error


@pytest.mark.parametrize("steps", [2, 5, 20])
def test_every_term_of_the_bound_has_an_expected_weight_of_1(steps):
    model, weights = known(IndependentDDPM, 256, timesteps=20), np.zeros(21)
    for seed in range(1000):
        schedule = model._bound_schedule(steps, seed)
        assert len(schedule) == steps
        np.add.at(weights, schedule[:, 2].astype(int), schedule[:, 0] / 1000)
    assert weights[:2].tolist() == [0.0, pytest.approx(1.0)]
    np.testing.assert_allclose(weights[2:], 1.0, atol=0.5 if steps == 2 else 0.25)


# === Samples, latents, completions ===

SETTINGS_OF = [
    (KnownEDM, {}, {"steps": 60}),
    (KnownFlow, {}, {}),
    (KnownDDPM, {"timesteps": 100}, {}),
    (KnownDDPM, {"timesteps": 400, "variance": "fixed_small"}, {}),
    (KnownImproved, {"timesteps": 20}, {}),
]


@pytest.mark.parametrize(("model_class", "settings", "sampling"), SETTINGS_OF)
def test_samples_have_the_moments_of_the_data(model_class, settings, sampling):
    model = known(model_class, 256, **settings)
    values = values_of(model.sample(3000, seed=0, **sampling), model)
    error = 5.0 * np.sqrt(np.diag(covariance_of(model)).max() / len(values))
    np.testing.assert_allclose(values.mean(axis=0), MEAN, atol=error)
    np.testing.assert_allclose(np.cov(values.T), covariance_of(model), atol=0.01)


@pytest.mark.parametrize("model_class", [KnownEDM, KnownFlow])
def test_latents_are_what_the_flow_leads_to(model_class):
    model = known(model_class)
    images = images_of(some_values(20), model)
    expected = flowed(model, values_of(images, model)) / model.prior_deviation
    np.testing.assert_allclose(model.encode(images, steps=200), expected, atol=2e-3)


@pytest.mark.parametrize("model_class", [KnownEDM, KnownFlow, KnownDDPM, KnownImproved])
def test_decoding_what_was_encoded_errs_less_with_more_steps(model_class):
    model = known(model_class)
    images = images_of(some_values(50, model.variances), model)
    errors = [
        np.abs(values_of(model.reconstruct(images, steps=steps), model) - values_of(images, model))
        for steps in (5, 50)
    ]
    assert errors[1].mean() < 0.2 * errors[0].mean()
    assert errors[1].mean() < 0.02


@pytest.mark.parametrize("model_class", [KnownEDM, KnownFlow, KnownDDPM])
def test_completions_are_near_the_conditional_distribution(model_class):
    """The first pixel, given the three others; its mean is linear in these."""
    model = known(model_class, 256)
    image = images_of(MEAN + np.array([0.0, 0.3, 0.3, -0.3]), model)
    covariance = covariance_of(model)
    gains = np.linalg.solve(covariance[1:, 1:], covariance[1:, 0])
    expected = MEAN[0] + (values_of(image, model)[0, 1:] - MEAN[1:]) @ gains
    assert abs(expected - MEAN[0]) > 0.15
    mask, images = np.array([[True, False], [False, False]]), np.tile(image, (200, 1, 1, 1))
    filled = model.complete(images, mask, seed=0, steps=100, repeats=20)
    assert (filled[:, ~mask] == images[:, ~mask]).all()
    assert values_of(filled, model)[:, 0].mean() == pytest.approx(expected, abs=0.05)
    assert filled[:, 0, 0].std() > 2.0  # levels
