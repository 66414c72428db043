"""The kernel distance between two sets of features (KID with Inception features).

Mikolaj Binkowski, Danica J. Sutherland, Michael Arbel, Arthur Gretton: Demystifying MMD GANs.
2018, arXiv:1801.01401.

    MMD^2 = mean of k(x, x') + mean of k(y, y') - 2 mean of k(x, y),   k(x, y) = (x.y / d + 1)^3

over pairs of different rows x, x' of one set and y, y' of the other. The estimate is unbiased, so
it can be slightly negative.
"""

import numpy as np

from kgen.errors import KgenError
from kgen.metrics.features import checked_features


def kernel_distance(real, generated, subsets=100, subset_size=1000, seed=0):
    """Mean and standard deviation of MMD^2 over random subsets (kernel inception distance, KID).

    For equal seeds the subsets are those of torch-fidelity. As there, the deviation has the divisor
    `subsets`. It is the spread of one subset's estimate, not the error of the mean.

    Args:
        real, generated: features (n, d) and (m, d), at least `subset_size` rows each.
        subsets: number of pairs of subsets, each drawn without replacement.
        subset_size: rows per subset, from 2.
        seed: of the subsets, from 0.

    Returns:
        (mean, standard deviation), in units of the kernel.

    Raises:
        KgenError: for features of a wrong shape or type, too few for a subset, or not finite.

    Examples:
        >>> real, generated = np.random.default_rng(0).normal(size=(2, 1000, 2))
        >>> mean, deviation = kgen.metrics.kernel_distance(real, generated / 2, subset_size=100)
        >>> round(mean, 2), round(deviation, 2)
        (0.87, 0.23)
    """
    if subsets < 1 or subset_size < 2:
        raise KgenError(
            f"Expected at least 1 subset of at least 2 rows, received {subsets} of "
            f"{subset_size}: give larger numbers."
        )
    real, generated = checked_features(2, real=real, generated=generated)
    fewest = min(len(real), len(generated))
    if fewest < subset_size:
        raise KgenError(
            f"Expected at least subset_size={subset_size} features of either set, received "
            f"{fewest}: encode more images or pass a smaller subset_size."
        )
    generator = np.random.RandomState(seed)  # torch-fidelity's, not the newer default_rng

    def part(features):
        return features[generator.choice(len(features), subset_size, replace=False)]

    distances = [_squared_mmd(part(real), part(generated)) for _ in range(subsets)]
    return float(np.mean(distances)), float(np.std(distances))


def _squared_mmd(first, second):
    return (
        _mean_of_different(_kernel(first, first))
        + _mean_of_different(_kernel(second, second))
        - 2 * _kernel(first, second).mean()
    )


def _kernel(first, second):
    base = first @ second.T / first.shape[1] + 1
    return base * base * base  # ten times faster than base**3


def _mean_of_different(kernel):
    """The mean of a square matrix without its diagonal."""
    count = len(kernel)
    return (kernel.sum() - np.trace(kernel)) / (count * (count - 1))
