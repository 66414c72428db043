"""How well clusters of items agree with their labels."""

from typing import NamedTuple

import numpy as np


class ClusterScores(NamedTuple):
    """The result of `cluster_scores`, two numbers from 0 to 1.

    Attributes:
        accuracy: fraction of items whose cluster is that of their label, with the best one-to-one
            matching of clusters and labels.
        nmi: normalised mutual information: that of clusters and labels, divided by the mean of
            their entropies.
    """

    accuracy: float
    nmi: float


def cluster_scores(clusters, labels):
    """The agreement of clusters with labels, whatever the order of the clusters.

    Args:
        clusters, labels: whole numbers from 0, (n,).

    Examples:
        >>> kgen.metrics.cluster_scores([2, 2, 0, 1], labels=[0, 0, 1, 1])
        ClusterScores(accuracy=0.75, nmi=0.8)
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import normalized_mutual_info_score

    clusters, labels = np.asarray(clusters), np.asarray(labels)
    counts = np.zeros((clusters.max() + 1, labels.max() + 1), int)
    np.add.at(counts, (clusters, labels), 1)
    matched = counts[linear_sum_assignment(counts, maximize=True)].sum()
    nmi = round(float(normalized_mutual_info_score(labels, clusters)), 12)
    return ClusterScores(float(matched / len(labels)), nmi)
