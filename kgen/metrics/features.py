"""Checks of features: arrays (n, d) of finite numbers."""

import numpy as np

from kgen.errors import KgenError

LARGEST = 1e20  # its 12th power, in the variance of kernel distances, fits into float64


def checked_features(at_least=1, **sets):
    """Feature sets as float64 arrays (n, d) of equal d.

    Args:
        at_least: smallest number of rows.
        sets: the arrays, named for error messages.

    Raises:
        KgenError: for a wrong shape, other than real numbers, too few rows, values that are not
            finite (or beyond 1e20), or different d.
    """
    arrays = [_checked(name, features, at_least) for name, features in sets.items()]
    lengths = [array.shape[1] for array in arrays]
    if len(set(lengths)) > 1:
        raise KgenError(
            f"Expected features of one length for {', '.join(sets)}, received "
            f"{', '.join(map(str, lengths))}: use one encoder for all."
        )
    return arrays


def _checked(name, features, at_least):
    array = np.asarray(features)
    if array.ndim != 2 or not array.shape[1] or array.dtype.kind not in "fiu":
        raise KgenError(
            f"Expected {name} features as real numbers (n, d), one row an image, received "
            f"{array.dtype} of shape {array.shape}: give features.reshape(n, -1)."
        )
    if len(array) < at_least:
        raise KgenError(
            f"Expected at least {at_least} {name} features, received {len(array)}: "
            "encode more images."
        )
    array = np.asarray(array, "float64")
    strange = ~(np.abs(array) <= LARGEST).all(axis=1)
    if strange.any():
        raise KgenError(
            f"Expected finite {name} features up to {LARGEST:g}, received others in "
            f"{strange.sum()} of {len(array)} rows, the first in row {strange.argmax()}: look at "
            "the encoder and its inputs."
        )
    return array
