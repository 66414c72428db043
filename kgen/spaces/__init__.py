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

from kgen.spaces.arrays import as_array, dtype_of, shape_of
from kgen.spaces.conditions import (
    check_condition,
    check_names,
    count_of,
    default_condition,
    in_words,
    parts_of,
    rows_of,
)
from kgen.spaces.pixels import Pixels
from kgen.spaces.space import Space
from kgen.spaces.tokens import Tokens, split_words, texts_of
from kgen.spaces.values import Attributes, Labels, Vectors

__all__ = [
    "Attributes",
    "Labels",
    "Pixels",
    "Space",
    "Tokens",
    "Vectors",
    "as_array",
    "check_condition",
    "check_names",
    "count_of",
    "default_condition",
    "dtype_of",
    "in_words",
    "parts_of",
    "rows_of",
    "shape_of",
    "split_words",
    "texts_of",
]
