"""The metrics against the packages that published figures come from, on equal features.

torch-fidelity and clean-fid for Frechet and kernel distances and the inception score, prdc for
precision, recall, density and coverage.
"""

import sys
from unittest import mock

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from scipy.special import softmax

from kgen import metrics

# Both import torchvision for image encoders, which play no part here; builds of it and of PyTorch
# for different accelerators do not import together.
PARTS = ("", ".datasets", ".models", ".models.utils", ".transforms", ".transforms.functional")
with mock.patch.dict(sys.modules, {f"torchvision{part}": mock.MagicMock() for part in PARTS}):
    import cleanfid.fid
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

RELATIVE = 1e-4
every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
# Rows of real and generated features, dimensions: usual ones, fewer rows than dimensions.
every_size = pytest.mark.parametrize("size", [(1200, 1000, 64), (60, 50, 100)], ids=str)


def features(size, dtype="float64"):
    """Correlated features of both sets, not centred, as after a ReLU."""
    rows, others, dimensions = size
    generator = np.random.default_rng(0)
    mixing = generator.normal(size=(2, dimensions, dimensions)) / np.sqrt(dimensions)
    real = generator.normal(size=(rows, dimensions)) @ mixing[0] + 0.5
    generated = generator.normal(size=(others, dimensions)) @ mixing[1] + 0.3
    return np.maximum(real, 0).astype(dtype), np.maximum(generated, 0).astype(dtype)


def moments(rows):
    return rows.mean(axis=0), np.cov(rows, rowvar=False)


@every_dtype
@every_size
def test_the_frechet_distance_is_torch_fidelitys(size, dtype):
    real, generated = features(size, dtype)
    statistics = [fid_features_to_statistics(torch.from_numpy(rows)) for rows in (real, generated)]
    expected = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert metrics.frechet_distance(real, generated) == pytest.approx(expected, rel=RELATIVE)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # clean-fid's call of SciPy
def test_the_frechet_distance_is_clean_fids():
    real, generated = features((1200, 1000, 64))
    expected = cleanfid.fid.frechet_distance(*moments(real), *moments(generated))
    assert metrics.frechet_distance(real, generated) == pytest.approx(expected, rel=RELATIVE)
    of_moments = metrics.frechet_distance_of_moments(*moments(real), *moments(generated))
    assert of_moments == pytest.approx(expected, rel=RELATIVE)


@every_dtype
@pytest.mark.parametrize("seed", [0, 2020])
def test_the_kernel_distance_is_torch_fidelitys(seed, dtype):
    real, generated = features((1200, 1000, 64), dtype)
    settings = {"kid_subsets": 7, "kid_subset_size": 300, "rng_seed": seed, "verbose": False}
    settings |= {"kid_kernel": "poly", "kid_kernel_poly_degree": 3}
    settings |= {"kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1}
    both = torch.from_numpy(real), torch.from_numpy(generated)
    expected = kid_features_to_metric(*both, **settings)
    received = metrics.kernel_distance(real, generated, subsets=7, subset_size=300, seed=seed)
    assert received == pytest.approx(tuple(expected.values()), rel=RELATIVE)


def test_the_kernel_distance_is_clean_fids():
    """Of whole sets, where the subsets drawn are no matter."""
    real, generated = (rows[:400] for rows in features((400, 400, 64)))
    expected = cleanfid.fid.kernel_distance(real, generated, num_subsets=1)
    mean, deviation = metrics.kernel_distance(real, generated, subsets=3, subset_size=400)
    assert mean == pytest.approx(expected, rel=RELATIVE)
    assert deviation < 1e-12


def test_the_inception_score_is_torch_fidelitys():
    logits = 3 * np.random.default_rng(0).normal(size=(1003, 10))
    expected = isc_features_to_metric(torch.from_numpy(logits), splits=10, shuffle=False)
    received = metrics.inception_score(softmax(logits, axis=1))
    assert received == pytest.approx(tuple(expected.values()), rel=RELATIVE)


@every_dtype
@every_size
@pytest.mark.parametrize("neighbours", [1, 3, 5])
def test_precision_recall_density_and_coverage_are_prdcs(size, neighbours, dtype):
    real, generated = features(size, dtype)
    expected = compute_prdc(real, generated, neighbours)
    received = (
        *metrics.precision_recall(real, generated, neighbours),
        *metrics.density_coverage(real, generated, neighbours),
    )
    assert received == pytest.approx(tuple(expected.values()), rel=1e-12)


def test_blocks_make_no_difference(monkeypatch):
    real, generated = features((1200, 1000, 16))
    monkeypatch.setattr(metrics.neighbours, "BLOCK", 0.1)  # MiB: about 13 rows
    expected = compute_prdc(real, generated, 5)
    received = (
        *metrics.precision_recall(real, generated, 5),
        *metrics.density_coverage(real, generated, 5),
    )
    assert received == pytest.approx(tuple(expected.values()), rel=1e-12)


@pytest.mark.slow
def test_two_samples_of_one_gaussian_score_as_published():
    """prdc's example: 10,000 rows each of N(0, I) in 1,000 dimensions, 5 neighbours.

    Its figures are those of one draw. Over seeds 0 to 5, the standard deviations of ours are 0.014,
    0.008, 0.055 and 0.006: three of each are allowed.
    """
    real, generated = np.random.default_rng(0).normal(size=(2, 10_000, 1_000))
    received = (
        *metrics.precision_recall(real, generated, neighbours=5),
        *metrics.density_coverage(real, generated, neighbours=5),
    )
    expected = compute_prdc(real, generated, 5)
    assert received == pytest.approx(tuple(expected.values()), rel=1e-12)
    published, deviations = (0.4772, 0.4705, 1.0555, 0.9735), (0.014, 0.008, 0.055, 0.006)
    assert (np.abs(np.subtract(received, published)) < 3 * np.array(deviations)).all()
