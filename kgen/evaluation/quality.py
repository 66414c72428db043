"""Sample quality: every metric of one set of images against real ones."""

import numpy as np

from kgen import metrics
from kgen.errors import KgenError
from kgen.evaluation.summary import CEILING, FLOOR, IDENTITY
from kgen.spaces import Pixels

SUBSET = 1000  # of the kernel distance; all images where there are fewer


def images_compared(data, samples):
    """How many images of either split, and samples, are compared: `samples`, or all there are."""
    return min(samples, len(data.test), len(data.train))


def check_split(split):
    """Raise KgenError for the name of no split."""
    if split not in ("test", "train"):
        raise KgenError(f"Expected split 'test' or 'train', received {split!r}: choose one.")


class Reference:
    """Real images as an encoder sees them, and what the metrics say of real images and of noise.

    No model can be expected to do better than other real images (`floor`), and one no better than
    noise has learned nothing (`ceiling`). One reference serves all models of the same data.

    Args:
        data: a `kgen.data.Dataset`.
        encoder: callable, uint8 images -> features (n, d).
        count: images in every comparison; fewer where a split has fewer.
        split: "test" or "train": the images to compare with. The floor is the other one's.
        seed: of the images chosen, the noise, and the metrics' subsets.

    Attributes:
        count: images compared.
        images: the real images, uint8.
        condition: what the real images are given, or None.
        rows: {"real images (floor)": figures, "noise (ceiling)": figures}; where the real images
            are given source images of their size, "sources (identity)": what a model would get that
            returns its sources, with the figures of `kgen.metrics.pair_figures`.

    Raises:
        KgenError: for another split, or features that are no array (n, d).
    """

    def __init__(self, data, encoder, count=10_000, split="test", seed=0):
        check_split(split)
        self.encoder, self.seed = encoder, seed
        self.count = images_compared(data, count)
        chosen = {name: getattr(data, name).limit(self.count) for name in ("train", "test")}
        others = chosen.pop("train" if split == "test" else "test")
        self.condition = chosen[split].condition
        self.images = np.asarray(chosen[split].images)
        self.real = self._features(self.images)
        # Distances to the training images are compared with those of images held out from them.
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
    """How near images are to the reference's own, each to that of its row."""
    return metrics.pair_figures(images, reference.images, levels)


def quality(images, reference, are_real=False):
    """Every metric of images against the reference's.

    Args:
        images: uint8 (n, height, width, channels).
        reference: a `Reference`.
        are_real: whether they may be the training images themselves, so that how near they are to
            these says nothing.

    Returns:
        ({name: figure}, `kgen.metrics.Memorization`). A figure is None where it cannot be measured:
        from too few images (4 for precision and recall, 6 for density and coverage, 10 for the
        score), or with an encoder that gives no probabilities. `memorized` is the share of images
        that lie nearer to the training images than all but 1 % of the held-out ones.
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
