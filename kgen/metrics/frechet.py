"""The Frechet distance (FID with Inception features), and its limit for infinitely many samples.

Martin Heusel, Hubert Ramsauer, Thomas Unterthiner, Bernhard Nessler, Sepp Hochreiter: GANs Trained
by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium. 2017, arXiv:1706.08500.
Min Jin Chong, David Forsyth: Effectively Unbiased FID and Inception Score and where to find them.
2020, arXiv:1911.07023.

    d^2 = |m_r - m_g|^2 + tr(C_r) + tr(C_g) - 2 tr((C_r C_g)^(1/2))

The means m and covariances C are those of the real (r) and generated (g) features. The square root
of C_r C_g would become complex or NaN for nearly singular covariances, so it is never computed.
With C = A^T A, the last trace is the sum of the singular values of A_r A_g^T: real, not negative,
and as exact as the features. A is the triangular factor of a QR decomposition of the centred
features, which also works with fewer rows than dimensions.
"""

import numpy as np

from kgen.errors import KgenError
from kgen.metrics.features import checked_features

POINTS = 15  # of the extrapolation, as in the paper
ROWS_PER_DIMENSION = 3  # with fewer, the distance is not linear in 1/N
ASYMMETRY = 1e-5  # of a covariance, relative to its largest entry


def frechet_distance(real, generated):
    """The squared Frechet distance d^2 >= 0; 0 for equal means and covariances.

    Its unit is the squared unit of the features. Covariances have the divisor n - 1. The estimate
    is too high for few images: compare equal numbers of images, or use
    `frechet_distance_infinity`.

    Args:
        real, generated: features (n, d) and (m, d), at least 2 rows each; n and m may differ, and
            may be smaller than d.

    Raises:
        KgenError: for features of a wrong shape or type, too few, or not finite.

    Examples:
        >>> real = np.random.default_rng(0).normal(size=(1000, 2))
        >>> round(kgen.metrics.frechet_distance(real, real + [3, 4]), 6)  # moved by 5
        25.0
    """
    real, generated = checked_features(2, real=real, generated=generated)
    return _distance(*_moments(real), *_moments(generated))


def frechet_distance_of_moments(real_mean, real_covariance, generated_mean, generated_covariance):
    """`frechet_distance` from means (d,) and covariances (d, d), such as published ones.

    Raises:
        KgenError: for wrong shapes, values that are not finite, or a covariance that is not
            symmetric or has negative eigenvalues (those of rounding are set to 0).

    Examples:
        >>> zero, one = np.zeros(2), np.eye(2)
        >>> round(kgen.metrics.frechet_distance_of_moments(zero, one, zero, 4 * one), 6)
        2.0
    """
    real = _checked_moments("real", real_mean, real_covariance)
    generated = _checked_moments("generated", generated_mean, generated_covariance)
    if real[0].shape != generated[0].shape:
        raise KgenError(
            f"Expected moments of one length, received {len(real[0])} and {len(generated[0])}: "
            "use one encoder for both."
        )
    return _distance(*real, *generated)


def frechet_distance_infinity(real, generated, seed=0):
    """The Frechet distance extrapolated to infinitely many generated images (FID-infinity).

    To first order the bias of the distance is linear in 1/N. So the distance is computed for 15
    random subsets of the generated features, with sizes N evenly spaced up to all of them, against
    all real features. The result is the intercept of a line fitted to distance against 1/N; it can
    be slightly negative. The smallest N is a tenth of all as in the paper (5,000 of 50,000), but at
    least 2 d (the paper has 2.4 d). The bias from the number of real images remains.

    With few rows the relation is not linear, and the intercept is too low. In 64 dimensions, with a
    true distance of 0.64, the mean result was 0.09 for 3 d rows, 0.57 for 10 d, and 0.64 for 30 d
    (`frechet_distance`: 6.72, 2.41, 1.24). It can be trusted from 10 d rows on.

    Args:
        real: features (n, d), at least 2 rows.
        generated: features (m, d), at least 3 d and 30 rows.
        seed: of the random subsets.

    Raises:
        KgenError: as in `frechet_distance`.

    Examples:
        >>> generator = np.random.default_rng(0)
        >>> real, few = generator.normal(size=(20_000, 4)), generator.normal(size=(200, 4))
        >>> round(kgen.metrics.frechet_distance(real, few), 2)  # they are distributed alike
        0.05
        >>> round(kgen.metrics.frechet_distance_infinity(real, few), 2)
        0.02
    """
    real, generated = checked_features(2, real=real, generated=generated)
    count, dimensions = generated.shape
    at_least = max(2 * POINTS, ROWS_PER_DIMENSION * dimensions)
    if count < at_least:
        raise KgenError(
            f"Expected at least {at_least} generated features of {dimensions} dimensions, received "
            f"{count}: there is no straight line to extrapolate. Generate more images, or use "
            "frechet_distance."
        )
    smallest = max(count // 10, (ROWS_PER_DIMENSION - 1) * dimensions, 2)
    sizes = np.linspace(smallest, count, POINTS).astype(int)
    generator, of_real = np.random.default_rng(seed), _moments(real)
    distances = [
        _distance(*of_real, *_moments(generated[generator.permutation(count)[:size]]))
        for size in sizes
    ]
    _, intercept = np.polyfit(1 / sizes, distances, 1)
    return float(intercept)


def _moments(features):
    """The mean (d,) and a factor A (min(n, d), d) of the covariance A^T A."""
    mean = features.mean(axis=0)
    centred = (features - mean) / np.sqrt(len(features) - 1)
    return mean, np.linalg.qr(centred, mode="r")


def _distance(real_mean, real_factor, generated_mean, generated_factor):
    shared = np.linalg.svd(real_factor @ generated_factor.T, compute_uv=False)
    squares = [real_mean - generated_mean, real_factor, generated_factor]
    distance = sum(np.sum(square**2) for square in squares) - 2 * shared.sum()
    return max(float(distance), 0.0)  # rounding


def _checked_moments(name, mean, covariance):
    """The mean and a factor A (d, d) of the covariance A^T A, from its eigenvalues."""
    mean, covariance = (np.asarray(array) for array in (mean, covariance))
    kinds = {mean.dtype.kind, covariance.dtype.kind}
    if mean.ndim != 1 or covariance.shape != (mean.size, mean.size) or not kinds <= set("fiu"):
        raise KgenError(
            f"Expected a {name} mean (d,) and covariance (d, d) of real numbers, received "
            f"{mean.dtype} of shape {mean.shape} and {covariance.dtype} of {covariance.shape}: "
            "give features.mean(0) and np.cov(features.T)."
        )
    mean, covariance = checked_features(mean=mean[None], covariance=covariance)
    scale = np.abs(covariance).max()
    if np.abs(covariance - covariance.T).max() > ASYMMETRY * scale:
        raise KgenError(
            f"Expected a symmetric {name} covariance, received another matrix: give "
            "np.cov(features.T)."
        )
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    if values[0] < -ASYMMETRY * scale:
        raise KgenError(
            f"Expected a {name} covariance without negative eigenvalues, received {values[0]:.3g}: "
            "give np.cov(features.T), in float64."
        )
    return mean[0], np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
