"""What the spaces share."""

import math
from typing import ClassVar

import numpy as np

from kgen.errors import KgenError
from kgen.spaces.arrays import as_array, dtype_of, shape_of


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

    def __str__(self):
        return self.what

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
            self.check_values(np.asarray(values))
        return values

    def check_values(self, array):
        """Raise KgenError if an array of the right dtype and shape is none of this space."""
        self.check_range(array.min(), array.max())

    def check_masked(self, values, mask):
        """Values for inference of which a part is hidden.

        Args:
            values: as in `check`; hidden ones are ignored.
            mask: bool, True where hidden: (height, width) or (n, height, width) for images, all
                channels of a pixel; (size,) or (n, size) for vectors.

        Returns:
            (values with 0 where hidden, mask (n, height, width) or (n, size)).

        Raises:
            KgenError: for values of another dtype, shape or range, or another mask.
        """
        values = self._converted(as_array(values, self.what))
        self.check_batch(values)
        mask, shape = np.asarray(mask), (len(values), *self.shape[:2])
        if mask.dtype != bool or mask.shape not in (shape, shape[1:]):
            raise KgenError(
                f"Expected a mask of bool and shape {shape[1:]} or {shape}, received {mask.dtype} "
                f"of shape {mask.shape}: True where a value is to be filled in."
            )
        mask, values = np.broadcast_to(mask, shape), np.asarray(values)
        hidden = mask.reshape(shape + (1,) * len(self.shape[2:]))
        return self.check(np.where(hidden, values.dtype.type(0), values)), mask

    def _converted(self, array):
        return array

    def read(self, values, warn=True):
        """Values as they are, unless they are strings in place of tokens.

        Args:
            values: as in `check`.
            warn: whether a warning names words that are unknown.
        """
        return values

    def check_batch(self, values, count=None):
        """Check dtype and shape, also of a tensor inside a training step.

        Raises:
            KgenError: for others.
        """
        dtype, shape = dtype_of(values), shape_of(values)
        wrong_number = None not in (count, *shape[:1]) and shape[:1] != (count,)
        is_item = self._fits(dtype) and shape[1:] == self.shape
        if not is_item or wrong_number:
            dimensions = ["n" if count is None else str(count), *map(str, self.shape)]
            advice = f"pass {count}, one a row" if is_item else self._advice(dtype, shape)
            raise KgenError(
                f"Expected {self.what}, {self.dtype} of shape ({', '.join(dimensions)}), received "
                f"{dtype} of shape {shape}: {advice}."
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

    def holds(self, other):
        """Whether every item of another space is one of this."""
        return self == other

    def missing(self):
        """The message where items are needed and none are given."""
        return f"Expected {self.what}, received none: pass one row for each item."

    def defaults(self, count):
        """What `count` samples are given when nobody says: here nothing can be chosen.

        Raises:
            KgenError: always.
        """
        raise KgenError(
            f"Expected {self.what} to sample for, received none: pass condition=, or --condition."
        )

    def arguments(self):
        """{constructor argument: value} of a model of this space."""
        raise NotImplementedError

    def condition_arguments(self):
        """{constructor argument: value} of a model that is given items of this space."""
        return self.arguments()
