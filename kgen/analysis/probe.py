"""Linear probes: how well a linear classifier predicts labels from a model's latents."""

from dataclasses import dataclass

import numpy as np

from kgen.capabilities import require
from kgen.errors import KgenError
from kgen.spaces import in_words

ITERATIONS = 2000


@dataclass(frozen=True, eq=False)
class LinearProbe:
    """The result of `linear_probe`.

    Attributes:
        accuracy: fraction of the test images whose label is predicted correctly.
        labels: predicted labels of the test images, (n,).
        projection: two principal components of the classifier's scores for the test images, (n, 2).
            The scores are linear functions of the latents. For two labels the second component is
            0.
    """

    accuracy: float
    labels: np.ndarray
    projection: np.ndarray


def linear_probe(model, train, test):
    """Logistic regression from the latents of images to their labels.

    A high accuracy means that the labels are linearly separable in the latent space (Alain & Bengio
    2016, arXiv:1610.01644). The latents are standardised. The penalty is scikit-learn's default.

    Args:
        model: a model whose latents are computed from the image alone.
        train, test: splits with labels, such as those of `kgen.data.load(...)`. The classifier is
            fitted on the first and evaluated on the second.

    Returns:
        A `LinearProbe`; `kgen.pictures.save_scatter` and `save_confusion` draw it.

    Raises:
        KgenError: for a model without latents, or whose encoder is given a condition; for splits
            without labels, or training images of one label only.

    Examples:
        >>> data = kgen.data.load("digits").limit(200)
        >>> found = kgen.probe.linear_probe(kgen.models.create("vae", data), data.train, data.test)
        >>> 0 <= found.accuracy <= 1, found.labels.shape, found.projection.shape
        (True, (200,), (200, 2))
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    _check(model, train, test)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS))
    classifier.fit(model.latents(train.images), train.labels)
    latents = model.latents(test.images)
    predicted = classifier.predict(latents)
    scores = classifier.decision_function(latents).reshape(len(latents), -1)  # (n, labels or 1)
    return LinearProbe(float(np.mean(predicted == test.labels)), predicted, _plane(scores))


def _check(model, train, test):
    require(model, "encodes")
    if model.condition_space is not None and not model.encodes_alone:
        raise KgenError(
            f"Expected a model that encodes images alone, received {type(model).__name__}, which "
            f"is given {in_words(model.condition_space)}, too: train one without, a vae."
        )
    if any(split.labels is None for split in (train, test)):
        raise KgenError(
            "Expected training and test images with labels, received some without: choose "
            "a labelled set."
        )
    if len(np.unique(train.labels)) < 2:
        raise KgenError(
            "Expected training images of at least 2 labels, received 1: add images of another."
        )


def _plane(scores):
    """The first two principal components of scores (n, k), (n, 2)."""
    left, sizes, _ = np.linalg.svd(scores - scores.mean(axis=0), full_matrices=False)
    plane = (left * sizes)[:, :2]
    return np.pad(plane, [(0, 0), (0, 2 - plane.shape[1])])
