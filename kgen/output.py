"""Standard output and standard error that never end what is under way.

A disk that is full, a pipe whose reader is gone, or a stream that was closed must not cost the
training that prints to it.
"""

import contextlib
import os
import sys

from kgen.errors import escaped

LAYOUT = "\n\t"  # what standard output may hold besides printable characters


class Output:
    """A text stream for one that may fail: from then on, what is written is lost.

    Args:
        stream: such as `sys.stdout`; None for one that was closed before Python began.
        escapes: whether unprintable characters, which names from elsewhere may hold, are escaped.

    Attributes:
        error: the OSError that ended it, or None.
    """

    def __init__(self, stream, escapes=False):
        self.error = None
        self._stream = stream or _nothing()
        self._escapes = escapes

    def write(self, text):
        with self._losing():
            self._stream.write(escaped(text, LAYOUT) if self._escapes else text)
        return len(text)

    def flush(self):
        with self._losing():
            self._stream.flush()

    def __getattr__(self, name):
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _losing(self):
        try:
            yield
        except OSError as error:
            self.error = self.error or error
            self._lose()

    def _lose(self):
        """Have the stream end in nothing: Python itself flushes it once more when it ends."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, self._stream.fileno())
        except OSError:  # it has no number, as where a notebook or a test catches it
            self._stream = _nothing()
        finally:
            os.close(nowhere)


def _nothing():
    return open(os.devnull, "w")  # for as long as the process is


@contextlib.contextmanager
def unfailing():
    """For the block `sys.stdout` and `sys.stderr` are `Output`s; gives them as (output, errors)."""
    _take_numbers()
    before = sys.stdout, sys.stderr
    for stream in before:
        # A name in any script is shown, by escapes where the terminal has no letters for it.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = Output(sys.stdout, escapes=True), Output(sys.stderr)
    try:
        yield sys.stdout, sys.stderr
    finally:
        sys.stdout, sys.stderr = before


def _take_numbers():
    """Open 0, 1 and 2 where they are closed: a checkpoint's file would get the number of one."""
    number = os.open(os.devnull, os.O_RDWR)
    while number <= 2:
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)


def lost(output, errors):
    """One line about what could not be printed, for the stream that still can; "" if nothing.

    A reader that went away, as `head` does, knows it, and wants no line.
    """
    lines = []
    for name, stream in (("standard output", output), ("standard error", errors)):
        stream.flush()
        if stream.error and not isinstance(stream.error, BrokenPipeError):
            lines.append(f"{name} could not be written: {stream.error.strerror}")
    return " and ".join(lines)
