"""AUROC, the area under the ROC curve: how well a score separates two groups."""

import numpy as np
from scipy.stats import rankdata

from kgen.errors import KgenError


def auroc(positives, negatives):
    """The probability that a positive's score is above a negative's; ties count half.

    1 separates the groups, 0.5 is chance, 0 orders them wrongly. Computed from ranks as U / (n m)
    with the statistic U of Mann and Whitney (1947, doi:10.1214/aoms/1177730491).

    Args:
        positives, negatives: scores (n,) and (m,), at least one each; they may be infinite.

    Raises:
        KgenError: for other shapes, an empty group, or NaN.

    Examples:
        >>> kgen.metrics.auroc([3.0, 4.0], [1.0, 3.0])
        0.875
    """
    values = [np.asarray(group, "float64") for group in (positives, negatives)]
    if any(group.ndim != 1 or not len(group) or np.isnan(group).any() for group in values):
        shapes = " and ".join(str(group.shape) for group in values)
        raise KgenError(
            f"Expected positives (n,) and negatives (m,), at least one of each and none NaN, "
            f"received shapes {shapes}, {sum(np.isnan(group).sum() for group in values)} NaN: "
            "leave those out."
        )
    n, m = map(len, values)
    ranks = rankdata(np.concatenate(values))[:n]
    return float((ranks.sum() - n * (n + 1) / 2) / (n * m))
