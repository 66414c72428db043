"""Standard output and standard error that never raise.

A full disk, a pipe without a reader, or a closed stream must not end the training that prints to
it.
"""

import contextlib
import os
import sys

from kgen.errors import escaped

LAYOUT = "\n\t"  # characters allowed on standard output besides printable ones


class Output:
    """A text stream that drops everything once the stream below it has failed.

    Args:
        stream: such as `sys.stdout`; None if it was closed before Python started.
        escapes: whether to escape unprintable characters, which untrusted names may contain.

    Attributes:
        error: the OSError that ended the stream, or None.
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
        """Redirect the stream to the null device: Python flushes it once more at exit."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, self._stream.fileno())
        except OSError:  # no file descriptor, as in a notebook or a test that captures output
            self._stream = _nothing()
        finally:
            os.close(nowhere)


def _nothing():
    return open(os.devnull, "w")  # open until the process ends


@contextlib.contextmanager
def unfailing():
    """Context manager: replace `sys.stdout` and `sys.stderr` by `Output`s; yields both."""
    _take_numbers()
    before = sys.stdout, sys.stderr
    for stream in before:
        # Characters that the terminal's encoding does not have are escaped.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = Output(sys.stdout, escapes=True), Output(sys.stderr)
    try:
        yield sys.stdout, sys.stderr
    finally:
        sys.stdout, sys.stderr = before


def _take_numbers():
    """Open file descriptors 0, 1 and 2 if closed; else a checkpoint's file could get one."""
    number = os.open(os.devnull, os.O_RDWR)
    while number <= 2:
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)


def lost(output, errors):
    """One line about output that could not be printed, for the other stream; "" if there is none.

    A broken pipe is not reported: its reader, such as `head`, has ended on purpose.
    """
    lines = []
    for name, stream in (("standard output", output), ("standard error", errors)):
        stream.flush()
        if stream.error and not isinstance(stream.error, BrokenPipeError):
            lines.append(f"{name} could not be written: {stream.error.strerror}")
    return " and ".join(lines)
