"""Sample quality: all metrics of a set of images against real images."""

import numpy as np

from kgen import metrics
from kgen.errors import KgenError
from kgen.evaluation.summary import CEILING, FLOOR, IDENTITY
from kgen.spaces import Pixels

SUBSET = 1000  # images per subset of the kernel distance; all if there are fewer


def images_compared(data, samples, split="test"):
    """Number of images to compare: `samples`, or as many as `split` or its other split has."""
    return min(samples, len(data.splits[split]), len(data.splits[other_split(split)]))


def other_split(split):
    """The split that real images come from which are compared with those of `split`."""
    return "test" if split == "train" else "train"


def check_split(data, split):
    """Raise KgenError for a split that the data do not have."""
    if split not in data.splits:
        raise KgenError(
            f"Expected a split of {data.name}, {sorted(data.splits)}, received {split!r}: choose "
            "one. (`data.with_validation()` has a validation split.)"
        )


class Reference:
    """Features of real images, and the metrics of other real images (floor) and noise (ceiling).

    No model can be expected to beat other real images (`floor`). A model no better than noise
    (`ceiling`) has learned nothing. All models of the same data can share one reference.

    Args:
        data: a `kgen.data.Dataset`.
        encoder: callable, uint8 images -> features (n, d).
        count: number of images in every comparison; fewer if a split has fewer.
        split: "test", "validation" or "train": the images to compare with. The floor uses training
            images, for "train" test images.
        seed: of the choice of images, the noise, and the metrics' subsets.

    Attributes:
        count: number of images compared.
        images: the real images, uint8.
        condition: the conditions of the real images, or None.
        rows: {"real images (floor)": figures, "noise (ceiling)": figures}. If the condition is a
            source image of the same size, there is also "sources (identity)": the figures of a
            model that returns its sources, with those of `kgen.metrics.pair_figures`.

    Raises:
        KgenError: for a split that the data do not have, or features that are no array (n, d).
    """

    def __init__(self, data, encoder, count=10_000, split="test", seed=0):
        check_split(data, split)
        self.encoder, self.seed = encoder, seed
        self.count = images_compared(data, count, split)
        chosen = data.splits[split].limit(self.count)
        others = data.splits[other_split(split)].limit(self.count)
        self.condition = chosen.condition
        self.images = np.asarray(chosen.images)
        self.real = self._features(self.images)
        # Distances of samples to the training images are compared with those of held-out images.
        self.training_images = np.asarray(data.train.images)
        self.training = self._features(self.training_images)
        self.held_out = self._features(np.asarray(data.test.images))
        noise = np.random.default_rng(seed).integers(
            data.levels, size=(self.count, *data.image_shape), dtype="uint8"
        )
        self.rows = {
            FLOOR: quality(np.asarray(others.images), self, are_real=True)[0],
            CEILING: quality(noise, self)[0],
        }
        sources = data.condition_space
        if isinstance(sources, Pixels) and sources.shape[:2] == data.space.shape[:2]:
            identity = sources.converted(self.condition, data.space)
            self.rows[IDENTITY] = quality(identity, self)[0] | paired(identity, self, data.levels)

    def _features(self, images):
        features = np.asarray(self.encoder(images))
        if features.ndim != 2 or len(features) != len(images):
            raise KgenError(
                f"Expected an encoder that returns features ({len(images)}, d), received an array "
                f"of shape {features.shape}: return one row an image."
            )
        return features


def paired(images, reference, levels):
    """The figures of `kgen.metrics.pair_figures` for images and the reference's images."""
    return metrics.pair_figures(images, reference.images, levels)


def quality(images, reference, are_real=False):
    """All metrics of images against the reference's images.

    Args:
        images: uint8 (n, height, width, channels).
        reference: a `Reference`.
        are_real: whether they may be training images; memorization is then not measured.

    Returns:
        ({name: figure}, `kgen.metrics.Memorization` or None). A figure is None if it cannot be
        measured: with too few images (at least 4 for precision and recall, 6 for density and
        coverage, 10 for the classifier score), or with an encoder without probabilities.
        `memorized` is the share of samples closer to a training image than the closest 1 % of
        held-out images.
    """
    real, features = reference.real, reference.encoder(images)
    subset = min(SUBSET, len(real), len(features))
    kernel, deviation = metrics.kernel_distance(
        real, features, subset_size=subset, seed=reference.seed
    )
    few = min(len(real), len(features))
    nothing = None, None
    precision, recall = metrics.precision_recall(real, features) if few > 3 else nothing
    density, coverage = metrics.density_coverage(real, features) if few > 5 else nothing
    near = None
    if not are_real:
        near = metrics.memorization(reference.training, reference.held_out, features)
    figures = {
        "frechet_distance": metrics.frechet_distance(real, features),
        "frechet_distance_infinity": _infinity(real, features, reference.seed),
        "kernel_distance": kernel,
        "kernel_distance_deviation": deviation,
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
        "inception_score": _score(images, reference.encoder) if few >= 10 else None,
        "memorized": near.copies if near else None,
    }
    return figures, near


def _infinity(real, features, seed):
    try:
        return metrics.frechet_distance_infinity(real, features, seed)
    except KgenError:  # too few images to extrapolate from
        return None


def _score(images, encoder):
    if not hasattr(encoder, "probabilities"):
        return None
    return metrics.inception_score(encoder.probabilities(images))[0]
