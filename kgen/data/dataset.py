"""`Dataset`, which `kgen.data.load` returns: its splits, their spaces, and their source."""

import hashlib
import logging
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from kgen.data.dynamic import DynamicallyBinarized
from kgen.data.labels import warn_of_untrained
from kgen.data.pairs import source_images, source_space
from kgen.data.validation import kept_apart, validation_count
from kgen.errors import KgenError
from kgen.spaces import Labels, Pixels, Space, Tokens, parts_of

_LIMIT_SEED = 0

logger = logging.getLogger("kgen")

Condition = None | np.ndarray | dict[str, np.ndarray]


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Items and their conditions: labels, captions, source images, ...

    Attributes:
        x: the items, an array (n, ...). Images are uint8 (n, height, width, channels) with values
            0..levels-1, or a `DynamicallyBinarized`.
        condition: an array or a dict of arrays with n rows, or None. Labels are int64 (n,).
    """

    x: np.ndarray | DynamicallyBinarized
    condition: Condition = None

    @property
    def images(self):
        """The items `x`, under the usual name for images."""
        return self.x

    @property
    def labels(self):
        """The condition if it has one number per item, else None."""
        is_label = getattr(self.condition, "ndim", 0) == 1
        return self.condition if is_label else None

    def __len__(self):
        return len(self.x)

    def __repr__(self):
        if self.condition is None or self.labels is not None:
            labelled = "unlabelled" if self.labels is None else "labelled"
            items = "images" if self.x.ndim == 4 else "items"
            return f"<Split of {labelled} {items} {self.x.shape}>"
        shapes = [f"{name} {part.shape}" for name, part in _parts(self.condition).items()]
        return f"<Split of items {self.x.shape}, given {', '.join(shapes)}>"

    def take(self, rows):
        """The split at `rows` (anything that indexes an array's first axis)."""
        return Split(_rows(self.x, rows), _rows(self.condition, rows))

    def limit(self, n):
        """`n` items, drawn at random with a fixed seed; all of them if there are fewer.

        They stay in the order drawn, because files are often sorted by class.
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


def _parts(condition):
    """{name: array} of a condition, with the names of `kgen.spaces.parts_of`."""
    if condition is None:
        return {}
    return condition if isinstance(condition, dict) else {"condition": condition}


@dataclass(frozen=True, eq=False)
class Dataset:
    """A set of images, texts or vectors, split for training, testing and perhaps validation.

    Attributes:
        name: a short name, fit for a file name.
        train, test: two splits; no item is in both.
        space: what the items are, such as `Pixels((28, 28, 1), levels=256)`.
        source: who published the set, and what was done to it since (limited, resized, ...).
        licence: the terms it is published under, as far as they are known.
        condition_space: the space of the conditions; a dict of spaces if they are dicts of arrays;
            None if there are none. The space of labels is found from the data: it has a class for
            every label from 0 to the largest.
        label_names: the name of each label, or None.
        validation: a third split, to choose models by. After `load` it holds the images that the
            publisher of a set keeps for it, and is None for most sets; see `with_validation`.

    Raises:
        KgenError: if dtypes or shapes of the splits do not fit the spaces.
    """

    name: str
    train: Split
    test: Split
    space: Space
    source: str
    licence: str
    condition_space: Space | dict[str, Space] | None = None
    label_names: tuple[str, ...] | None = None
    validation: Split | None = None

    def __post_init__(self):
        splits = tuple(self.splits.values())
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
    def splits(self):
        """The splits by name: "train", "test", and "validation" if there is one."""
        found = {"train": self.train, "test": self.test, "validation": self.validation}
        return {name: split for name, split in found.items() if split is not None}

    @property
    def image_shape(self):
        """(height, width, channels) of the images; KgenError for other items."""
        self.check_images("image_shape")
        return self.space.shape

    @property
    def levels(self):
        """Number of pixel values 0..levels-1, from 2 (binary) to 256; KgenError for other items."""
        self.check_images("levels")
        return self.space.levels

    @property
    def classes(self):
        """Number of classes; labels are 0..classes-1. 0 for a set without labels."""
        return self.condition_space.classes if isinstance(self.condition_space, Labels) else 0

    @cached_property
    def checksum(self):
        """The sha256 (hexadecimal) of shapes, items and conditions of `train` and `test`.

        Equal images have equal checksums, whatever file they were read from. A resized, limited or
        binarised set has its own checksum. A dynamically binarised split counts as its epoch 0.
        (Published files are verified against their own checksums when they are read.)
        """
        digest = hashlib.sha256()
        for split in (self.train, self.test):
            parts = _parts(split.condition) or {"condition": np.empty(0, np.int64)}
            for array in (np.asarray(split.x), *(parts[name] for name in sorted(parts))):
                digest.update(f"{array.dtype} {array.shape} ".encode())
                digest.update(np.ascontiguousarray(array))
        for space in (self.space, *parts_of(self.condition_space).values()):
            if isinstance(space, Tokens):  # tokens mean nothing without the words
                digest.update(repr(space).encode())
        return digest.hexdigest()

    def limit(self, n):
        """A set of at most `n` items in each split, drawn with a fixed seed.

        A warning is logged for labels that no training image has any more.

        Raises KgenError if n is below 1.

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
        limited = {name: split.limit(n) for name, split in self.splits.items()}
        self._warn_of_labels_lost(f"{self.name}, limited to {n}", limited["train"])
        return self.changed(note, **limited)

    def with_validation(self, size=None, seed=0):
        """A set with a validation split: its publisher's, or items drawn from the training split.

        A warning is logged for labels that no training image has any more.

        Args:
            size: the number of validation items; below 1, their fraction of the training items; 0
                for no validation split. None: all of the set's own validation items, else one in
                ten training items, rounded down.
            seed: of the draw from the training split, a non-negative int.

        Raises:
            KgenError: for a size that leaves no training items, is larger than the set's own
                validation split, or gives no whole number of items.

        Examples:
            >>> data = kgen.data.load("digits").with_validation()
            >>> len(data.train), len(data.validation), len(data.test)
            (1295, 143, 359)
        """
        what, n, own = self.space.what, len(self.train), self.validation
        count = validation_count(size, n, None if own is None else len(own), what)
        if count == 0:
            return replace(self, validation=None)
        if own is not None:
            note = f"{count} of its {len(own)} validation {what}"
            return self if count == len(own) else self.changed(note, validation=own.limit(count))
        apart = kept_apart(n, count, seed)
        train, validation = self.train.take(~apart), self.train.take(apart)
        self._warn_of_labels_lost(f"{self.name} without its validation {what}", train)
        note = f"{count} training {what} kept apart for validation, drawn with seed {seed}"
        return self.changed(note, train=train, validation=validation)

    def _warn_of_labels_lost(self, where, train):
        if train.labels is not None:
            before = np.unique(self.train.labels).tolist()
            warn_of_untrained(where, train.labels, before, self.label_names)

    def pairs(self, kind):
        """An image-to-image set: the condition of each image is a source image made from it.

        It replaces any other condition.

        Args:
            kind: of the source images: "edges" (the fifth of the pixels with the steepest Sobel
                gradient: 0 or 1), "gray" (from colour images), "small" (means of 4x4 pixels) or
                "hidden" (the lower half is 0).

        Raises:
            KgenError: for an unknown kind, dynamically binarised images, or items that are no
                images.

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
        paired = {
            name: Split(split.x, source_images(kind, split.x))
            for name, split in self.splits.items()
        }
        note = f"its {kind} as source images"
        return self.changed(note, **paired, condition_space=space, label_names=None)

    def check_images(self, wanted):
        """Raise KgenError, whose message begins with `wanted`, unless the items are images."""
        if not isinstance(self.space, Pixels):
            raise KgenError(
                f"{wanted}: expected images, received the {self.space.what} of {self.name}: leave"
                f" {wanted} out, or choose a set of images"
            )

    def changed(self, note, **fields):
        """A copy with other `fields`; `note` is added to its source."""
        return replace(self, source=f"{self.source}; {note}", **fields)


def _label_space(splits):
    found = [split.labels for split in splits if split.labels is not None]
    return Labels(max((int(labels.max()) + 1 for labels in found if len(labels)), default=0))


def hold_out(split, where):
    """Divide a set without a test split into (train, test); see `held_out`."""
    for_testing = held_out(len(split), where)
    return split.take(~for_testing), split.take(for_testing)


def held_out(n, where, what="images"):
    """A mask, bool (n,), of the items to hold out for testing: every tenth, from the first on.

    There is no random draw: the same files always give the same splits, and both splits have every
    class of images sorted by class. (If neighbours are near-duplicates, as in a video, make your
    own test split.) Raises KgenError, whose message begins with `where`, for fewer than two items.
    `what` names the items in it.
    """
    if n < 2:
        raise KgenError(
            f"{where}: expected at least 2 {what}, as every tenth is held out for testing,"
            f" received {n}: add {what}"
        )
    return np.arange(n) % 10 == 0


def warn_of_range(where, largest, bits):
    """Log a warning if all values lie in the lower half of the range of `bits`: dark images.

    This is so for 12-bit values in 16-bit files. `largest` is the largest value, -1 without images.
    """
    top = 2**bits - 1
    if 0 <= largest <= top // 2:
        logger.warning(
            "kgen: %s: values reach %d of %d, so that the images are dark: if they are %d-bit data,"
            " multiply them by %d first",
            *(where, largest, top, largest.bit_length(), top // max(largest, 1)),
        )
