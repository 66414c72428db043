"""`Dataset`, which `kgen.data.load` returns: its splits, their spaces, and their source."""

import hashlib
import logging
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from kgen.data.dynamic import DynamicallyBinarized
from kgen.data.labels import warn_of_untrained
from kgen.data.pairs import source_images, source_space
from kgen.data.splits import Split, named_parts
from kgen.data.validation import kept_apart, validation_count
from kgen.errors import KgenError
from kgen.spaces import Labels, Pixels, Space, Tokens, parts_of

logger = logging.getLogger("kgen")


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

    Examples:
        >>> ramp = np.arange(6, dtype="float32")[:, None]
        >>> train, test = kgen.data.Split(ramp[:4]), kgen.data.Split(ramp[4:])
        >>> space = kgen.spaces.Vectors(1)
        >>> data = kgen.data.Dataset("ramp", train, test, space, "six numbers", "none needed")
        >>> data.test.x.shape
        (2, 1)
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
            given = named_parts(split.condition)
            for part, space in parts_of(self.condition_space).items() if given else ():
                space.check_batch(given[part], len(split))

    @property
    def splits(self):
        """A dict of the splits by name: "train", "test", and "validation" if there is one."""
        found = {"train": self.train, "test": self.test, "validation": self.validation}
        return {name: split for name, split in found.items() if split is not None}

    @property
    def image_shape(self):
        """(height, width, channels) of the images, in pixels.

        Raises:
            KgenError: for items that are no images.
        """
        self.check_images("image_shape")
        return self.space.shape

    @property
    def levels(self):
        """Number of pixel values 0..levels-1, from 2 (binary) to 256.

        Raises:
            KgenError: for items that are no images.
        """
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
            parts = named_parts(split.condition) or {"condition": np.empty(0, np.int64)}
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

        Args:
            n: the number of items, at least 1.

        Returns:
            A `Dataset`.

        Raises:
            KgenError: if n is below 1.

        Examples:
            >>> small = kgen.data.load("digits").limit(100)
            >>> len(small.train), len(small.test)
            (100, 100)
        """
        what = self.space.what
        if n < 1:
            raise KgenError(
                f"Expected a limit of at least 1 {what.removesuffix('s')}, received {n}: give a "
                "larger number."
            )
        note = f"at most {n} {what} of each split, drawn at random"
        limited = {name: split.limit(n) for name, split in self.splits.items()}
        self._warn_of_labels_lost(f"{self.name} (limited to {n})", limited["train"])
        return self.changed(note, **limited)

    def with_validation(self, size=None, seed=0):
        """A set with a validation split: its publisher's, or items drawn from the training split.

        A warning is logged for labels that no training image has any more.

        Args:
            size: the number of validation items; below 1, their fraction of the training items; 0
                for no validation split. None: all of the set's own validation items, else one in
                ten training items, rounded down.
            seed: of the draw from the training split, a non-negative int.

        Returns:
            A `Dataset`.

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

        Returns:
            A `Dataset` whose `condition_space` is that of the source images.

        Raises:
            KgenError: for an unknown kind, "gray" of grey images, dynamically binarised images, or
                items that are no images.

        Examples:
            >>> edges = kgen.data.load("digits").pairs("edges")
            >>> edges.train.x.shape, edges.train.condition.shape, edges.condition_space.levels
            ((1438, 8, 8, 1), (1438, 8, 8, 1), 2)
        """
        self.check_images("pairs")
        if isinstance(self.train.x, DynamicallyBinarized):
            raise KgenError(
                f"Expected fixed images for pairs, received those of {self.name}, drawn anew every "
                "epoch: binarize them statically, or not."
            )
        space = source_space(kind, self.space)
        paired = {
            name: Split(split.x, source_images(kind, split.x))
            for name, split in self.splits.items()
        }
        note = f"its {kind} as source images"
        return self.changed(note, **paired, condition_space=space, label_names=None)

    def check_images(self, wanted):
        """Check that the items are images.

        Args:
            wanted: what needs images, such as the name of an argument, for the message.

        Raises:
            KgenError: for other items.

        Examples:
            >>> kgen.data.load("digits").check_images("size")
            >>> kgen.data.load("rings").check_images("size")  # doctest: +ELLIPSIS
            Traceback (most recent call last):
            kgen.errors.KgenError: Expected images for size, received the vectors of rings: ...
        """
        if not isinstance(self.space, Pixels):
            raise KgenError(
                f"Expected images for {wanted}, received the {self.space.what} of {self.name}: "
                f"leave {wanted} out, or choose a set of images."
            )

    def changed(self, note, **fields):
        """A copy of the set with other fields.

        Args:
            note: what was done, in words; it is added to `source`.
            fields: new values of attributes, such as `train`.

        Returns:
            A `Dataset`.

        Raises:
            KgenError: as for `Dataset`.

        Examples:
            >>> data = kgen.data.load("rings")
            >>> halved = kgen.data.Split(data.train.x / 2, data.train.condition)
            >>> data.changed("training points halved", train=halved).source[-24:]
            '; training points halved'
        """
        return replace(self, source=f"{self.source}; {note}", **fields)


def _label_space(splits):
    found = [split.labels for split in splits if split.labels is not None]
    return Labels(max((int(labels.max()) + 1 for labels in found if len(labels)), default=0))


def warn_of_range(where, largest, bits):
    """Log a warning if all values lie in the lower half of the range of `bits`: dark images.

    This is so for 12-bit values in 16-bit files.

    Args:
        where: the file, files or array, for the warning.
        largest: the largest value; -1 without images.
        bits: per value.
    """
    top = 2**bits - 1
    if 0 <= largest <= top // 2:
        logger.warning(
            "kgen: the values in %s reach %d of %d, so that the images are dark. If they are "
            "%d-bit data, multiply them by %d first.",
            *(where, largest, top, largest.bit_length(), top // max(largest, 1)),
        )
