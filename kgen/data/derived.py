"""Derived sets: the words after a colon, as in "mnist:edges"."""

from kgen.data.pairs import SOURCES
from kgen.data.transforms import binarized
from kgen.errors import KgenError

BINARISATIONS = ("dynamic", "static")
DERIVATIONS = (*SOURCES, *BINARISATIONS)


def check(words, options, source):
    """Check the words after a colon.

    Args:
        words, options: those given, and those that the named set has besides `DERIVATIONS`.
        source: the argument of `load`, for the message.

    Raises:
        KgenError: for another word.
    """
    known = (*options, *DERIVATIONS)
    for word in words:
        if word not in known:
            raise KgenError(
                f"Expected one of {', '.join(known)} after the colon in {source!r}, received "
                f"{word!r}: choose one of these."
            )


def derive(data, words):
    """The `Dataset` that results from applying the derivations `words` to `data`, in order."""
    for word in words:
        data = binarized(data, word) if word in BINARISATIONS else data.pairs(word)
    return data
