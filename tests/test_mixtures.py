"""Mixtures of Gaussians and PCA against scikit-learn, SciPy and brute force."""

import functools
import itertools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn import decomposition
from sklearn.mixture import GaussianMixture

import kgen
from kgen import testing
from kgen.models.mixtures.conditionals import log_normal_masses
from kgen.testing.comparing import array, same, state_of
from kgen.testing.states import Kept

COVARIANCES = ("full", "tied", "diagonal", "low_rank")
ADDED = 1e-6
every_covariance = pytest.mark.parametrize("covariance", COVARIANCES)


@keras.saving.register_keras_serializable("tests")
class MixtureOfPoints(kgen.MixtureOfGaussians):
    """Vectors in place of images."""

    small_arguments = {"size": 3, "components": 4, "covariance": "full"}


@keras.saving.register_keras_serializable("tests")
class GradientMixture(kgen.MixtureOfGaussians):
    """Trained by gradient steps."""

    small_arguments = {"components": 3, "covariance": "tied", "fit_by": "gradient"}


FORMS = (MixtureOfPoints, GradientMixture)


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{form.__name__}-{name}")
        for form in FORMS
        for name, check in testing.checks(form)
        if name != "eager_training_equals_compiled"
    ],
)
def test_other_forms_keep_the_contract(check):
    check()


def blobs(seed=0, count=300, size=3):
    """Points of three clusters."""
    random = np.random.default_rng(seed)
    centres, turn = random.normal(0, 4, (3, size)), random.normal(0, 1, (3, size, size))
    of = np.arange(count) % 3
    noise = random.normal(size=(count, size))
    return (centres[of] + np.einsum("nij,nj->ni", turn[of], noise)).astype("float32")


@functools.cache
def kept_mixture(covariance, size=3, components=3, **arguments):
    """A compiled mixture and its state, for many trainings."""
    kgen.set_seed(0)
    arguments = {"rank": 1, **arguments}
    model = kgen.MixtureOfGaussians(
        size=size, components=components, covariance=covariance, **arguments
    )
    model.compile()
    return Kept(model, state_of(model))


def fitted(model, x, epochs):
    return model.fit(x, epochs=epochs, batch_size=min(100, len(x)), verbose=0).history["loss"]


def trained(covariance, epochs=5, **arguments):
    """A mixture of the blobs."""
    model = kept_mixture(covariance, **arguments).anew()
    fitted(model, blobs(size=model.size), epochs)
    return model


def dense(model):
    """The weights, means and covariances of a mixture, in the items' own coordinates."""
    means = array(model.means).astype("float64") + array(model.shift)
    matrices = [np.linalg.inv(model.covariances.precision(k)) for k in range(model.components)]
    return np.exp(model.log_weights()), means, np.array(matrices)


def dense_log_prob(model, x):
    """log p(x) by SciPy."""
    parts = zip(*dense(model), strict=True)
    joint = [np.log(w) + multivariate_normal(m, s).logpdf(x) for w, m, s in parts]
    return logsumexp(joint, axis=0)


# === The density ===


@every_covariance
def test_log_prob_is_that_of_dense_matrices(covariance):
    model, x = trained(covariance), blobs()
    np.testing.assert_allclose(model.log_prob(x), dense_log_prob(model, x), rtol=1e-4, atol=1e-4)


@every_covariance
def test_samples_have_the_mixtures_moments(covariance):
    model = trained(covariance)
    weights, means, matrices = dense(model)
    mean = weights @ means
    spread = np.einsum("k,ki,kj->ij", weights, means - mean, means - mean)
    covariance = np.einsum("k,kij->ij", weights, matrices) + spread
    samples = model.sample(20_000, seed=0)
    deviations = np.sqrt(np.diag(covariance))
    assert np.abs(samples.mean(axis=0) - mean).max() < 0.05 * deviations.max()
    error = np.cov(samples.T) - covariance
    assert np.abs(error / np.outer(deviations, deviations)).max() < 0.05


