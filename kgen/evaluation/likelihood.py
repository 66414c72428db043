"""The negative log-likelihood of a split, in nats per image and bits per dimension."""

import math

import numpy as np

from kgen.capabilities import log_prob_arguments
from kgen.errors import KgenError
from kgen.evaluation.parts import IMAGES_PER_PART, in_parts
from kgen.spaces import Tokens, rows_of

SLOW_IMAGES_PER_PART = 10  # of models whose likelihood takes seconds an image


def likelihood(model, split, samples, seed=0, progress=None):
    """Mean negative log-likelihood of images, with its standard error.

    Args:
        model: a model whose `likelihood` is "exact", "bound", "estimate" or None.
        split: a `kgen.data.Split` of at least two images.
        samples: k of an importance weighted bound, or the number of draws whose mean is returned;
            an exact likelihood ignores it.
        seed: of the bound's noise.
        progress: called with the number of images after each part, or None.

    Returns:
        A dict of plain values: `likelihood`, `samples` or `draws` (if there are some), `images`,
        the mean in nats per image and in bits per dimension, and the standard errors of both. With
        several draws of a model that has `log_prob_draws`, also `draw_deviation_nats`: the
        standard deviation of an image's draws, the root of its mean square over images. Of texts,
        `perplexity`, exp(nats / number of words and ends), too large if they are a bound's. For an
        estimate, means and errors are from its lower side, where log p(x) comes out too small on
        average; `optimistic_negative_log_prob_nats` is the mean from its upper side,
        `log_partition` the estimates of log Z from below and above, and the rest how they were
        found. None for a model without likelihood.

    Raises:
        KgenError: for fewer than two images.

    Examples:
        >>> data = kgen.data.load("digits").limit(50)
        >>> model = kgen.models.create("vae", data)
        >>> found = kgen.evaluation.likelihood(model, data.test, samples=5)
        >>> found["images"], found["negative_log_prob_nats"] > 0
        (50, True)
    """
    if not model.likelihood:
        return None
    if len(split) < 2:
        raise KgenError(
            f"Expected at least 2 images for a standard error, received {len(split)}: add images."
        )
    x = np.asarray(split.x)
    drawn = log_prob_arguments(model, samples=samples, draws=samples)
    draws_of = getattr(model, "log_prob_draws", None)

    def log_probs(rows, seed):
        """(n, draws) of the images of some rows."""
        condition = None if model.condition_space is None else rows_of(split.condition, rows)
        noise = drawn | log_prob_arguments(model, seed=seed)
        if draws_of:
            return draws_of(x[rows], condition, **noise).T
        return model.log_prob(x[rows], condition, **noise)[:, None]

    size = SLOW_IMAGES_PER_PART if model.likelihood_images else IMAGES_PER_PART
    draws = -in_parts(len(x), seed, log_probs, progress, size)
    nats = draws.mean(axis=1)
    mean, error = float(nats.mean()), float(nats.std(ddof=1) / math.sqrt(len(nats)))
    spread = {}
    if isinstance(model.space, Tokens):
        spread["perplexity"] = math.exp(nats.sum() / model.space.symbols(x).sum())
    if draws.shape[1] > 1:
        spread["draw_deviation_nats"] = float(np.sqrt(draws.var(axis=1, ddof=1).mean()))
    bit_everywhere = model.space.dimensions * math.log(2)  # nats
    return {
        "likelihood": model.likelihood,
        **drawn,
        "images": len(nats),
        "negative_log_prob_nats": mean,
        "standard_error_nats": error,
        "bits_per_dimension": mean / bit_everywhere,
        "standard_error_bits": error / bit_everywhere,
        **spread,
        **_sides(model, mean),
    }


def _sides(model, mean):
    """The other side of an estimate, and how log Z was found; {} for another likelihood."""
    if model.likelihood != "estimate":
        return {}
    found = model.log_partition()
    return {
        "optimistic_negative_log_prob_nats": mean - (found.upper - found.lower),
        "log_partition": [found.lower, found.upper],
        **found.settings,
    }
