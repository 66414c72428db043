"""Ratios of times with 95 % intervals: of rounds by turns, and of two runs apart.

An interval holds the middle 95 % of what bootstrap resamples give (Efron & Tibshirani 1993, chapter
13).
"""

import numpy as np

RESAMPLES = 2000


def paired_ratio(numerator, denominator):
    """The ratio of two things timed by turns: the median over rounds of each round's ratio.

    Both times of a round are taken within seconds: what slows the machine in that round stands in
    both, and cancels. The rounds are resampled.

    Args:
        numerator, denominator: seconds of each round, of one length.

    Returns:
        (ratio, low, high): the ratio and the ends of its 95 % interval.
    """
    return median_interval(np.divide(numerator, denominator))


def median_interval(values):
    """(median, low, high): the median of some values and the ends of its 95 % interval."""
    medians = _medians_of_resamples(values, np.random.default_rng(0))
    return float(np.median(values)), *_interval(medians)


def unpaired_ratio(numerator, denominator):
    """The ratio of two things timed one after the other: median over median.

    Each side is resampled on its own. What changed on the machine between the two is in the ratio,
    and the interval does not tell.

    Args:
        numerator, denominator: seconds of each round; the lengths may differ.

    Returns:
        (ratio, low, high): the ratio and the ends of its 95 % interval.
    """
    random = np.random.default_rng(0)
    above, below = (_medians_of_resamples(side, random) for side in (numerator, denominator))
    return float(np.median(numerator) / np.median(denominator)), *_interval(above / below)


def _medians_of_resamples(values, random):
    return np.median(random.choice(np.asarray(values), (RESAMPLES, len(values))), axis=1)


def _interval(resampled):
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(low), float(high)