@every_covariance
def test_responsibilities_follow_from_bayes_rule(covariance):
    model, x = trained(covariance), blobs(seed=1)
    parts = zip(*dense(model), strict=True)
    joint = np.stack([np.log(w) + multivariate_normal(m, s).logpdf(x) for w, m, s in parts])
    expected = np.exp(joint - logsumexp(joint, axis=0)).T
    np.testing.assert_allclose(model.encode(x), expected, atol=1e-3)


def test_masses_are_accurate_in_both_tails():
    for low, high in [(-40.0, -39.9), (-1.0, -0.999), (-3.0, 2.0), (5.0, 5.01), (39.0, 41.0)]:
        nearest = np.clip(0.0, low, high)
        mass, _ = quad(lambda t, start=nearest: np.exp(0.5 * (start**2 - t**2)), low, high)
        expected = np.log(mass) - 0.5 * (nearest**2 + np.log(2 * np.pi))
        assert log_normal_masses(low, high) == pytest.approx(expected, rel=1e-9)


TINY = {"image_shape": (1, 2, 1), "levels": 4, "components": 2}
TINY_IMAGES = np.array(list(itertools.product(range(4), repeat=2)), "uint8").reshape(-1, 1, 2, 1)


def tiny(covariance):
    model = kept_mixture(covariance, size=0, **TINY).anew()
    images = TINY_IMAGES[np.random.default_rng(0).integers(0, 9, 300)]
    fitted(model, images, 4)
    return model, images


def test_diagonal_masses_of_all_images_sum_to_one():
    model, _ = tiny("diagonal")
    assert np.exp(model.log_prob(TINY_IMAGES)).sum() == pytest.approx(1, abs=1e-9)


def test_diagonal_masses_are_shares_of_samples():
    model, _ = tiny("diagonal")
    samples = model.sample(50_000, seed=0).reshape(-1, 2) @ [4, 1]
    shares = np.bincount(samples, minlength=16) / 50_000
    np.testing.assert_allclose(shares, np.exp(model.log_prob(TINY_IMAGES)), atol=0.01)


@every_covariance
def test_the_bound_is_below_the_share_of_samples(covariance):
    model, images = tiny(covariance)
    samples = model.sample(50_000, seed=0).reshape(-1, 2) @ [4, 1]
    shares = np.bincount(samples, minlength=16) / 50_000
    bound = -model.evaluate(images, verbose=0, return_dict=True)["loss"]
    seen = images.reshape(-1, 2) @ [4, 1]
    mass = np.log(shares)[seen].mean()
    assert mass - 1.0 < bound < mass + 0.01


@every_covariance
def test_one_components_bound_is_its_mean_over_the_noise(covariance):
    model = kept_mixture(covariance, size=0, **{**TINY, "components": 1}).anew()
    fitted(model, TINY_IMAGES, 3)
    (_,), (mean,), (matrix,) = dense(model)
    images = np.repeat(TINY_IMAGES, 20_000, axis=0)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (len(images), 2))
    x = (images.reshape(-1, 2) + noise) * model.bin_width - 1
    densities = multivariate_normal(mean, matrix).logpdf(x).reshape(16, -1).mean(axis=1)
    bound = -model.evaluate(TINY_IMAGES, verbose=0, return_dict=True)["loss"]
    assert bound == pytest.approx(densities.mean() + 2 * np.log(model.bin_width), abs=0.01)


