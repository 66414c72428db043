"""The user's labels: natural order, checks, and a warning about classes without images."""

import itertools
import logging
import re

import numpy as np

from kgen.errors import KgenError

LARGEST = 2**31 - 1  # models hold labels as int32
_NAMED = 10  # labels that a warning names; it counts the others

logger = logging.getLogger("kgen")


def natural(text):
    """Sort key of a text in natural order, which compares numbers by value: 2 before 10."""

    def with_length(match):
        digits = match[0].lstrip("0")
        return f"{len(digits):04}{digits}"  # a number with more digits is larger

    return re.sub("[0-9]+", with_length, text), text  # the text itself tells "1" and "01" apart


def numbered(names):
    """Number label names. A name has the same label in all splits.

    Args:
        names: for each split the names of its items, a sequence of strings.

    Returns:
        A list of int64 labels (n,), one array per split, and a tuple of the names in natural order.
    """
    known = sorted({name for split in names for name in split}, key=natural)
    label = {name: number for number, name in enumerate(known)}
    labels = [np.array([label[name] for name in split], np.int64) for split in names]
    return labels, tuple(map(str, known))


def checked(labels, n, where):
    """Checked labels of `n` images.

    Args:
        labels: anything that NumPy makes an array of.
        n: number of images.
        where: the argument or array, for the message.

    Returns:
        int64 (n,), or names, strings (n,).

    Raises:
        KgenError: for a wrong shape, dtype or range.
    """
    try:
        labels = np.asarray(labels)
    except ValueError as error:  # rows of different lengths
        raise KgenError(
            f"Expected integer labels of shape ({n},) in {where}, received rows of different "
            "lengths: give one label for each image."
        ) from error
    if labels.shape == (n,) and _are_names(labels):
        return labels
    remedy = _remedy(labels, n)
    if remedy:
        raise KgenError(
            f"Expected integer labels of shape ({n},) in {where}, none negative, or their names as "
            f"strings, received {labels.dtype} of shape {labels.shape}: {remedy}."
        )
    return labels.astype(np.int64)


def _are_names(labels):
    return labels.dtype.kind in "UT" or (
        labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels)
    )


def _remedy(labels, n):
    """What to do about labels that are no integers (n,) from 0 on; "" if they are."""
    if labels.shape == (n, 1):
        return "take labels[:, 0]"
    if labels.shape[:1] == (n,) and labels.ndim == 2:
        return "if they are one-hot, take labels.argmax(axis=1)"
    if labels.shape != (n,):
        return "give one label for each image"
    if labels.dtype.kind in "fb":
        return "cast, labels.astype('int64')"
    if labels.dtype.kind not in "iu":
        return "give whole numbers, or labels.astype(str)"
    if labels.min() < 0 or labels.max() > LARGEST:
        return f"renumber values {labels.min()}..{labels.max()} from 0 on"
    return ""


def warn_of_untrained(where, labels, among, names):
    """Log a warning about labels that no training image has.

    A conditional model has a class for every label from 0 on, and would draw the untrained ones,
    too.

    Args:
        where: the set, for the warning.
        labels: the labels of the training images.
        among: all labels.
        names: their names, or None.
    """
    present = set(np.unique(labels).tolist())
    missing = len(among) - len(present)
    if missing:
        without = (label for label in among if label not in present)
        first = [names[label] if names else label for label in itertools.islice(without, _NAMED)]
        others = f" and {missing - _NAMED} more" if missing > _NAMED else ""
        logger.warning(
            "kgen: no training images of %s have %d of its %d labels, %s%s: a conditional model "
            "would draw them untrained. Add images, shuffle them, or number labels from 0 without "
            "gaps.",
            *(where, missing, len(among), ", ".join(map(str, first)), others),
        )
