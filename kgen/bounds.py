"""Types and bounds of arguments, declared in annotations.

    def __init__(self, latent_size: Count = 20, beta: Positive = 4.0): ...

`checked` checks a value against such an annotation, wherever the value comes from.
"""

import math
import numbers
import types
import typing
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from kgen.errors import KgenError

LONGEST = 60  # characters of a received value that a message shows


@dataclass(frozen=True, repr=False)
class Bounds:
    """The range of a number, or of the length of a tuple or string.

    Args:
        least, most: the ends of the range.
        open: the end ("least" or "most") that does not belong to the range, or "".
        remedy: for the error message: what to do about a value out of the range.
    """

    least: float
    most: float
    open: str = ""
    remedy: str = ""

    def hold(self, value):
        above = value > self.least if self.open == "least" else value >= self.least
        return above and (value < self.most if self.open == "most" else value <= self.most)

    def __str__(self):
        first = "above" if self.open == "least" else "from"
        last = "to below" if self.open == "most" else "to"
        return f"{first} {self.least:,} {last} {self.most:,}"

    __repr__ = __str__  # as `help` shows a signature


@dataclass(frozen=True, repr=False)
class Meaning:
    """The meaning of a tuple of fixed length, for error messages.

    Args:
        words: what the tuple is.
        remedy: what to do about another value.
        most: largest allowed product of its numbers.
    """

    words: str
    remedy: str
    most: float = math.inf

    def hold(self, value):
        return math.prod(value) <= self.most

    def __repr__(self):
        return self.words


Count = Annotated[int, Bounds(1, 65_536)]  # units, channels, dimensions
Repeats = Annotated[int, Bounds(1, 1_000)]  # of a layer or a draw: each costs time
Moves = Annotated[int, Bounds(1, 100)]  # updates of a player in one step: each is compiled
Scales = Annotated[int, Bounds(1, 12)]  # 2^12 is the largest side
Layers = Annotated[tuple[Count, ...], Bounds(0, 100)]  # units of each layer
Multipliers = Annotated[tuple[Count, ...], Bounds(1, 12)]  # one for each scale
Weight = Annotated[float, Bounds(0, 10**9)]  # of a loss term
Positive = Annotated[float, Bounds(0, 10**9, open="least")]
LearningRate = Annotated[float, Bounds(0, 10, open="least")]
Fraction = Annotated[float, Bounds(0, 1, open="most")]
Levels = Annotated[int, Bounds(2, 65_536, remedy="create the model with the data's levels")]
FewLevels = Annotated[int, Bounds(2, 32, remedy="choose a pixelcnn, or data of fewer levels")]
LABELLED = "train on labelled images, numbered from 0 without gaps"
Classes = Annotated[int, Bounds(1, 65_536, remedy=LABELLED)]
NoClasses = Annotated[int, Bounds(0, 65_536, remedy=LABELLED)]  # 0: no labels
CodeCount = Annotated[int, Bounds(2, 65_536)]  # of a codebook
NoCount = Annotated[int, Bounds(0, 65_536)]
Names = Annotated[tuple[str, ...], Bounds(1, 1_000)]  # of attributes
NoNames = Annotated[tuple[str, ...], Bounds(0, 1_000)]
Words = Annotated[tuple[str, ...], Bounds(1, 100_000)]  # the vocabulary of a text model
NoWords = Annotated[tuple[str, ...], Bounds(0, 100_000)]
Side = Annotated[int, Bounds(1, 4_096)]
ImageShape = Annotated[
    tuple[Side, Side, Side],
    Meaning(
        "(height, width, channels), whole numbers from 1 to 4,096, at most 16,777,216 values",
        "give three such numbers, (28, 28, 1) for grey images of 28x28",
        most=2**24,
    ),
]
Number = Annotated[int, Bounds(1, 10**9)]  # of images, steps, epochs
NoNumber = Annotated[int, Bounds(0, 10**9)]
Draws = Annotated[int, Bounds(1, 100_000)]  # k of an importance weighted bound
Samples = Annotated[int, Bounds(2, 10**9)]  # compared with as many real images
Temperature = Annotated[float, Bounds(0, 100)]
ValidationSize = Annotated[float, Bounds(0, 10**9)]  # of images; below 1 a fraction
Gigabytes = Annotated[float, Bounds(0, 10**6, open="least")]  # of 10^9 bytes
Seed = Annotated[int, Bounds(0, 2**32 - 1)]  # accepted by NumPy, Keras and all frameworks