# === EM ===


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("covariance", ["full", "tied", "diagonal"])
@pytest.mark.parametrize("steps", [1, 8])
def test_em_is_scikit_learns(covariance, steps):
    """From the same start, after as many steps."""
    x, model = blobs(), kept_mixture(covariance).anew()
    fitted(model, x, 1)
    weights, means, matrices = dense(model)
    precisions = np.linalg.inv(matrices)
    forms = {"tied": precisions[0], "diagonal": np.array(list(map(np.diag, precisions)))}
    peer = GaussianMixture(
        model.components,
        covariance_type={"diagonal": "diag"}.get(covariance, covariance),
        tol=0,
        reg_covar=ADDED,
        max_iter=steps,
        weights_init=weights,
        means_init=means,
        precisions_init=forms.get(covariance, precisions),
    ).fit(x)
    model.fit(x, epochs=1 + steps, initial_epoch=1, batch_size=100, verbose=0)
    weights, means, matrices = dense(model)
    np.testing.assert_allclose(weights, peer.weights_, atol=1e-4)
    np.testing.assert_allclose(means, peer.means_, atol=1e-3)
    np.testing.assert_allclose(model.log_prob(x), peer.score_samples(x), rtol=1e-4, atol=1e-3)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_one_factor_analyser_is_scikit_learns():
    x = blobs(size=6)
    peer = decomposition.FactorAnalysis(2, tol=1e-8, max_iter=5000).fit(x)
    model = kept_mixture("low_rank", size=6, components=1, rank=2).anew()
    losses = fitted(model, x, 300)
    assert -losses[-1] == pytest.approx(peer.score(x), abs=5e-3)


@every_covariance
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10**6), spread=st.floats(0.1, 100))
def test_em_never_lowers_the_likelihood(covariance, seed, spread):
    model, x = kept_mixture(covariance, added_variance=0.0).anew(), blobs(seed)
    losses = np.array(fitted(model, spread * x, 12)[1:])
    assert np.diff(losses).max() < 1e-3  # nats; rounding is 1e-4


@every_covariance
def test_em_never_lowers_the_bound_of_images(covariance):
    images = kgen.data.load("digits").train.images[:200]
    arguments = {"image_shape": (8, 8, 1), "levels": 17, "components": 2}
    losses = np.array(fitted(kept_mixture(covariance, size=0, **arguments).anew(), images, 10))
    assert losses[-1] < losses[1] < losses[0]
    assert np.diff(losses[1:]).max() < 1e-3


@every_covariance
def test_an_empty_component_restarts_among_the_items(covariance):
    model, x = trained(covariance, epochs=4), blobs()
    means = array(model.means)
    means[0] = 1e3
    model.means.assign(means)
    model.fit(x, epochs=1, batch_size=100, verbose=0)
    _, means, _ = dense(model)
    assert np.isclose(x, means[0], atol=1e-3).all(axis=1).any()
    assert model.encode(x)[:, 0].sum() > 1


def test_fewer_items_than_components_are_enough():
    model = kept_mixture("diagonal", components=40).anew()
    losses = model.fit(blobs(count=12), epochs=3, batch_size=12, verbose=0).history["loss"]
    assert np.isfinite(losses).all()


def test_the_means_are_items():
    model = kept_mixture("diagonal", size=0, **TINY).anew()
    fitted(model, TINY_IMAGES, 2)
    means = model.mean_items()
    assert (means.shape, means.dtype) == ((2, 1, 2, 1), np.uint8)
    np.testing.assert_allclose(model.pictures()["means"], means / 3, rtol=1e-6)
    values = array(model.means) + array(model.shift)
    assert same(means.reshape(2, 2), np.round((values + 1) * 1.5).astype("uint8"))


# === Completion ===


@pytest.mark.parametrize("known", [0, 1])
@every_covariance
def test_what_is_hidden_is_drawn_from_its_conditional(covariance, known):
    """Against the density on a fine grid."""
    model = trained(covariance, size=2)
    grid = np.linspace(-30, 30, 4001)
    point = model.sample(1, seed=3)[0, known]
    x = np.empty((len(grid), 2), "float32")
    x[:, known], x[:, 1 - known] = point, grid
    density = np.exp(model.log_prob(x))
    density /= density.sum()
    rows = np.full((5000, 2), np.nan, "float32")
    rows[:, known] = point
    hidden = np.arange(2) != known
    drawn = model.complete(rows, hidden, seed=0)
    assert (drawn[:, known] == point).all()
    found = np.searchsorted(np.sort(drawn[:, 1 - known]), grid) / len(rows)
    assert np.abs(found - np.cumsum(density)).max() < 0.03  # Kolmogorov-Smirnov: 0.02 at 1 %


