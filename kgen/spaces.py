"""What data are: images, labels, attributes, texts or vectors, each with its checks.

A model states two of these values: `space`, of what it models, and `condition_space`, of what it is
given (None where nothing is, a dict where several things are). Arrays have one row an item:

    Pixels(shape=(28, 28, 1), levels=256)       uint8 (n, 28, 28, 1), values 0..255
    Labels(classes=10)                          int32 (n,), values 0..9
    Attributes(names=("red", "large"))          float32 (n, 2), values from 0 to 1
    Tokens(length=12, words=("a", "red"))       int32 (n, 12), 0 after the last word
    Vectors(size=2)                             float32 (n, 2)

Everything that goes by the kind of data asks a space: no model and no verb asks for labels.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from kgen.errors import KgenError

WORD = re.compile(r"\w+(?:'\w+)?|[^\w\s]")
UNKNOWN = 1  # the token of every word that is not among a space's words


class Space:
    """Base class: one kind of array.

    Attributes:
        what: the items, as messages call them.
        dtype: of an array of items.
        shape: of one item.
        limits: (smallest, largest) value, or None where every value of the dtype is allowed.
        is_discrete: whether the likelihood of an item is a mass, else a density.
    """

    what: ClassVar[str]
    is_discrete: ClassVar[bool] = True

    @property
    def dimensions(self):
        """Numbers of one item."""
        return math.prod(self.shape)

    def check(self, values, count=None):
        """Values for inference as an array of this space.

        Args:
            values: an array, a tensor of any framework, or a list.
            count: how many items there must be; None for any number from 1.

        Raises:
            KgenError: for another number, dtype, shape or range.
        """
        values = self._converted(as_array(values, self.what))
        self.check_batch(values, count)
        if count is None and not len(values):
            raise KgenError(f"Expected at least 1 of the {self.what}, received 0: pass some.")
        if self.limits and len(values):
            array = np.asarray(values)
            self.check_range(array.min(), array.max())
        return values

    def _converted(self, array):
        return array

    def check_batch(self, values, count=None):
        """Check dtype and shape, also of a tensor inside a training step.

        Raises:
            KgenError: for others.
        """
        dtype, shape = dtype_of(values), shape_of(values)
        wrong_number = None not in (count, *shape[:1]) and shape[:1] != (count,)
        if not self._fits(dtype) or shape[1:] != self.shape or wrong_number:
            dimensions = ["n" if count is None else str(count), *map(str, self.shape)]
            raise KgenError(
                f"Expected {self.what}, {self.dtype} of shape ({', '.join(dimensions)}), received "
                f"{dtype} of shape {shape}: {self._advice(dtype, shape)}."
            )

    def _fits(self, dtype):
        return dtype == self.dtype

    def _advice(self, dtype, shape):
        return "convert them" if shape[1:] == self.shape else "give them that shape"

    def check_range(self, smallest, largest):
        """Raise KgenError if values from `smallest` to `largest` are none of this space."""
        low, high = self.limits
        if not low <= smallest <= largest <= high:
            raise KgenError(
                f"Expected {self.what} with values from {low} to {high}, received {smallest} to "
                f"{largest}: {self._advice_on_range(smallest, largest)}."
            )

    def _advice_on_range(self, smallest, largest):
        return "create the model with the data's range"

    def defaults(self, count):
        """What `count` items are given when nobody says: here nothing can be chosen.

        Raises:
            KgenError: always.
        """
        raise KgenError(f"Expected {self.what} to sample for, received none: pass condition=.")

    def arguments(self):
        """{constructor argument: value} of a model of this space."""
        raise NotImplementedError

    def condition_arguments(self):
        """{constructor argument: value} of a model that is given items of this space."""
        return self.arguments()


@dataclass(frozen=True)
class Pixels(Space):
    """Images: arrays (n, height, width, channels) of whole numbers 0..levels-1.

    Args:
        shape: (height, width, channels).
        levels: values per pixel and channel.
    """

    shape: tuple[int, int, int]
    levels: int = 256
    what: ClassVar[str] = "images"

    @property
    def dtype(self):
        return "uint8" if self.levels <= 256 else "uint16"

    @property
    def limits(self):
        return None if self.levels == 256 else (0, self.levels - 1)

    def _fits(self, dtype):
        # Keras on PyTorch, which computes little in uint16, makes int32 of it.
        return dtype == self.dtype or (self.levels > 256 and dtype == "int32")

    def check_batch(self, values, count=None):
        dtype, shape = dtype_of(values), shape_of(values)
        if not self._fits(dtype) or shape[1:] != self.shape:
            raise KgenError(
                f"Expected {self.dtype} images of shape (n, {', '.join(map(str, self.shape))}), "
                f"received {dtype} of shape {shape}: {self._advice(dtype, shape)}."
            )
        if None not in (count, shape[0]) and shape[0] != count:
            raise KgenError(f"Expected {count} images, received {shape[0]}: pass as many.")

    def _advice(self, dtype, shape):
        if None in shape[1:]:
            return "state the shape in the pipeline, tf.ensure_shape in a map"
        if not self._fits(dtype):
            return f"convert them, images.astype({self.dtype!r}), to whole numbers 0..levels-1"
        if shape == self.shape or shape[1:] == self.shape[:-1]:
            missing = "images[None]" if shape == self.shape else "images[..., None]"
            return f"add the missing axis, {missing}"
        return "create the model with the images' shape, or resize them"

    def check_range(self, smallest, largest):
        if largest >= self.levels:
            raise KgenError(
                f"Expected values 0..{self.levels - 1} (levels={self.levels}), received up to "
                f"{largest}: create the model with the data's levels."
            )

    def arguments(self):
        return {"image_shape": self.shape, "levels": self.levels}

    def condition_arguments(self):
        return {"source_shape": self.shape, "source_levels": self.levels}


@dataclass(frozen=True)
class Labels(Space):
    """One class an item: arrays (n,) of whole numbers 0..classes-1.

    Args:
        classes: how many there are.
    """

    classes: int
    what: ClassVar[str] = "labels"
    dtype: ClassVar[str] = "int32"
    shape: ClassVar[tuple] = ()

    @property
    def limits(self):
        return 0, self.classes - 1

    def _converted(self, array):
        self.check_batch(array)
        return array.astype("int32")

    def check_batch(self, values, count=None):
        dtype, shape = dtype_of(values), shape_of(values)
        wrong_number = None not in (count, *shape[:1]) and shape[:1] != (count,)
        if len(shape) != 1 or not _is_whole(dtype) or wrong_number:
            number = "n" if count is None else count
            raise KgenError(
                f"Expected {number} labels, whole numbers of shape ({number},), received {dtype} "
                f"of shape {shape}: {self._advice(dtype, shape)}."
            )

    def _advice(self, dtype, shape):
        if len(shape) == 2:
            return "pass labels[:, 0]" if shape[1] == 1 else "pass labels.argmax(axis=-1)"
        if not _is_whole(dtype):
            return "pass np.unique(labels, return_inverse=True)[1]"
        return "pass one label an image"

    def check_range(self, smallest, largest):
        if not 0 <= smallest <= largest < self.classes:
            more = f"create the model with {largest + 1} classes"
            advice = "number them from 0" if smallest else more
            raise KgenError(
                f"Expected labels 0..{self.classes - 1} (classes={self.classes}), received "
                f"{smallest} to {largest}: {advice}."
            )

    def defaults(self, count):
        """The classes in turn: 0, 1, 2, ..., 0, 1."""
        return np.arange(count, dtype="int32") % self.classes

    def arguments(self):
        return {"classes": self.classes}


@dataclass(frozen=True)
class Attributes(Space):
    """What is true of an item, and how far: arrays (n, k) of numbers from 0 to 1.

    Args:
        names: of the k attributes.
    """

    names: tuple[str, ...]
    what: ClassVar[str] = "attributes"
    dtype: ClassVar[str] = "float32"
    limits: ClassVar[tuple] = (0, 1)
    is_discrete: ClassVar[bool] = False

    @property
    def shape(self):
        return (len(self.names),)

    def _converted(self, array):
        return array.astype("float32") if array.dtype.kind in "buif" else array

    def _advice(self, dtype, shape):
        return f"pass one number for each of {', '.join(self.names)}"

    def _advice_on_range(self, smallest, largest):
        return "scale them, 0 for no and 1 for yes"

    def defaults(self, count):
        """Each attribute alone, in turn."""
        return np.eye(len(self.names), dtype="float32")[np.arange(count) % len(self.names)]

    def arguments(self):
        return {"attributes": self.names}


@dataclass(frozen=True)
class Tokens(Space):
    """Texts: arrays (n, length) of whole numbers, one a word, then zeros.

    Token 0 is no word, 1 a word that is not among `words`, 2 the first of them.

    Args:
        length: most words of a text.
        words: that are known.

    Examples:
        >>> space = kgen.spaces.Tokens(length=4, words=("a", "red", "seven"))
        >>> space.encode(["A red seven"]).tolist()
        [[2, 3, 4, 0]]
        >>> space.decode(space.encode(["a seven, red"]))
        ['a seven <unknown> red']
    """

    length: int
    words: tuple[str, ...]
    what: ClassVar[str] = "texts"
    dtype: ClassVar[str] = "int32"

    @property
    def shape(self):
        return (self.length,)

    @property
    def limits(self):
        return 0, len(self.words) + 1

    @property
    def vocabulary_size(self):
        """Tokens there are: the words, the unknown one and the one that is no word."""
        return len(self.words) + 2

    @classmethod
    def of(cls, texts, length=None, fewest=1):
        """The space of texts: their words, the most frequent ones first.

        Args:
            texts: strings.
            length: most words of a text; None for the longest of these.
            fewest: how often a word must occur to be known.
        """
        split = [split_words(text) for text in texts]
        counts = Counter(word for words in split for word in words)
        known = sorted(counts, key=lambda word: (-counts[word], word))
        words = tuple(word for word in known if counts[word] >= fewest)
        return cls(length or max(map(len, split), default=1) or 1, words)

    def encode(self, texts):
        """Strings as tokens, int32 (n, length); words beyond `length` are left out."""
        numbers = {word: token for token, word in enumerate(self.words, start=2)}
        tokens = np.zeros((len(texts), self.length), "int32")
        for row, text in zip(tokens, texts, strict=True):
            words = split_words(text)[: self.length]
            row[: len(words)] = [numbers.get(word, UNKNOWN) for word in words]
        return tokens

    def decode(self, tokens):
        """Tokens (n, length) as strings, words with a space between them."""
        names = ("", "<unknown>", *self.words)
        rows = np.asarray(tokens).tolist()
        return [" ".join(names[token] for token in row if token) for row in rows]

    def check(self, values, count=None):
        if isinstance(values, str):
            values = [values]
        if isinstance(values, list | tuple) and all(isinstance(text, str) for text in values):
            values = self.encode(values)
        return super().check(values, count)

    def _converted(self, array):
        return array.astype("int32") if array.dtype.kind in "iu" else array

    def _fits(self, dtype):
        return _is_whole(dtype)

    def _advice_on_range(self, smallest, largest):
        return "encode the texts with the model's own words"

    def arguments(self):
        return {"words": self.words, "length": self.length}


@dataclass(frozen=True)
class Vectors(Space):
    """Points: arrays (n, size) of numbers.

    Args:
        size: numbers of one point.
    """

    size: int
    what: ClassVar[str] = "vectors"
    dtype: ClassVar[str] = "float32"
    limits: ClassVar[None] = None
    is_discrete: ClassVar[bool] = False

    @property
    def shape(self):
        return (self.size,)

    def check(self, values, count=None):
        values = super().check(values, count)
        if not np.isfinite(values).all():
            raise KgenError("Expected finite vectors, received NaN or infinity: leave those out.")
        return values

    def _converted(self, array):
        return array.astype("float32") if array.dtype.kind in "buif" else array

    def arguments(self):
        return {"size": self.size}

    def condition_arguments(self):
        return {"condition_size": self.size}


# === One space, none, or a dict of several ===


def parts_of(space):
    """The spaces that a condition consists of, by name: {} for None."""
    if space is None:
        return {}
    return space if isinstance(space, dict) else {"condition": space}


def check_condition(space, values, count=None):
    """A condition for inference, checked: None, an array, or a dict of arrays with equal rows.

    Args:
        space: a `Space`, a dict of several, or None where nothing is given.
        values: the same structure of arrays; None for what the spaces choose by themselves.
        count: rows; None where the values say it.

    Raises:
        KgenError: for missing, superfluous or wrong values.
    """
    if isinstance(space, dict):
        if values is not None and (not isinstance(values, dict) or set(values) != set(space)):
            received = sorted(values) if isinstance(values, dict) else type(values).__name__
            raise KgenError(
                f"Expected a condition {{{', '.join(space)}}}, received {received}: pass a dict of "
                "these."
            )
        parts = {}
        for name, part in space.items():
            parts[name] = check_condition(part, None if values is None else values[name], count)
            count = len(parts[name])
        return parts
    if values is None:
        return space.defaults(count)
    return space.check(values, count)


# === Arrays of every kind ===


def split_words(text):
    """A text as words and marks in lower case.

    Examples:
        >>> kgen.spaces.split_words("It's a red seven.")
        ["it's", 'a', 'red', 'seven', '.']
    """
    return WORD.findall(text.lower())


def as_array(values, what="images"):
    """Lists, tensors of any framework and HDF5 data sets as a NumPy array; arrays as they are.

    Whole numbers 0..255 of a nested list, which names no dtype, become uint8.

    Raises:
        KgenError: for values that no array holds, such as images of different sizes.
    """
    if isinstance(values, np.ndarray) or hasattr(values, "at_epoch"):  # a `DynamicallyBinarized`
        return values
    try:
        if hasattr(values, "detach"):  # a tensor of PyTorch, on whatever device
            return np.asarray(values.detach().cpu())
        if not isinstance(values, list | tuple):
            return np.asarray(values)
        if len(values) and hasattr(values[0], "shape"):
            return np.stack([as_array(value) for value in values])
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        length = f" of {len(values)}" if hasattr(values, "__len__") else ""
        raise KgenError(
            f"Expected {what} as one array, received a {type(values).__name__}{length} that makes "
            "none: pass np.stack(values) of equal shapes."
        ) from error
    is_bytes = array.dtype.kind in "iu" and array.size and 0 <= array.min() <= array.max() <= 255
    return array.astype("uint8") if is_bytes else array


def dtype_of(values):
    """The name of the dtype of an array or a tensor of any framework."""
    dtype = values.dtype
    return str(getattr(dtype, "name", dtype)).removeprefix("torch.")


def shape_of(values):
    """The shape as a tuple; of a TensorFlow tensor of unknown rank (None, None)."""
    known = getattr(values.shape, "rank", 0) is not None
    return tuple(values.shape) if known else (None, None)


def _is_whole(dtype):
    return dtype.startswith(("int", "uint"))
