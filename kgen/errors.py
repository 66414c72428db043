"""Errors that the user can fix, interruption by a signal, and safe one-line messages.

Error and log messages become one line without control characters, which could harm a terminal.
"""

import logging

LONGEST_WORD, LONGEST_LINE = 300, 2000  # characters


class KgenError(ValueError):
    """An error that the user can fix.

    Its message is one line that says what was expected, what was received, and what to do. The
    command-line verbs print that line and exit with status 2. Names in it may come from strangers:
    see `printable`.

    Examples:
        >>> kgen.VAE((8, 8, 1), levels=1)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        kgen.errors.KgenError: Expected levels to be a whole number from 2 to 65,536, ...
    """

    def __init__(self, message):
        super().__init__(printable(message))


class Interrupted(KeyboardInterrupt):
    """A signal ended training; the message says how to continue.

    Attributes:
        status: exit status of the process: 128 plus the signal's number.
        between_steps: whether it came between two steps, where the model's state is complete.
    """

    def __init__(self, message, signal, between_steps=False):
        super().__init__(message)
        self.status = 128 + signal
        self.between_steps = between_steps


def printable(text):
    r"""A text as one safe line: control characters escaped, long words and lines shortened.

    Marks that change the direction of writing count as control characters.

    Examples:
        >>> from kgen.errors import printable
        >>> print(printable("a name\n with \x1b[31m colour"))
        a name with \x1b[31m colour
        >>> len(printable("x" * 10**6))
        300
    """
    words = (_shortened(word, LONGEST_WORD) for word in str(text).split())
    return _shortened(escaped(" ".join(words)), LONGEST_LINE)


def escaped(text, kept=""):
    """The text with escapes such as \\x1b for characters neither printable nor in `kept`."""
    return "".join(
        letter if letter.isprintable() or letter in kept else ascii(letter)[1:-1] for letter in text
    )


def _shortened(text, longest):
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]}…{text[1 - half :]}"


def _make_printable(record):
    record.msg, record.args = printable(record.getMessage()), ()
    return True


logging.getLogger("kgen").addFilter(_make_printable)
