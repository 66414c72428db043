"""What `kgen.data.load` returns: a training split, a test split, and where they come from."""

import hashlib
import logging
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from kgen.data.dynamic import DynamicallyBinarized
from kgen.data.labels import warn_of_untrained
from kgen.data.pairs import source_images, source_space
from kgen.errors import KgenError
from kgen.spaces import Labels, Pixels, Space, Tokens, parts_of

_LIMIT_SEED = 0

logger = logging.getLogger("kgen")

Condition = None | np.ndarray | dict[str, np.ndarray]


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Items and what each of them is given: its label, its caption, its source image, ...

    Attributes:
        x: the items, an array with one row each; images are uint8 (n, height, width, channels),
            values 0..levels-1, or a `DynamicallyBinarized` that stands for them.
        condition: an array or a dict of arrays with n rows; None where the set has none. Labels
            are int64 (n,).
    """

    x: np.ndarray | DynamicallyBinarized
    condition: Condition = None

    @property
    def images(self) -> np.ndarray | DynamicallyBinarized:
        """`x`, by its name where the items are images."""
        return self.x

    @property
    def labels(self) -> np.ndarray | None:
        """The condition where it is one number an item, else None."""
        is_label = getattr(self.condition, "ndim", 0) == 1
        return self.condition if is_label else None

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        if self.condition is None or self.labels is not None:
            labelled = "unlabelled" if self.labels is None else "labelled"
            items = "images" if self.x.ndim == 4 else "items"
            return f"<Split of {labelled} {items} {self.x.shape}>"
        shapes = [f"{name} {part.shape}" for name, part in _parts(self.condition).items()]
        return f"<Split of items {self.x.shape}, given {', '.join(shapes)}>"

    def take(self, rows) -> "Split":
        """The items at `rows` (anything that indexes an array's first axis), with what is given."""
        return Split(_rows(self.x, rows), _rows(self.condition, rows))

    def limit(self, n: int) -> "Split":
        """`n` of the items, drawn at random with a fixed seed; all of them where there are fewer.

        Drawn, and left in the order drawn, because files are often sorted by class.
        """
        if n >= len(self):
            return self
        return self.take(np.random.default_rng(_LIMIT_SEED).permutation(len(self))[:n])


def _rows(values, rows):
    if values is None:
        return None
    if isinstance(values, dict):
        return {name: _rows(part, rows) for name, part in values.items()}
    return values.subset(rows) if isinstance(values, DynamicallyBinarized) else values[rows]


def _parts(condition: Condition) -> dict[str, np.ndarray]:
    """The arrays of a condition by name, as `kgen.spaces.parts_of` names their spaces."""
    if condition is None:
        return {}
    return condition if isinstance(condition, dict) else {"condition": condition}


@dataclass(frozen=True, eq=False)
class Dataset:
    """A set of images, texts or vectors, split for training and testing.

    Attributes:
        name: a short name, fit for a file name.
        train, test: the two splits; no item is in both.
        space: what the items are, such as `Pixels((28, 28, 1), levels=256)`.
        source: who published the set, and what was done to it since (limited, resized, ...).
        licence: the terms it is published under, as far as they are known.
        condition_space: what the conditions are; a dict of spaces where they are dicts of arrays;
            None where there are none. That of labels need not be given: it has a class for every
            label from 0 to the largest.
        label_names: the name of each label, or None.

    Raises:
        KgenError: where the splits' dtypes or shapes are not those of the spaces.
    """

    name: str
    train: Split
    test: Split
    space: Space
    source: str
    licence: str
    condition_space: Space | dict[str, Space] | None = None
    label_names: tuple[str, ...] | None = None

    def __post_init__(self):
        splits = (self.train, self.test)
        if all(split.condition is None for split in splits):
            object.__setattr__(self, "condition_space", None)
        elif any(split.labels is not None for split in splits):
            object.__setattr__(self, "condition_space", _label_space(splits))
        for split in splits:
            self.space.check_batch(split.x)
            given = _parts(split.condition)
            for part, space in parts_of(self.condition_space).items() if given else ():
                space.check_batch(given[part], len(split))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image; of images only."""
        self.check_images("image_shape")
        return self.space.shape

    @property
    def levels(self) -> int:
        """Number of pixel values, which are 0..levels-1: from 2 (binary) to 256; of images only."""
        self.check_images("levels")
        return self.space.levels

    @property
    def classes(self) -> int:
        """Number of labels, which are 0..classes-1; 0 for a set without labels."""
        return self.condition_space.classes if isinstance(self.condition_space, Labels) else 0

    @cached_property
    def checksum(self) -> str:
        """The sha256 (hexadecimal) of the content: shapes, items and conditions of both splits.

        It describes the items as they stand here: wherever they were read from, equal images have
        equal checksums, and a resized, limited or binarised set has its own. A dynamically
        binarised split counts as its epoch 0. (Published files are verified against their own
        checksums when they are read.)
        """
        digest = hashlib.sha256()
        for split in (self.train, self.test):
            parts = _parts(split.condition) or {"condition": np.empty(0, np.int64)}
            for array in (np.asarray(split.x), *(parts[name] for name in sorted(parts))):
                digest.update(f"{array.dtype} {array.shape} ".encode())
                digest.update(np.ascontiguousarray(array))
        for space in (self.space, *parts_of(self.condition_space).values()):
            if isinstance(space, Tokens):  # whose numbers mean nothing without the words
                digest.update(repr(space).encode())
        return digest.hexdigest()

    def limit(self, n: int) -> "Dataset":
        """The set with at most `n` training and `n` test items, drawn with a fixed seed.

        Labels that no training image has any more are logged as a warning.

        Raises KgenError where n is below 1.

        Examples:
            >>> small = kgen.data.load("digits").limit(100)
            >>> len(small.train), len(small.test)
            (100, 100)
        """
        what = self.space.what
        if n < 1:
            raise KgenError(
                f"limit: expected at least 1 {what.removesuffix('s')}, received {n}: give a larger"
                " number"
            )
        note = f"at most {n} {what} of each split, drawn at random"
        limited = self.changed(note, train=self.train.limit(n), test=self.test.limit(n))
        if self.train.labels is not None:
            before = np.unique(self.train.labels).tolist()
            warn_of_untrained(
                f"{self.name}, limited to {n}", limited.train.labels, before, self.label_names
            )
        return limited

    def pairs(self, kind: str) -> "Dataset":
        """The set with a source image for each image as its condition, in place of what was given.

        Args:
            kind: of the source images: "edges" (the steepest fifth of the pixels by the Sobel
                filters: 0 or 1), "gray" (of images in colour), "small" (means of 4x4 pixels) or
                "hidden" (the lower half is 0).

        Raises:
            KgenError: for another kind, images that are drawn anew every epoch, or no images.

        Examples:
            >>> edges = kgen.data.load("digits").pairs("edges")
            >>> edges.train.x.shape, edges.train.condition.shape, edges.condition_space.levels
            ((1438, 8, 8, 1), (1438, 8, 8, 1), 2)
        """
        self.check_images("pairs")
        if isinstance(self.train.x, DynamicallyBinarized):
            raise KgenError(
                f"pairs: expected fixed images, received those of {self.name}, drawn anew every"
                " epoch: binarize them statically, or not"
            )
        space = source_space(kind, self.space)
        train, test = (
            Split(split.x, source_images(kind, split.x)) for split in (self.train, self.test)
        )
        note = f"its {kind} as source images"
        return self.changed(note, train=train, test=test, condition_space=space, label_names=None)

    def check_images(self, wanted: str) -> None:
        """Raise KgenError, opening with `wanted`, unless the items are images."""
        if not isinstance(self.space, Pixels):
            raise KgenError(
                f"{wanted}: expected images, received the {self.space.what} of {self.name}: leave"
                f" {wanted} out, or choose a set of images"
            )

    def changed(self, note: str, **fields) -> "Dataset":
        """A copy with other `fields`, whose source says so in the words of `note`."""
        return replace(self, source=f"{self.source}; {note}", **fields)


def _label_space(splits: tuple[Split, Split]) -> Labels:
    found = [split.labels for split in splits if split.labels is not None]
    return Labels(max((int(labels.max()) + 1 for labels in found if len(labels)), default=0))


def hold_out(split: Split, where: str) -> tuple[Split, Split]:
    """Splits (train, test) of a set that has no test split of its own; see `held_out`."""
    for_testing = held_out(len(split), where)
    return split.take(~for_testing), split.take(for_testing)


def held_out(n: int, where: str, what: str = "images") -> np.ndarray:
    """Which of `n` images, or what else they are called, are held out for testing: bool (n,).

    Every tenth image, beginning with the first: no draw, so that the same files always give the
    same splits, and images sorted by class give both splits every class. (Neighbours that are
    near-duplicates, as in a video, need a test split of the user's own.) Raises KgenError, opening
    with `where`, where there are fewer than two images.
    """
    if n < 2:
        raise KgenError(
            f"{where}: expected at least 2 {what}, as every tenth is held out for testing,"
            f" received {n}: add {what}"
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
