"""`Split`: items and their conditions; and which items are held out for testing."""

from dataclasses import dataclass

import numpy as np

from kgen.data.dynamic import DynamicallyBinarized
from kgen.errors import KgenError

_LIMIT_SEED = 0

Condition = None | np.ndarray | dict[str, np.ndarray]


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Items and their conditions: labels, captions, source images, ...

    `len(split)` is the number of items.

    Attributes:
        x: the items, an array (n, ...). Images are uint8 (n, height, width, channels) with values
            0..levels-1, or a `DynamicallyBinarized`.
        condition: an array or a dict of arrays with n rows, or None. Labels are int64 (n,).

    Examples:
        >>> kgen.data.load("digits").train
        <Split of labelled images (1438, 8, 8, 1)>
        >>> kgen.data.Split(np.zeros((5, 2), "float32"))
        <Split of unlabelled items (5, 2)>
    """

    x: np.ndarray | DynamicallyBinarized
    condition: Condition = None

    @property
    def images(self):
        """The items `x`, under the usual name for images."""
        return self.x

    @property
    def labels(self):
        """The condition, int64 (n,), if it has one number per item; else None."""
        is_label = getattr(self.condition, "ndim", 0) == 1
        return self.condition if is_label else None

    def __len__(self):
        return len(self.x)

    def __repr__(self):
        if self.condition is None or self.labels is not None:
            labelled = "unlabelled" if self.labels is None else "labelled"
            items = "images" if self.x.ndim == 4 else "items"
            return f"<Split of {labelled} {items} {self.x.shape}>"
        shapes = [f"{name} {part.shape}" for name, part in named_parts(self.condition).items()]
        return f"<Split of items {self.x.shape}, given {', '.join(shapes)}>"

    def take(self, rows):
        """The split of some of the items, with their conditions.

        Args:
            rows: anything that indexes an array's first axis: integers (k,), a mask (n,) or a
                slice.

        Returns:
            A `Split`; dynamically binarised images stay so.

        Examples:
            >>> test = kgen.data.load("digits").test
            >>> test.take(test.labels == 7)
            <Split of labelled images (42, 8, 8, 1)>
        """
        return Split(_rows(self.x, rows), _rows(self.condition, rows))

    def limit(self, n):
        """A split of at most `n` items, drawn at random with a fixed seed.

        They stay in the order drawn, because files are often sorted by class.

        Args:
            n: the number of items, 0 or more; the split itself is returned if it has no more.

        Returns:
            A `Split`.

        Examples:
            >>> kgen.data.load("digits").test.limit(100)
            <Split of labelled images (100, 8, 8, 1)>
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


def named_parts(condition):
    """{name: array} of a condition, with the names of `kgen.spaces.parts_of`; {} for None."""
    if condition is None:
        return {}
    return condition if isinstance(condition, dict) else {"condition": condition}


def hold_out(split, where):
    """Divide a split without a test split into (train, test); the arguments are `held_out`'s."""
    for_testing = held_out(len(split), where)
    return split.take(~for_testing), split.take(for_testing)


def held_out(n, where, what="images"):
    """A mask, bool (n,), of the items to hold out for testing: every tenth, from the first on.

    There is no random draw: the same files always give the same splits. If images are sorted by
    class, both splits have every class. If neighbours are near-duplicates, as in a video, make your
    own test split.

    Args:
        n: the number of items.
        where: the file, folder or array they are from, for the message.
        what: the items, for the message.

    Raises:
        KgenError: for fewer than two items.
    """
    if n < 2:
        raise KgenError(
            f"Expected at least 2 {what} in {where}, as every tenth is held out for testing, "
            f"received {n}: add {what}."
        )
    return np.arange(n) % 10 == 0
