"""`evaluate`: sample quality and likelihood of one model, with how they were measured."""

import contextlib
import math
import time
from dataclasses import dataclass, field

import numpy as np

from kgen.bounds import Draws, Samples, Seed, checked
from kgen.errors import KgenError
from kgen.evaluation.likelihood import likelihood
from kgen.evaluation.parts import IMAGES_PER_PART, in_parts
from kgen.evaluation.quality import Reference, check_split, images_compared, paired, quality
from kgen.evaluation.summary import SAMPLES, doubts
from kgen.metrics import posterior_figures
from kgen.spaces import Pixels, check_condition, in_words, rows_of

PICTURED = 64
COPIES_PICTURED = 10
SLOW_IMAGES_PER_PART = 128  # of iterative samplers, for progress within minutes


@dataclass
class Evaluation:
    """The evaluation of one model.

    Attributes:
        rows: {"samples", "real images (floor)", "noise (ceiling)": {name: figure}}, see
            `kgen.evaluation.quality`; empty for a model that cannot sample. For an image-to-image
            model, "samples" also have the figures of `kgen.metrics.pair_figures`, and there is a
            row "sources (identity)".
        likelihood: see `kgen.evaluation.likelihood`; None for a model without likelihood.
        latents: see `kgen.metrics.posterior_figures`; None for a model without normal posteriors.
        used: encoder and its hash, numbers of images and of features, split, k, seed, EMA,
            trainable parameters.
        seconds: {part: seconds}; with "training" if `kgen.evaluate` measured a run.
        samples: the first 64 samples, uint8; None for a model that cannot sample.
        reference: the `Reference` of the comparison; None for a model that cannot sample.
        copies: uint8 (10, 2, height, width, channels): the samples nearest to training images, each
            with that training image; None for a model that cannot sample.
    """

    rows: dict = field(default_factory=dict)
    likelihood: dict | None = None
    latents: dict | None = None
    used: dict = field(default_factory=dict)
    seconds: dict = field(default_factory=dict)
    reference: Reference | None = None
    samples: np.ndarray | None = None
    copies: np.ndarray | None = None

    def as_json(self):
        """The figures as plain values, with doubts about them, without the images."""
        names = ("rows", "likelihood", "latents", "used", "seconds")
        reasons = doubts(SAMPLES, self) if self.rows else {}
        return {**{name: getattr(self, name) for name in names}, "doubts": list(reasons.values())}


def evaluate(
    model,
    data,
    samples=10_000,
    split="test",
    seed=0,
    encoder=None,
    bound_samples=None,
    reference=None,
    progress=None,
    sampling=None,
    likelihood_images=None,
):
    """Compare a model's samples with real images, and measure the likelihood of real images.

    Args:
        model: a trained model. With `ema` it samples from its averaged weights.
        data: the `kgen.data.Dataset` to compare with, of the same shape and levels.
        samples: number of samples and of real images to compare with, from 2; fewer if a split has
            fewer.
        split: "test", "validation" (to choose between models) or "train".
        seed: of the samples, of the choice of images, and of a bound's noise.
        encoder: callable, uint8 images -> features (n, d); None for `kgen.encoders.for_data(data)`.
        bound_samples: samples or draws of a bound; None for the model's `likelihood_samples`,
            mostly 10.
        reference: the `Reference` of an earlier evaluation on the same data with the same
            arguments; None to compute it.
        progress: called with a number of images after each part, or None.
        sampling: further arguments of `model.sample`, such as {"temperature": 0.7}; recorded in
            `used`, with the defaults of the others.
        likelihood_images: number of real images whose likelihood is computed, from 2; None for the
            model's `likelihood_images`, mostly as many as samples.

    Returns:
        An `Evaluation`.

    Raises:
        KgenError: for a split that the data do not have, numbers out of their bounds, or data that
            do not fit the model: another shape, other levels, or missing labels.

    Examples:
        >>> data = kgen.data.load("digits").limit(100)
        >>> def pixels(images):  # an encoder of one's own; a trained one tells more
        ...     return images.reshape(len(images), -1) / 16
        >>> model = kgen.models.create("vae", data)
        >>> found = kgen.evaluation.evaluate(model, data, encoder=pixels)
        >>> list(found.rows)
        ['samples', 'real images (floor)', 'noise (ceiling)']
        >>> found.likelihood["likelihood"], found.used["images"]
        ('bound', 100)
    """
    samples, seed = checked("samples", samples, Samples), checked("seed", seed, Seed)
    if bound_samples is None:
        bound_samples = model.likelihood_samples
    bound_samples = checked("bound_samples", bound_samples, Draws)
    check_images_of(model, data, split)
    count = images_compared(data, samples, split)
    scored = images_scored(model, count, likelihood_images)
    found = Evaluation(reference=reference)
    found.used = {
        "data": data.name,
        "data_sha256": data.checksum,
        "items": data.space.what,
        "levels": getattr(data.space, "levels", None),
        "split": split,
        "images": count,
        "seed": seed,
        "ema": getattr(model, "ema", None) or None,
        "parameters": sum(math.prod(weight.shape) for weight in model.trainable_weights),
    }
    if model.can_sample:
        found.used["sampling"] = model.sampling_arguments(**(sampling or {}))
        try:
            with timed(found.seconds, "real images"):
                encoder = encoder or (reference.encoder if reference else _default_encoder(data))
                found.reference = reference or Reference(data, encoder, count, split, seed)
        except KgenError as error:
            if encoder is not None:
                raise
            found.used["encoder"] = f"none: {error}"
        else:
            found.used |= identity_of(encoder)
            found.used["features"] = found.reference.real.shape[1]
            _measure_samples(model, found, progress)
    with timed(found.seconds, "likelihood"):
        held_out = data.splits[split].limit(scored)
        found.likelihood = likelihood(model, held_out, bound_samples, seed, progress)
    if model.has_normal_posterior:
        condition = None if model.condition_space is None else held_out.condition
        encoded = model.encode(np.asarray(held_out.x), condition)
        found.latents = posterior_figures(*encoded, seed)
    return found


