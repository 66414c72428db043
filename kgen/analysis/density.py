"""Uses of log p(x): telling other images apart, and classification by Bayes' rule.

They work for every model with a likelihood. Where that is a bound, so is all that is computed of
it; `samples` are the k of the bound, and equal seeds give it equal noise, the same for all labels.
"""

from dataclasses import dataclass

import numpy as np

from kgen.capabilities import log_prob_arguments, require
from kgen.errors import KgenError
from kgen.metrics import auroc

# === Outliers ===


@dataclass(frozen=True, eq=False)
class OutlierDetection:
    """What `detect_outliers` found.

    Attributes:
        log_probs: of the images in nats each, (n,).
        outlier_log_probs: of the other images, (m,).
    """

    log_probs: np.ndarray
    outlier_log_probs: np.ndarray

    @property
    def auroc(self) -> float:
        """The probability that an image is more probable than an outlier, ties counted half.

        1: all outliers are found; 0.5: chance; below: the model finds the outliers more probable.
        """
        return auroc(self.log_probs, self.outlier_log_probs)


def detect_outliers(model, images, outliers, samples=1, seed=0):
    """Is log p(x) of images like the training images above that of other images?

    Often not: a density can be higher where no data are. Flows, VAEs and PixelCNNs trained on
    one set of photographs find simpler ones more probable (Nalisnick et al. 2018,
    arXiv:1810.09136), so that an area under the curve near 0 is a finding, not a mistake.

    A model that knows labels is asked without: log p(x) = log sum over y of p(x|y) / classes.

    Args:
        model: with a likelihood.
        images: uint8 (n, height, width, channels) of the model's shape and levels, not trained on.
        outliers: other images of that shape and those levels, (m, height, width, channels).
        samples: k of a bound, from 1.
        seed: of a bound's noise.

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
    """`detect_outliers(...).auroc`, where the log-probabilities are not wanted.

    Examples:
        >>> model, images = kgen.VAE((8, 8, 1), levels=17), kgen.data.load("digits").test.images
        >>> kgen.density.outlier_auroc(model, images[:20], images[:20])  # the same: chance
        0.5
    """
    return detect_outliers(model, images, outliers, samples, seed).auroc


def log_prob(model, images, samples=1, seed=0):
    """log p(x) in nats, (n,), of any model with a likelihood; labels, if any, are summed over.

    Args and errors as of `detect_outliers`.

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
    """What `classify` found.

    Attributes:
        log_joint: log p(x|y) + log p(y) in nats, (n, classes).
    """

    log_joint: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """The most probable label of each image, (n,)."""
        return self.log_joint.argmax(axis=1)

    @property
    def posterior(self) -> np.ndarray:
        """p(y|x), (n, classes); rows sum to 1."""
        return np.exp(self.log_joint - np.logaddexp.reduce(self.log_joint, axis=1)[:, None])


def classify(model, images, prior=None, samples=1, seed=0):
    """Labels by Bayes' rule: argmax over y of log p(x|y) + log p(y).

    Args:
        model: with a likelihood and classes.
        images: uint8 (n, height, width, channels).
        prior: p(y), (classes,); None for equal ones.
        samples: k of a bound, from 1: with few, noise of some nats is added to every log p(x|y).
        seed: of a bound's noise.

    Returns:
        A `Classification`: `labels`, `posterior`.

    Raises:
        KgenError: for a model without a likelihood or classes, a prior that is none, or images it
            does not take.

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
    with np.errstate(divide="ignore"):  # a label of probability 0 is never the most probable
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
    """How many labels the model is given one of; 0 where it is given nothing of the kind."""
    return getattr(getattr(model, "condition_space", None), "classes", 0)


def _log_prob(model, images, samples, seed, condition=None):
    require(model, "likelihood")
    noise = log_prob_arguments(model, samples=samples, seed=seed)
    return np.asarray(model.log_prob(images, condition, **noise))
