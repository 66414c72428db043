"""Where a mixture starts, how Gaussian densities fill in hidden parts, and integrals over bins."""

import itertools

import numpy as np
import pytest
from fitted_mixtures import blobs, every_covariance, trained
from PIL import Image
from scipy.integrate import quad
from scipy.stats import multivariate_normal

import kgen
from kgen import fit
from kgen.models.mixtures.conditionals import log_normal_masses
from kgen.models.mixtures.covariances import inverse_factor, log_diagonal
from kgen.models.mixtures.starts import spread_points
from kgen.testing.comparing import same

# === Starts ===


def test_starts_are_one_item_of_each_cluster():
    centres = 10 * np.array(list(itertools.product((-1, 0, 1), repeat=2)))
    points = np.repeat(centres, 20, axis=0) + np.random.default_rng(0).normal(0, 0.01, (180, 2))
    for seed in range(200):
        generator, known = np.random.default_rng(seed), seed % 9
        chosen = spread_points(points, 9 - known, generator, centres[:known])
        (numbers,) = np.nonzero((points[:, None] == chosen).all(axis=2).any(axis=1))
        assert len(numbers) == len(chosen)
        assert set(numbers // 20) == set(range(known, 9))


def test_no_item_is_a_start_twice():
    points = blobs(count=50)
    chosen = spread_points(points, 50, np.random.default_rng(0), np.zeros((0, 3)))
    assert same(np.unique(chosen, axis=0), np.unique(points, axis=0))


# === Integrals ===


def test_masses_are_accurate_in_both_tails():
    for low, high in [(-40.0, -39.9), (-1.0, -0.999), (-3.0, 2.0), (5.0, 5.01), (39.0, 41.0)]:
        nearest = np.clip(0.0, low, high)
        mass, _ = quad(lambda t, start=nearest: np.exp(0.5 * (start**2 - t**2)), low, high)
        expected = np.log(mass) - 0.5 * (nearest**2 + np.log(2 * np.pi))
        assert log_normal_masses(low, high) == pytest.approx(expected, rel=1e-9)


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


def mixture_of_two():
    """A mixture in 4 dimensions; its weights, means and covariances."""
    random = np.random.default_rng(0)
    turns = random.normal(size=(2, 4, 4))
    weights, means = np.array([0.3, 0.7]), random.normal(size=(2, 4))
    covariances = turns @ turns.transpose(0, 2, 1) + 0.2 * np.eye(4)
    model = kgen.MixtureOfGaussians(size=4, components=2, covariance="full")
    model.shift.assign([3, 2, 1, 0])
    model.means.assign(means - [3, 2, 1, 0])
    model.logits.assign(np.log(weights))
    factors = [log_diagonal(inverse_factor(covariance)) for covariance in covariances]
    model.covariances.factors.assign(np.array(factors))
    return model, weights, means, covariances


def pca_of_two():
    """PCA in 4 dimensions; its weight, mean and covariance."""
    loadings, mean = np.random.default_rng(0).normal(size=(4, 2)), np.arange(4)
    model = kgen.PCA(size=4, latent_size=2)
    model.mean.assign(mean)
    model.loadings.assign(loadings)
    model.log_variance.assign(np.log(0.2))
    return model, np.ones(1), mean[None], (loadings @ loadings.T + 0.2 * np.eye(4))[None]


def moments_given(x, hidden, weights, means, covariances):
    """The mean and the covariance of p(hidden|known) of a mixture."""
    known, parts = ~hidden, []
    for weight, mean, covariance in zip(weights, means, covariances, strict=True):
        between, of_known = covariance[np.ix_(hidden, known)], covariance[np.ix_(known, known)]
        slopes = between @ np.linalg.inv(of_known)
        density = multivariate_normal(mean[known], of_known).pdf(x[known])
        rest = covariance[np.ix_(hidden, hidden)] - slopes @ between.T
        parts.append((weight * density, mean[hidden] + slopes @ (x[known] - mean[known]), rest))
    weights, means, covariances = map(np.array, zip(*parts, strict=True))
    weights /= weights.sum()
    mean = weights @ means
    spread = np.einsum("k,ki,kj->ij", weights, means - mean, means - mean)
    return mean, np.einsum("k,kij->ij", weights, covariances) + spread


@pytest.mark.parametrize("make", [mixture_of_two, pca_of_two])
def test_any_two_hidden_numbers_have_the_moments_of_their_conditional(make):
    """Row after row with another mask."""
    (model, *parameters), count = make(), 4000
    masks = np.array([np.isin(range(4), pair) for pair in itertools.combinations(range(4), 2)])
    x = np.random.default_rng(1).normal(size=(6, 4)).astype("float32")
    rows = np.where(masks, np.nan, x).astype("float32")
    drawn = model.complete(np.tile(rows, (count, 1)), np.tile(masks, (count, 1)), seed=0)
    drawn = drawn.reshape(count, 6, 4)
    assert (drawn == x)[:, ~masks].all()
    for number, hidden in enumerate(masks):
        found = drawn[:, number, hidden]
        mean, covariance = moments_given(x[number], hidden, *parameters)
        deviations = np.sqrt(np.diag(covariance))
        assert (np.abs(found.mean(axis=0) - mean) < 4 * deviations / np.sqrt(count)).all()
        errors = (np.cov(found.T) - covariance) / np.outer(deviations, deviations)
        assert np.abs(errors).max() < 0.1


# === Pictures ===


@pytest.mark.parametrize(
    ("model", "argument", "picture"),
    [("mixture_of_gaussians", "components", "means"), ("pca", "latent_size", "components")],
)
def test_a_run_draws_what_was_learned(model, argument, picture, tmp_path):
    arguments = ["--model", model, "--data", "digits", "--limit", "64", "--epochs", "2"]
    arguments += ["--batch-size", "32", "--set", f"{argument}=5"]
    fit.main([*arguments, "--out", str(tmp_path / "run")])
    found = kgen.load(tmp_path / "run" / "model").pictures()[picture]
    assert found.shape == (5, 8, 8, 1)
    assert 0 <= found.min() < found.max() <= 1
    with Image.open(tmp_path / "run" / f"{picture}.png") as drawn:
        assert same(np.asarray(drawn), np.asarray(kgen.pictures.grid(found, levels=2)))