def images_scored(model, compared, asked=None):
    """Number of images whose likelihood an evaluation computes; 0 for a model without.

    Args:
        model: a `GenerativeModel`.
        compared: number of images compared, the most there are.
        asked: number of images asked for; None for the model's own choice.
    """
    if not model.likelihood:
        return 0
    asked = model.likelihood_images if asked is None else asked
    return (
        compared if asked is None else min(checked("likelihood_images", asked, Samples), compared)
    )


def _measure_samples(model, found, progress):
    reference, sampling = found.reference, found.used["sampling"]

    def sample(rows, seed):  # a conditional model gets the conditions of the real images
        condition = None if model.condition_space is None else rows_of(reference.condition, rows)
        return model.sample(rows.stop - rows.start, condition, seed, **sampling)

    with timed(found.seconds, "sampling"):
        size = SLOW_IMAGES_PER_PART if model.sampling == "iterative" else IMAGES_PER_PART
        images = in_parts(reference.count, reference.seed, sample, progress, size)
    with timed(found.seconds, "metrics"):
        figures, near = quality(images, reference)
        if isinstance(model.condition_space, Pixels):
            figures |= paired(images, reference, model.space.levels)
        found.rows = {"samples": figures, **reference.rows}
    copies = np.argsort(near.distances)[:COPIES_PICTURED]
    originals = reference.training_images[near.nearest[copies]]
    found.samples = images[:PICTURED]
    found.copies = np.stack([images[copies], originals], axis=1)


def check_images_of(model, data, split="test"):
    """Raise KgenError unless a model can be evaluated on a split of `data`."""
    check_split(data, split)
    if model.space != data.space:
        raise KgenError(
            f"Expected {model.space}, as the model's, received {data.name}: {data.space}: load the "
            f"{model.space.what} that the model was trained on, in the same way."
        )
    if min(len(data.train), len(data.test)) < 2:
        raise KgenError(
            f"Expected at least 2 training and 2 test images to compare with, received "
            f"{len(data.train)} and {len(data.test)} in {data.name}: add images."
        )
    if model.condition_space is not None:
        _check_conditions(model, data, data.splits[split])


def _check_conditions(model, data, split):
    if split.condition is None:
        raise KgenError(
            f"Expected {data.space.what} with {in_words(model.condition_space)}, which the "
            f"{type(model).__name__} is given, received {data.name} without: put each class into a "
            "sub-folder, or evaluate on the data it was trained on."
        )
    try:
        check_condition(model.condition_space, split.condition, len(split))
    except KgenError as error:
        raise KgenError(
            f"{data.name}: {error} Or evaluate on the data the {type(model).__name__} was trained "
            "on."
        ) from error


def _default_encoder(data):
    from kgen import encoders  # which imports Keras

    return encoders.for_data(data)


def identity_of(encoder):
    """The name, hash and accuracy of an encoder; the user's own is named as in Python."""
    own = getattr(encoder, "__name__", type(encoder).__name__)
    identity = {"encoder": getattr(encoder, "name", own)}
    identity["encoder_sha256"] = getattr(encoder, "sha256", None)
    if hasattr(encoder, "identity"):
        identity["encoder_test_accuracy"] = encoder.identity.test_accuracy
    return identity


@contextlib.contextmanager
def timed(seconds, part):
    """Context manager: add the seconds of the block to `seconds[part]`."""
    started = time.perf_counter()
    yield
    seconds[part] = seconds.get(part, 0.0) + time.perf_counter() - started
