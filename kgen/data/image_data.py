"""What `kgen.data.load` returns: a training split, a test split, and where they come from."""

import hashlib
import logging
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from kgen.data.dynamic import DynamicallyBinarized
from kgen.data.labels import warn_of_untrained
from kgen.errors import KgenError

_LIMIT_SEED = 0

logger = logging.getLogger("kgen")


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Images and their labels.

    Attributes:
        images: uint8 (n, height, width, channels), values 0..levels-1; an array, or a
            `DynamicallyBinarized` that stands for one.
        labels: int64 (n,), or None where the set has none.
    """

    images: np.ndarray | DynamicallyBinarized
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        labelled = "unlabelled" if self.labels is None else "labelled"
        return f"<Split of {labelled} images {self.images.shape}>"

    def take(self, rows) -> "Split":
        """The images and labels at `rows` (anything that indexes an array's first axis)."""
        dynamic = isinstance(self.images, DynamicallyBinarized)
        images = self.images.subset(rows) if dynamic else self.images[rows]
        return Split(images, None if self.labels is None else self.labels[rows])

    def limit(self, n: int) -> "Split":
        """`n` of the images, drawn at random with a fixed seed; all of them where there are fewer.

        Drawn, and left in the order drawn, because files are often sorted by class.
        """
        if n >= len(self):
            return self
        return self.take(np.random.default_rng(_LIMIT_SEED).permutation(len(self))[:n])


@dataclass(frozen=True, eq=False)
class ImageData:
    """A set of images, split for training and testing.

    Attributes:
        name: a short name, fit for a file name.
        train, test: the two splits; their images have one shape and no image is in both.
        levels: number of pixel values; pixels are 0..levels-1. From 2 (binary) to 256.
        source: who published the set, and what was done to it since (limited, resized, ...).
        licence: the terms it is published under, as far as they are known.
        label_names: the name of each label, or None.
    """

    name: str
    train: Split
    test: Split
    levels: int
    source: str
    licence: str
    label_names: tuple[str, ...] | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        return self.train.images.shape[1:]

    @property
    def classes(self) -> int:
        """Number of labels, which are 0..classes-1; 0 for a set without labels."""
        splits = [split.labels for split in (self.train, self.test) if split.labels is not None]
        return max((int(labels.max()) + 1 for labels in splits if len(labels)), default=0)

    @cached_property
    def checksum(self) -> str:
        """The sha256 (hexadecimal) of the content: shapes, pixels and labels of both splits.

        It describes the images as they stand here: wherever they were read from, equal images have
        equal checksums, and a resized, limited or binarised set has its own. A dynamically
        binarised split counts as its epoch 0. (Published files are verified against their own
        checksums when they are read.)
        """
        digest = hashlib.sha256()
        for split in (self.train, self.test):
            labels = np.empty(0, np.int64) if split.labels is None else split.labels
            for array in (np.asarray(split.images), labels):
                digest.update(f"{array.dtype} {array.shape} ".encode())
                digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()

    def limit(self, n: int) -> "ImageData":
        """The set with at most `n` training and `n` test images, drawn with a fixed seed.

        Labels that no training image has any more are logged as a warning.

        Raises KgenError where n is below 1.

        Examples:
            >>> small = kgen.data.load("digits").limit(100)
            >>> len(small.train), len(small.test)
            (100, 100)
        """
        if n < 1:
            raise KgenError(f"limit: expected at least 1 image, received {n}: give a larger number")
        note = f"at most {n} images of each split, drawn at random"
        limited = self.changed(note, train=self.train.limit(n), test=self.test.limit(n))
        if self.train.labels is not None:
            before = np.unique(self.train.labels).tolist()
            warn_of_untrained(
                f"{self.name}, limited to {n}", limited.train.labels, before, self.label_names
            )
        return limited

    def changed(self, note: str, **fields) -> "ImageData":
        """A copy with other `fields`, whose source says so in the words of `note`."""
        return replace(self, source=f"{self.source}; {note}", **fields)


def hold_out(split: Split, where: str) -> tuple[Split, Split]:
    """Splits (train, test) of a set that has no test split of its own; see `held_out`."""
    for_testing = held_out(len(split), where)
    return split.take(~for_testing), split.take(for_testing)


def held_out(n: int, where: str) -> np.ndarray:
    """Which of `n` images are held out for testing: bool (n,).

    Every tenth image, beginning with the first: no draw, so that the same files always give the
    same splits, and images sorted by class give both splits every class. (Neighbours that are
    near-duplicates, as in a video, need a test split of the user's own.) Raises KgenError, opening
    with `where`, where there are fewer than two images.
    """
    if n < 2:
        raise KgenError(
            f"{where}: expected at least 2 images, as every tenth is held out for testing,"
            f" received {n}: add images"
        )
    return np.arange(n) % 10 == 0


def warn_of_range(where: str, largest: int, bits: int) -> None:
    """Logs that images are dark where all their values lie in the lower half of those of `bits`.

    12-bit values in 16 bits do. `largest` is the largest value found, -1 where there are no images.
    """
    top = 2**bits - 1
    if 0 <= largest <= top // 2:
        logger.warning(
            "kgen: %s: values reach %d of %d, so that the images are dark: if they are %d-bit data,"
            " multiply them by %d first",
            *(where, largest, top, largest.bit_length(), top // max(largest, 1)),
        )
