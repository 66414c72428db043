"""Texts, as the numbers of their words."""

import functools
import logging
import re
import sys
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from kgen.errors import KgenError
from kgen.spaces.arrays import is_whole
from kgen.spaces.space import Space

UNKNOWN = 1  # the token of every word that is not among a space's words
UNKNOWN_WORDS = ("<unknown>", "<unk>")  # how texts write it: `decode`, and known sets of texts
JOINERS = "\u200c\u200d"  # without width, within words of Persian and of Indian languages
STRINGS = ("U", "T", "O")  # kinds of NumPy's dtypes whose values may be strings
SHOWN = 5  # unknown words that a warning names

logger = logging.getLogger("kgen")


@dataclass(frozen=True)
class Tokens(Space):
    """Texts: arrays (n, length) of whole numbers, one a word, then zeros.

    Token 0 is no word, 1 a word that is not among `words`, 2 the first of them.

    Args:
        length: most words of a text.
        words: that are known.

    Examples:
        >>> space = kgen.spaces.Tokens(length=4, words=("a", "red", "seven"))
        >>> space.encode(["A red seven"]).tolist()
        [[2, 3, 4, 0]]
        >>> space.decode(space.encode(["a seven, red"]))
        ['a seven <unknown> red']
    """

    length: int
    words: tuple[str, ...]
    what: ClassVar[str] = "texts"
    dtype: ClassVar[str] = "int32"

    def __post_init__(self):
        if len(set(self.words)) < len(self.words):
            (word, _), *_ = Counter(self.words).most_common(1)
            raise KgenError(
                f"Expected each word once, received {word!r} several times: remove one, or take "
                "the words of kgen.spaces.Tokens.of(texts)."
            )

    def __str__(self):
        return f"texts of up to {self.length} of {len(self.words)} words"

    @property
    def shape(self):
        return (self.length,)

    @property
    def limits(self):
        return 0, len(self.words) + 1

    @property
    def vocabulary_size(self):
        """Tokens there are: the words, the unknown one and the one that is no word."""
        return len(self.words) + 2

    @classmethod
    def of(cls, texts, length=None, fewest=1):
        """The space of texts: their words, the most frequent ones first.

        Args:
            texts: strings.
            length: most words of a text; None for the longest of these.
            fewest: how often a word must occur to be known.
        """
        counts, longest = Counter(), 1
        for text in _listed(texts):  # whose words are not all held at once
            words = split_words(text)
            counts.update(words)
            longest = max(longest, len(words))
        for word in UNKNOWN_WORDS:
            del counts[word]
        known = sorted(counts, key=lambda word: (-counts[word], word))
        return cls(
            longest if length is None else length,
            tuple(word for word in known if counts[word] >= fewest),
        )

    def encode(self, texts):
        """Strings as tokens, int32 (n, length); words beyond `length` are left out."""
        numbers = {word: token for token, word in enumerate(self.words, start=2)}
        texts = _listed(texts)
        tokens = np.zeros((len(texts), self.length), "int32")
        for row, text in zip(tokens, texts, strict=True):
            words = split_words(text)[: self.length]
            row[: len(words)] = [numbers.get(word, UNKNOWN) for word in words]
        return tokens

    def decode(self, tokens):
        """Tokens (n, length) as strings, words with a space between them."""
        names = ("", "<unknown>", *self.words)
        rows = np.asarray(tokens).tolist()
        return [" ".join(names[token] for token in row if token) for row in rows]

    def symbols(self, tokens):
        """Number of words and end tokens of each text, (n,): what its probability is a product of.

        A text of `length` words has no end token.
        """
        return np.minimum(np.count_nonzero(tokens, axis=1) + 1, self.length)

    def check(self, values, count=None):
        """Texts as tokens; see `Space.check`. Strings may be given, too, as `texts_of` reads them.

        Warnings name words of the strings that are unknown, which become token 1, and say how many
        strings have more words than `length`, which are left out.
        """
        return super().check(self.read(values), count)

    def check_values(self, array):
        super().check_values(array)
        behind = (array[:, :-1] == 0) & (array[:, 1:] != 0)
        if behind.any():
            row = array[behind.any(axis=1)][0]
            raise KgenError(
                f"Expected texts with zeros only behind their words, received {row.tolist()}: put "
                "the zeros last, as keras.utils.pad_sequences(..., padding='post') does."
            )

    def read(self, values, warn=True):
        """Strings as tokens; everything else as it is."""
        texts = texts_of(values)
        if texts is None:
            return values
        if warn:
            self._warn([split_words(text) for text in texts])
        return self.encode(texts)

    def _warn(self, texts):
        longer = sum(len(words) > self.length for words in texts)
        if longer:
            logger.warning(
                "kgen: %d text(s) of more than %d words and marks; those behind are left out.",
                *(longer, self.length),
            )
        known = {*self.words, *UNKNOWN_WORDS}
        unknown = {word: None for words in texts for word in words if word not in known}
        if unknown:
            named = ", ".join(list(unknown)[:SHOWN]) + (", ..." if len(unknown) > SHOWN else "")
            logger.warning(
                "kgen: %d unknown word(s), read as <unknown>: %s. The model knows %d words, those "
                "of its training texts.",
                *(len(unknown), named, len(self.words)),
            )

    def _converted(self, array):
        return array.astype("int32") if array.dtype.kind in "iu" else array

    def _fits(self, dtype):
        return is_whole(dtype)

    def _advice(self, dtype, shape):
        if is_whole(dtype):
            return super()._advice(dtype, shape)
        if dtype == "string":
            return "in tf.data, texts must be tokens already: `encode` them with this space"
        return f"pass one string a text, or rows of {self.length} whole numbers"

    def _advice_on_range(self, smallest, largest):
        return "encode the texts with the model's own words"

    def arguments(self):
        return {"words": self.words, "length": self.length}


def texts_of(values):
    """Strings as a list; None for anything else.

    Args:
        values: a string, or a list, a tuple, an array (n,) of NumPy or a Series of pandas.

    Examples:
        >>> kgen.spaces.texts_of(np.array(["a seven", "red"]))
        ['a seven', 'red']
    """
    if isinstance(values, str):
        return [values]
    kind = getattr(getattr(values, "dtype", None), "kind", None)  # tensors have none
    if kind in STRINGS and len(values.shape) == 1:
        values = np.asarray(values).tolist()
    is_list = isinstance(values, list | tuple)
    return list(values) if is_list and all(isinstance(text, str) for text in values) else None


def _listed(texts):
    return [texts] if isinstance(texts, str) else texts


def split_words(text):
    """A text as words and marks in lower case.

    Accents and vowel signs belong to their letter, however they are encoded.

    Examples:
        >>> kgen.spaces.split_words("It's a red seven.")
        ["it's", 'a', 'red', 'seven', '.']
    """
    text = unicodedata.normalize("NFC", text.lower())
    return _pattern("" if text.isascii() else JOINERS + _combining()).findall(text)


@functools.cache
def _pattern(more):
    """Finds words, of word characters and `more`, the unknown word, and marks."""
    letter = rf"[\w{more}]"
    unknown = "|".join(UNKNOWN_WORDS)
    return re.compile(rf"{unknown}|{letter}+(?:'{letter}+)?|[^\w\s]")


@functools.cache
def _combining():
    """All characters of Unicode that combine with the letter before; `re` has no name for them."""
    characters = map(chr, range(sys.maxunicode + 1))
    return "".join(one for one in characters if unicodedata.category(one).startswith("M"))