def test_every_row_may_have_its_own_mask():
    model, x = trained("full"), blobs()[:20]
    mask = np.random.default_rng(0).random(x.shape) < 0.5
    drawn = model.complete(x, mask, seed=0)
    assert same(drawn[~mask], x[~mask])
    assert not np.isclose(drawn[mask], x[mask]).any()


def test_everything_hidden_is_a_draw():
    model = trained("full")
    drawn = model.complete(np.zeros((5000, 3)), np.ones(3, bool), seed=0)
    samples = model.sample(5000, seed=0)
    assert np.abs(drawn.mean(axis=0) - samples.mean(axis=0)).max() < 0.3
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(samples.T), rtol=0.2, atol=1)


# === PCA ===


@functools.cache
def pca():
    """PCA of the blobs in six dimensions, and scikit-learn's."""
    x = blobs(size=6)
    kgen.set_seed(0)
    model = kgen.PCA(size=6, latent_size=2)
    model.compile()
    fitted(model, x, 1)
    return model, decomposition.PCA(2).fit(x), x


def test_principal_components_are_scikit_learns():
    model, peer, x = pca()
    loadings, variance = array(model.loadings), np.exp(array(model.log_variance))
    unbiased = len(x) / (len(x) - 1)
    np.testing.assert_allclose(variance * unbiased, peer.noise_variance_, rtol=1e-4)
    eigenvalues = (loadings**2).sum(axis=0) + variance
    np.testing.assert_allclose(eigenvalues * unbiased, peer.explained_variance_, rtol=1e-4)
    directions = loadings / np.linalg.norm(loadings, axis=0)
    np.testing.assert_allclose(np.abs(peer.components_ @ directions), np.eye(2), atol=1e-3)
    np.testing.assert_allclose(array(model.mean), peer.mean_, atol=1e-4)


def test_the_density_of_equal_parameters_is_scikit_learns():
    model, peer, x = pca()
    biased = (len(x) - 1) / len(x)
    peer.explained_variance_ = peer.explained_variance_ * biased
    peer.noise_variance_ = peer.noise_variance_ * biased
    np.testing.assert_allclose(model.log_prob(x), peer.score_samples(x), rtol=1e-4)


def test_reconstructions_are_orthogonal_projections():
    model, _, x = pca()
    peer = decomposition.PCA(2).fit(x)
    expected = peer.inverse_transform(peer.transform(x))
    np.testing.assert_allclose(model.reconstruct(x), expected, atol=1e-3)


def test_posterior_means_are_shrunk_projections():
    model, _, x = pca()
    squares = (array(model.loadings) ** 2).sum(axis=0)  # W has orthogonal columns
    shrunk = squares / (squares + np.exp(array(model.log_variance)))
    np.testing.assert_allclose(model.encode(x), model.latents(x) * shrunk, atol=1e-4)


def test_components_are_pictures():
    model = kgen.PCA((8, 8, 1), 17, latent_size=3)
    components = model.pictures()["components"]
    assert components.shape == (3, 8, 8, 1)
    found = (components - 0.5).reshape(3, -1)
    angles = [np.corrcoef(a, b)[0, 1] for a, b in zip(found, array(model.loadings).T, strict=True)]
    np.testing.assert_allclose(angles, 1, atol=1e-5)


def test_components_without_variance_have_the_latent_0():
    """As those of pixels that are always black."""
    images = np.zeros((50, 2, 4, 1), "uint8")
    images[:, 0] = np.random.default_rng(0).integers(17, size=(50, 4, 1))
    model = kgen.PCA((2, 4, 1), 17, latent_size=7)
    model.compile()
    fitted(model, images, 1)
    latents = model.latents(images)
    assert np.abs(latents[:, :4]).max() < 10  # standard deviations
    np.testing.assert_array_equal(latents[:, 4:], 0)
    np.testing.assert_array_equal(model.reconstruct(images), images)
    assert np.isfinite(model.pictures()["components"]).all()


def test_a_second_epoch_changes_nothing():
    model, _, x = pca()
    before, loss = array(model.loadings), model.log_prob(x).mean()
    fitted(model, x, 1)
    np.testing.assert_allclose(array(model.loadings), before, atol=1e-4)
    assert model.log_prob(x).mean() == pytest.approx(loss, abs=1e-5)