def checked(name, value, annotation, received=None):
    """`value` converted to `annotation`, or a KgenError that names the argument.

    If the annotation asks for it, NumPy numbers become Python numbers, integers become floats, and
    lists, arrays and single numbers become tuples. Annotations other than int, float, str, bool,
    None, dict, list, tuples, `Literal`, `Annotated` and unions of these are not checked.

    Args:
        name: of the argument.
        value: to check.
        annotation: a type, with `Bounds` or `Meaning` by `Annotated`.
        received: the text to show for a wrong value; its `repr` by default.
    """
    try:
        return _converted(value, annotation)
    except _Unfit as unfit:
        shown = " ".join((repr(value) if received is None else received).split())
        shown = shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}..."
        words, remedy = in_words(annotation), unfit.remedy or "choose such a value"
        raise KgenError(f"Expected {name} to be {words}, received {shown}: {remedy}.") from None


class _Unfit(Exception):  # noqa: N818
    """A value does not fit an annotation."""

    def __init__(self, remedy=""):
        super().__init__(remedy)
        self.remedy = remedy


def _converted(value, annotation):
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _bounded(value, *arguments)
    if origin is typing.Literal:
        return _fit(value, any(type(value) is type(a) and value == a for a in arguments))
    if origin in (typing.Union, types.UnionType):
        return _first_fit(value, arguments)
    if origin is tuple:
        return _converted_tuple(value, arguments)
    if annotation in (int, float):
        return _number(value, annotation)
    if annotation is bool and isinstance(value, np.bool_):
        return bool(value)
    if annotation in (None, type(None)):
        return _fit(value, value is None)
    plain = annotation in (bool, str, dict, list)
    return _fit(value, type(value) is annotation or not plain)


def _fit(value, fits):
    if not fits:
        raise _Unfit
    return value


def _number(value, kind):
    is_bool = isinstance(value, bool | np.bool_)
    if is_bool or not isinstance(value, numbers.Integral if kind is int else numbers.Real):
        raise _Unfit
    try:
        value = kind(value)
    except OverflowError:  # an integer too large for a float
        raise _Unfit from None
    return _fit(value, math.isfinite(value) if kind is float else True)


def _bounded(value, annotation, *metadata):
    bounds = [note for note in metadata if isinstance(note, Bounds | Meaning)]
    try:
        value = _converted(value, annotation)
    except _Unfit as unfit:
        raise _Unfit(unfit.remedy or bounds[0].remedy if bounds else "") from None
    for bound in bounds:
        counted = isinstance(value, tuple | str) and isinstance(bound, Bounds)
        if not bound.hold(len(value) if counted else value):
            raise _Unfit(bound.remedy)
    return value


def _first_fit(value, annotations):
    for annotation in annotations:
        try:
            return _converted(value, annotation)
        except _Unfit:
            continue
    raise _Unfit


def _converted_tuple(value, arguments):
    variable = arguments[-1:] == (...,)
    if variable and isinstance(value, numbers.Real):
        value = (value,)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, tuple | list) or not (variable or len(value) == len(arguments)):
        raise _Unfit
    kinds = arguments[:1] * len(value) if variable else arguments
    return tuple(_converted(item, kind) for item, kind in zip(value, kinds, strict=True))


def in_words(annotation):
    """An annotation in words, for error messages."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _bounds_in_words(*arguments)
    if origin is typing.Literal:
        return " or ".join(map(repr, arguments))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(in_words, arguments))
    if origin is tuple and arguments[-1:] == (...,):
        of_words = str in (arguments[0], *typing.get_args(arguments[0])[:1])
        example = "('red', 'blue')" if of_words else "500 or (200, 100)"
        return f"a tuple such as {example}, each entry {in_words(arguments[0])}"
    if origin is tuple:
        return f"({', '.join(map(in_words, arguments))})"
    words = {int: "a whole number", float: "a finite number", str: "a word", bool: "True or False"}
    words |= {dict: "a dictionary", list: "a list"}
    words |= {type(None): "None", None: "None"}
    return words.get(annotation, str(annotation))


def _bounds_in_words(annotation, *metadata):
    words = in_words(annotation)
    for note in metadata:
        if isinstance(note, Meaning):
            words = note.words
        elif isinstance(note, Bounds):
            parts = {tuple: "entries", str: "letters"}
            part = parts.get(typing.get_origin(annotation) or annotation)
            words += f", {note.least} to {note.most:,} {part}" if part else f" {note}"
    return words
