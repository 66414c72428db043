"""One number an item, or several: labels, attributes, vectors."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from kgen.errors import KgenError
from kgen.spaces.arrays import dtype_of, is_whole, shape_of
from kgen.spaces.space import Space


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
        return array.astype("int32") if is_whole(dtype_of(array)) else array

    def check_batch(self, values, count=None):
        dtype, shape = dtype_of(values), shape_of(values)
        wrong_number = None not in (count, *shape[:1]) and shape[:1] != (count,)
        if len(shape) != 1 or not is_whole(dtype) or wrong_number:
            number = "n" if count is None else count
            raise KgenError(
                f"Expected {number} labels, whole numbers of shape ({number},), received {dtype} "
                f"of shape {shape}: {self._advice(dtype, shape)}."
            )

    def _advice(self, dtype, shape):
        if len(shape) == 2:
            return "pass labels[:, 0]" if shape[1] == 1 else "pass labels.argmax(axis=-1)"
        if not is_whole(dtype):
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

    def missing(self):
        return (
            f"Expected a label for each image, 0..{self.classes - 1}, received none: pass the "
            "labels."
        )

    def defaults(self, count):
        """The classes in turn: 0, 1, 2, ..., 0, 1."""
        return np.arange(count, dtype="int32") % self.classes

    def holds(self, other):
        return type(other) is Labels and self.classes >= other.classes

    def __str__(self):
        return f"labels of {self.classes} classes"

    def arguments(self):
        return {"classes": self.classes}


class Floats(Space):
    """Base class: arrays of float32, to which other numbers are converted."""

    dtype = "float32"
    is_discrete = False

    def _converted(self, array):
        return array.astype("float32") if array.dtype.kind in "buif" else array

    def _fits(self, dtype):
        return dtype.startswith("float")


@dataclass(frozen=True)
class Attributes(Floats):
    """What is true of an item, and how far: arrays (n, k) of numbers from 0 to 1.

    Args:
        names: of the k attributes.
    """

    names: tuple[str, ...]
    what: ClassVar[str] = "attributes"
    limits: ClassVar[tuple] = (0, 1)

    @property
    def shape(self):
        return (len(self.names),)

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
class Vectors(Floats):
    """Points: arrays (n, size) of numbers.

    Args:
        size: numbers of one point.
    """

    size: int
    what: ClassVar[str] = "vectors"
    limits: ClassVar[None] = None

    @property
    def shape(self):
        return (self.size,)

    def check(self, values, count=None):
        values = super().check(values, count)
        if not np.isfinite(values).all():
            raise KgenError("Expected finite vectors, received NaN or infinity: leave those out.")
        return values

    def arguments(self):
        return {"size": self.size}

    def condition_arguments(self):
        return {"condition_size": self.size}