def test_the_bound_of_images_is_its_mean_over_the_noise():
    model = kgen.PCA((1, 2, 1), 4, latent_size=1)
    model.compile()
    fitted(model, np.repeat(TINY_IMAGES, 10, axis=0), 1)
    loadings = array(model.loadings)
    matrix = loadings @ loadings.T + np.exp(array(model.log_variance)) * np.eye(2)
    images = np.repeat(TINY_IMAGES, 20_000, axis=0)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (len(images), 2))
    x = (images.reshape(-1, 2) + noise) * model.bin_width - 1
    densities = multivariate_normal(array(model.mean), matrix).logpdf(x).reshape(16, -1)
    expected = densities.mean(axis=1) + 2 * np.log(model.bin_width)
    np.testing.assert_allclose(model.log_prob(TINY_IMAGES), expected, atol=0.02)


@pytest.mark.parametrize("known", [0, 1])
def test_pca_completes_by_regression(known):
    x = blobs(size=2)
    model = kgen.PCA(size=2, latent_size=1)
    model.compile()
    fitted(model, x, 1)
    covariance = np.cov(x.T, ddof=0)
    slope = covariance[0, 1] / covariance[known, known]
    rest = covariance[1 - known, 1 - known] - slope * covariance[0, 1]
    drawn = model.complete(np.full((5000, 2), 3.0), np.arange(2) != known, seed=0)[:, 1 - known]
    mean = x.mean(axis=0)
    expected = mean[1 - known] + slope * (3.0 - mean[known])
    assert drawn.mean() == pytest.approx(expected, abs=0.06 * np.sqrt(rest))
    assert drawn.var() == pytest.approx(rest, rel=0.08)


# === Vectors that lie in fewer dimensions ===


def flat_vectors(kind):
    """400 vectors of 5 numbers that vary in 4 or in 2 directions, and how many."""
    random = np.random.default_rng(0)
    if kind == "constant":
        x, rank = random.normal(size=(400, 5)), 4
        x[:, 4] = 7
    else:
        x, rank = random.normal(size=(400, 2)) @ random.normal(size=(2, 5)), 2
    return (100 * x if kind == "large" else x).astype("float32"), rank


every_flat = pytest.mark.parametrize("kind", ["constant", "plane", "large"])


@every_flat
def test_the_variance_of_pca_has_a_floor_and_its_density_is_right(kind):
    x, rank = flat_vectors(kind)
    model = kgen.PCA(size=5, latent_size=rank)
    model.compile()
    fitted(model, x, 2)
    values, vectors = np.linalg.eigh(np.cov(x.astype("float64").T, ddof=0))
    values[:-rank] = 1e-6 * values[-1]
    assert np.exp(array(model.log_variance)) == pytest.approx(values[0], rel=1e-4)
    density = multivariate_normal(x.astype("float64").mean(axis=0), (vectors * values) @ vectors.T)
    expected = density.logpdf(x.astype("float64"))
    np.testing.assert_allclose(model.log_prob(x).mean(), expected.mean(), rtol=1e-3)
    np.testing.assert_allclose(model.log_prob(x), expected, atol=0.05)


@every_flat
def test_the_density_of_low_rank_covariances_is_right_if_little_is_left(kind):
    x, rank = flat_vectors(kind)
    model = kgen.MixtureOfGaussians(size=5, components=1, covariance="low_rank", rank=rank)
    model.compile()
    fitted(model, x, 5)
    loadings = array(model.covariances.loadings)[0]
    logs = np.full(5, np.log(1e-6 * x.var(axis=0).max()), "float32")
    model.covariances.log_variances.assign(logs[None])
    matrix = loadings @ loadings.T + np.diag(np.exp(logs.astype("float64")))
    density = multivariate_normal(array(model.means)[0] + array(model.shift), matrix)
    expected = density.logpdf(x.astype("float64"))
    np.testing.assert_allclose(model.log_prob(x).mean(), expected.mean(), rtol=1e-3)
