"""Derived sets: the words after a colon, as in "mnist:edges"."""

from kgen.data.pairs import SOURCES
from kgen.data.transforms import binarized
from kgen.errors import KgenError

BINARISATIONS = ("dynamic", "static")
DERIVATIONS = (*SOURCES, *BINARISATIONS)


def check(words, options, source):
    """Raise KgenError unless all `words` are derivations or `options` of the named set."""
    known = (*options, *DERIVATIONS)
    for word in words:
        if word not in known:
            raise KgenError(
                f"{source!r}: expected one of {', '.join(known)} behind the colon, received"
                f" {word!r}: choose one of these"
            )


def derive(data, words):
    """Apply the derivations `words` to `data`, in order."""
    for word in words:
        data = binarized(data, word) if word in BINARISATIONS else data.pairs(word)
    return data
