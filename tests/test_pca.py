"""PCA against scikit-learn and SciPy, and densities of vectors that lie in fewer dimensions."""

import functools

import numpy as np
import pytest
from fitted_mixtures import TINY_IMAGES, blobs, fitted
from scipy.stats import multivariate_normal
from sklearn import decomposition

import kgen
from kgen.testing.comparing import array


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
