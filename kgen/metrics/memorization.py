"""Memorization: does a model copy its training images?

Casey Meehan, Kamalika Chaudhuri, Sanjoy Dasgupta: A Non-Parametric Test to Detect Data-Copying in
Generative Models. 2020, arXiv:2004.05675.

Held-out images show how far new images of the same kind lie from their nearest training image.
Generated images that lie nearer are copies. The paper's test statistic (section 3) is that of Mann
and Whitney; here it is given as a probability, with all of space as one cell, not normalised.
"""

from dataclasses import dataclass

import numpy as np

from kgen.metrics.features import checked_features
from kgen.metrics.ranks import auroc

NEAREST = 1  # percentile of the held-out distances below which a generated image is a copy


@dataclass(frozen=True, eq=False)
class Memorization:
    """Distances to the nearest training image, in units of the features.

    Attributes:
        distances: distances of the generated images, (m,).
        nearest: index of the training image nearest to each generated image, (m,).
        held_out_distances: distances of the held-out images, (h,).
    """

    distances: np.ndarray
    nearest: np.ndarray
    held_out_distances: np.ndarray

    @property
    def median(self):
        """Median distance of the generated images."""
        return float(np.median(self.distances))

    @property
    def held_out_median(self):
        """Median distance of the held-out images."""
        return float(np.median(self.held_out_distances))

    @property
    def copies(self):
        """Fraction of generated images nearer than the held-out images' 1st percentile.

        0.01 is expected without copying; a larger value means that some images are copies.
        """
        return float(np.mean(self.distances < np.percentile(self.held_out_distances, NEAREST)))

    @property
    def nearer(self):
        """Probability that a generated image is nearer than a held-out one; ties count half.

        0.5: like new images; towards 1: copies; towards 0: far from all data.
        """
        return auroc(self.held_out_distances, self.distances)


def memorization(training, held_out, generated):
    """Distances of generated and of held-out images to their nearest training images.

    To show the nearest pairs: with `order = result.distances.argsort()`, put the generated images
    `order[:k]` beside the training images `result.nearest[order[:k]]`.

    Args:
        training, held_out, generated: features (n, d), (h, d), (m, d), at least one row each.

    Returns:
        A `Memorization`.

    Raises:
        KgenError: for features of a wrong shape or type, none, or not finite.

    Examples:
        >>> training, held_out = np.random.default_rng(0).normal(size=(2, 1000, 8))
        >>> kgen.metrics.memorization(training, held_out, training[:100]).copies
        1.0
    """
    training, held_out, generated = checked_features(
        training=training, held_out=held_out, generated=generated
    )
    held_out_distances, _ = _nearest(training, held_out)
    return Memorization(*_nearest(training, generated), held_out_distances)


def _nearest(training, others):
    """Distance to the nearest training row, and its index, for every other row."""
    from sklearn.metrics import pairwise_distances_argmin

    nearest = pairwise_distances_argmin(others, training)
    # Computed again from the differences: scikit-learn's distances are not quite 0 for a copy.
    return np.linalg.norm(others - training[nearest], axis=1), nearest
