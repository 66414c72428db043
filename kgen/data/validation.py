"""How many items a validation split has, and which training items."""

import numpy as np

from kgen.errors import KgenError

_SEED = 2
_ONE_IN = 10  # training items


def validation_count(size, train, own, what):
    """The number of validation items.

    Args:
        size: the argument of `Dataset.with_validation`.
        train: number of training items.
        own: number of validation items that the set itself has; None if it has none.
        what: names the items in the error message.

    Raises:
        KgenError: for a size that is no fraction and no whole number, or too large.
    """
    if size is None:
        return train // _ONE_IN if own is None else own
    count, most = int(size * train) if size < 1 else int(size), train - 1 if own is None else own
    is_whole = size < 1 or count == size
    if size < 0 or not is_whole or (size > 0) != (0 < count <= most):
        raise KgenError(
            f"Expected a validation size of 0, a fraction of the {train} training {what}, or a "
            f"whole number of at most {most}, received {size:g}: give for example 0.1."
        )
    return count


def kept_apart(train, count, seed):
    """A mask, bool (train,), of `count` training items, drawn at random with a seed."""
    apart = np.zeros(train, bool)
    apart[np.random.default_rng([_SEED, seed]).permutation(train)[:count]] = True
    return apart
