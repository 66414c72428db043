"""Fidelity and diversity, measured apart: precision and recall, density and coverage.

Tuomas Kynkaanniemi, Tero Karras, Samuli Laine, Jaakko Lehtinen, Timo Aila: Improved Precision and
Recall Metric for Assessing Generative Models. 2019, arXiv:1904.06991.
Muhammad Ferjad Naeem, Seong Joon Oh, Youngjung Uh, Yunjey Choi, Jaejun Yoo: Reliable Fidelity and
Diversity Metrics for Generative Models. 2020, arXiv:2002.09797.

Every row has a ball around it whose radius is the distance to the k-th nearest neighbour in its own
set. As in the code of the second paper (prdc), a row on the surface of a ball is outside.

    precision   fraction of generated rows inside any real ball
    recall      fraction of real rows inside any generated ball
    density     mean number of real balls that a generated row is inside, divided by k
    coverage    fraction of real balls with a generated row inside

A row with k copies in its own set has a ball of radius 0, which contains nothing.
"""

import numpy as np

from kgen.errors import KgenError
from kgen.metrics.features import checked_features

BLOCK = 64  # MiB of distances at a time


def precision_recall(real, generated, neighbours=3):
    """Precision and recall (Kynkaanniemi et al. 2019), each from 0 to 1 (best).

    Args:
        real, generated: features (n, d) and (m, d), more than `neighbours` rows each.
        neighbours: k; 3 in the paper, 5 in Naeem et al.

    Returns:
        (precision, recall)

    Raises:
        KgenError: for features of a wrong shape or type, too few, not finite, or if all real
            features are equal.

    Examples:
        >>> real = np.random.default_rng(0).normal(size=(1000, 2))
        >>> kgen.metrics.precision_recall(real, real[real[:, 0] > 0])  # a half is missing
        (1.0, 0.513)
    """
    real, generated = _checked(real, generated, neighbours)
    real_radii, generated_radii = _radii(real, neighbours), _radii(generated, neighbours)
    precise, recalled = np.zeros(len(generated), bool), []
    for rows, distances in _distances(real, generated):
        precise |= (distances < real_radii[rows, None]).any(axis=0)
        recalled.append((distances < generated_radii).any(axis=1))
    return float(precise.mean()), float(np.concatenate(recalled).mean())


def density_coverage(real, generated, neighbours=5):
    """Density, from 0 (1 for equal distributions), and coverage, from 0 to 1 (Naeem et al. 2020).

    Unlike precision and recall they are robust to single outliers among real or generated images.

    Args:
        real, generated: features (n, d) and (m, d), more than `neighbours` rows each.
        neighbours: k; 5 in the paper.

    Returns:
        (density, coverage)

    Raises:
        KgenError: as in `precision_recall`.

    Examples:
        >>> real = np.random.default_rng(0).normal(size=(1000, 2))
        >>> density, coverage = kgen.metrics.density_coverage(real, real[real[:, 0] > 0])
        >>> round(density, 1), coverage
        (1.0, 0.504)
    """
    real, generated = _checked(real, generated, neighbours)
    radii = _radii(real, neighbours)
    inside, covered = 0, []
    for rows, distances in _distances(real, generated):
        inside += (distances < radii[rows, None]).sum()
        covered.append(distances.min(axis=1) < radii[rows])
    density = inside / (neighbours * len(generated))
    return float(density), float(np.concatenate(covered).mean())


def _checked(real, generated, neighbours):
    if neighbours < 1:
        raise KgenError(
            f"Expected at least 1 neighbour, received {neighbours}: give 5, as papers do."
        )
    real, generated = checked_features(neighbours + 1, real=real, generated=generated)
    if not np.ptp(real, axis=0).any():
        raise KgenError(
            f"Expected real features that differ, received {len(real)} equal rows: there is no "
            "distance between real images to compare with."
        )
    return real, generated


def _distances(rows, others=None):
    """Yield (slice of `rows`, Euclidean distances (block, m) to `others`); None: to `rows`."""
    from sklearn.metrics import pairwise_distances_chunked

    start = 0
    for distances in pairwise_distances_chunked(rows, others, working_memory=BLOCK):
        yield slice(start, start + len(distances)), distances
        start += len(distances)


def _radii(features, neighbours):
    """Distance (n,) of every row to its k-th nearest neighbour, not counting itself."""
    blocks = [  # copies: a view would keep the block
        np.partition(distances, neighbours, axis=1)[:, neighbours].copy()
        for _, distances in _distances(features)
    ]
    return np.concatenate(blocks)
