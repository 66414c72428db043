"""The inception score: high if each image has a clear class and all classes occur.

Tim Salimans, Ian Goodfellow, Wojciech Zaremba, Vicki Cheung, Alec Radford, Xi Chen: Improved
Techniques for Training GANs. 2016, arXiv:1606.03498.

    exp( mean over images x of KL( p(y|x) || p(y) ) ),   p(y) = mean over images of p(y|x)

The mean divergence is computed as the entropy H(p(y)) minus the mean entropy H(p(y|x)): the same
value, but finite for every row.
"""

import itertools

import numpy as np
from scipy.special import entr

from kgen.errors import KgenError
from kgen.metrics.features import checked_features

ROUNDING = 1e-3  # of the sum of a row: probabilities may come from float16


def inception_score(probabilities, splits=10):
    """Mean and standard deviation of the score over splits of the images.

    The score ranges from 1 (the classifier sees no difference) to the number of classes. It uses
    generated images only, and needs a classifier of the data's classes. With another classifier
    than Inception-V3, such as one of digits, it is usually called classifier score.

    Args:
        probabilities: p(y|x) of generated images, (n, classes); rows sum to 1. Splits are taken in
            the order of the rows.
        splits: number of splits, of nearly equal size.

    Returns:
        (mean, standard deviation with the divisor `splits`)

    Raises:
        KgenError: for rows that are no probabilities, or fewer rows than splits.

    Examples:
        >>> mean, _ = kgen.metrics.inception_score(np.eye(10), splits=1)  # ten classes, all sure
        >>> round(mean, 6)
        10.0
    """
    if splits < 1:
        raise KgenError(f"Expected at least 1 split, received {splits}: give 10, as papers do.")
    (rows,) = checked_features(splits, probabilities=probabilities)
    sums = rows.sum(axis=1)
    if (rows < 0).any() or np.abs(sums - 1).max() > ROUNDING:
        raise KgenError(
            "Expected probabilities from 0, rows that sum to 1, received values from "
            f"{rows.min():.3g} and sums from {sums.min():.3g} to {sums.max():.3g}: apply a softmax."
        )
    ends = np.arange(splits + 1) * len(rows) // splits
    scores = []
    for start, end in itertools.pairwise(ends):
        part = rows[start:end]
        divergence = entr(part.mean(axis=0)).sum() - entr(part).sum(axis=1).mean()
        scores.append(np.exp(max(divergence, 0)))  # below 0: rounding
    return float(np.mean(scores)), float(np.std(scores))
