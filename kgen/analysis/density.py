"""Uses of log p(x): detecting outliers, and classification by Bayes' rule.

The functions work for every model with a likelihood. If the likelihood is a lower bound, results
are computed from the bound: `samples` is its k, and `seed` seeds its noise, which is the same for
all labels.
"""

from dataclasses import dataclass

import numpy as np

from kgen.capabilities import log_prob_arguments, require
from kgen.errors import KgenError
from kgen.metrics import auroc

# === Outliers ===


@dataclass(frozen=True, eq=False)
class OutlierDetection:
    """The result of `detect_outliers`.

    Attributes:
        log_probs: log p(x) of the images, in nats per image, (n,).
        outlier_log_probs: log p(x) of the outliers, in nats per image, (m,).
    """

    log_probs: np.ndarray
    outlier_log_probs: np.ndarray

    @property
    def auroc(self):
        """The area under the ROC curve: how often an image has a larger log p(x) than an outlier.

        Ties count half. 1: all outliers are found; 0.5: chance; below 0.5: the model finds the
        outliers more probable.
        """
        return auroc(self.log_probs, self.outlier_log_probs)


def detect_outliers(model, images, outliers, samples=1, seed=0):
    """Outlier detection by log p(x): is it larger for images like the training images?

    Often it is not: a density can be larger where there are no data. Flows, VAEs and PixelCNNs
    trained on one set of photographs give simpler photographs a larger one (Nalisnick et al. 2018,
    arXiv:1810.09136). So an area under the curve near 0 is a finding, not a mistake.

    For a model given labels, log p(x) = log sum over y of p(x|y) / classes.

    Args:
        model: a model with a likelihood.
        images: uint8 (n, height, width, channels) of the model's shape and levels, not trained on.
        outliers: other images of that shape and those levels, uint8 (m, height, width, channels).
        samples: for a bound, its number of samples k, at least 1.
        seed: for a bound, the seed of its noise.

    Returns:
        An `OutlierDetection`; `kgen.pictures.save_histograms` draws both.

    Raises:
        KgenError: for a model without a likelihood, or images it does not take.

    Examples:
        >>> model, images = kgen.VAE((8, 8, 1), levels=17), kgen.data.load("digits").test.images
        >>> found = kgen.density.detect_outliers(model, images[:20], 16 - images[:20])
        >>> found.log_probs.shape, 0 <= found.auroc <= 1
        ((20,), True)
    """
    log_probs = (log_prob(model, part, samples, seed) for part in (images, outliers))
    return OutlierDetection(*log_probs)


def outlier_auroc(model, images, outliers, samples=1, seed=0):
    """The area under the ROC curve alone: `detect_outliers(...).auroc`.

    Examples:
        >>> model, images = kgen.VAE((8, 8, 1), levels=17), kgen.data.load("digits").test.images
        >>> kgen.density.outlier_auroc(model, images[:20], images[:20])  # the same: chance
        0.5
    """
    return detect_outliers(model, images, outliers, samples, seed).auroc


def log_prob(model, images, samples=1, seed=0):
    """log p(x) in nats per image, (n,), of any model with a likelihood; summed over labels.

    For arguments and errors see `detect_outliers`.

    Examples:
        >>> model, images = kgen.VAE((8, 8, 1), levels=17), kgen.data.load("digits").test.images
        >>> kgen.density.log_prob(model, images[:20], samples=5).shape
        (20,)
    """
    require(model, "likelihood")
    if _classes(model):
        joint = classify(model, images, samples=samples, seed=seed).log_joint
        return np.logaddexp.reduce(joint, axis=1)
    return _log_prob(model, images, samples, seed)


# === Bayes' rule ===


@dataclass(frozen=True, eq=False)
class Classification:
    """The result of `classify`.

    Attributes:
        log_joint: log p(x|y) + log p(y) in nats, (n, classes).
    """

    log_joint: np.ndarray

    @property
    def labels(self):
        """The most probable label of each image, (n,)."""
        return self.log_joint.argmax(axis=1)

    @property
    def posterior(self):
        """p(y|x), (n, classes); rows sum to 1."""
        return np.exp(self.log_joint - np.logaddexp.reduce(self.log_joint, axis=1)[:, None])


def classify(model, images, prior=None, samples=1, seed=0):
    """Labels by Bayes' rule: argmax over y of log p(x|y) + log p(y).

    Args:
        model: a model with a likelihood and classes.
        images: uint8 (n, height, width, channels).
        prior: p(y), (classes,); None for a uniform prior.
        samples: for a bound, its number of samples k, at least 1. A small k adds noise of some nats
            to every log p(x|y).
        seed: for a bound, the seed of its noise.

    Returns:
        A `Classification`, with `labels` and `posterior`.

    Raises:
        KgenError: for a model without a likelihood or classes, a prior that is not a probability
            distribution, or images that the model does not take.

    Examples:
        >>> data = kgen.data.load("digits")
        >>> found = kgen.density.classify(kgen.models.create("cvae", data), data.test.images[:3])
        >>> found.labels.shape, found.posterior.sum(axis=1).round(6)
        ((3,), array([1., 1., 1.]))
    """
    if not _classes(model):
        require(model, "likelihood", "conditional")
        raise KgenError(
            f"Expected a model that is given labels, received {type(model).__name__} without: "
            "create it with classes and train it on labels."
        )
    prior = _checked_prior(prior, _classes(model))
    columns = [
        _log_prob(model, images, samples, seed, np.full(len(images), label))
        for label in range(_classes(model))
    ]
    with np.errstate(divide="ignore"):  # log 0 = -inf: such a label is never chosen
        return Classification(np.stack(columns, axis=1) + np.log(prior))


def _checked_prior(prior, classes):
    if prior is None:
        return np.full(classes, 1 / classes)
    prior = np.asarray(prior, "float64")
    if prior.shape != (classes,) or not (prior >= 0).all() or abs(prior.sum() - 1) > 1e-6:
        raise KgenError(
            f"Expected a prior of {classes} probabilities that sum to 1, received shape "
            f"{prior.shape}, sum {prior.sum():.6g}: divide numbers of images by their sum."
        )
    return prior


def _classes(model):
    """The number of classes of the model's condition; 0 if it has no labels."""
    return getattr(getattr(model, "condition_space", None), "classes", 0)


def _log_prob(model, images, samples, seed, condition=None):
    require(model, "likelihood")
    noise = log_prob_arguments(model, samples=samples, seed=seed)
    return np.asarray(model.log_prob(images, condition, **noise))
