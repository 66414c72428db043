"""What a mixture of Gaussians says of a part of an item: conditionals and integrals, in float64."""

import math

import numpy as np
import scipy.linalg
from scipy.special import log_ndtr


def completed(values, hidden, log_weights, means, precision, generator):
    """Values whose hidden part is drawn from p(hidden|known), float64 (n, D).

    A component with the mean m and the inverse covariance L, split into known and hidden rows, has
    p(hidden|known) = N(m_h - L_hh^-1 L_hk (x_k - m_k), L_hh^-1).

    Args:
        values: (n, D).
        hidden: bool (n, D).
        log_weights: (K,).
        means: (K, D).
        precision: (number of a component) -> its inverse covariance (D, D).
        generator: of NumPy; equal rows of other batches get other noise.
    """
    values = np.array(values)
    gumbel = generator.gumbel(size=(len(values), len(means)))
    noise = generator.standard_normal(values.shape)
    masks, numbers = np.unique(hidden, axis=0, return_inverse=True)
    numbers = numbers.reshape(-1)  # NumPy 2.0 returns another shape
    scores = np.full(len(values), -np.inf)
    for k, mean in enumerate(means):
        inverse = precision(k)
        for number, mask in enumerate(masks):
            if not mask.any():
                continue
            rows = np.flatnonzero(numbers == number)
            found, drawn = _conditional(values[rows], mask, mean, inverse, noise[rows])
            found = found + log_weights[k] + gumbel[rows, k]  # the largest is a draw of k
            better = found > scores[rows]
            scores[rows[better]] = found[better]
            values[np.ix_(rows[better], mask)] = drawn[better]
    return values


def _conditional(values, mask, mean, inverse, noise):
    """log N(known) of one component, (n,), and draws of the hidden part, (n, hidden)."""
    known = ~mask
    differences = values[:, known] - mean[known]
    between = differences @ inverse[np.ix_(known, mask)]  # (n, hidden)
    lower = np.linalg.cholesky(inverse[np.ix_(mask, mask)])
    solved = scipy.linalg.solve_triangular(lower, between.T, lower=True).T
    # The marginal's inverse covariance is the Schur complement L_kk - L_kh L_hh^-1 L_hk.
    squares = np.sum(differences @ inverse[np.ix_(known, known)] * differences, axis=1)
    squares -= np.sum(solved**2, axis=1)
    log_determinant = np.linalg.slogdet(inverse)[1] - 2 * np.log(np.diag(lower)).sum()
    log_known = 0.5 * (log_determinant - squares - known.sum() * math.log(2 * math.pi))
    deviations = scipy.linalg.solve_triangular(
        lower, (noise[:, mask] - solved).T, lower=True, trans="T"
    ).T
    return log_known, mean[mask] + deviations


def log_bin_masses(values, width, at_lowest, at_highest, means, deviations):
    """log of the mass that normal distributions have in bins, summed over D, (n, K).

    Args:
        values: centres of the bins, (n, D).
        width: of the bins.
        at_lowest, at_highest: bool (n, D): whether a bin has no lower or no upper end.
        means, deviations: (K, D).
    """
    low = np.where(at_lowest, -np.inf, values - 0.5 * width)[:, None]
    high = np.where(at_highest, np.inf, values + 0.5 * width)[:, None]
    masses = log_normal_masses((low - means) / deviations, (high - means) / deviations)
    return masses.sum(axis=-1)


def log_normal_masses(low, high):
    """log of the mass that N(0, 1) has from `low` to `high`, accurate in both tails."""
    upper_tail = low > 0
    low, high = np.where(upper_tail, -high, low), np.where(upper_tail, -low, high)
    largest = log_ndtr(high)
    return largest + np.log1p(-np.exp(log_ndtr(low) - largest))
