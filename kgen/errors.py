"""The one error type for mistakes that the user can mend, and the end that a signal asks for."""


class KgenError(ValueError):
    """A mistake the user can mend.

    Its message is one line that says what was expected, what was received, and what to do.
    The command-line verbs print that line and exit with status 2.

    Examples:
        >>> kgen.VAE((8, 8, 1), levels=1)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        kgen.errors.KgenError: Expected levels to be a whole number from 2 to 256, received 1: ...
    """


class Interrupted(KeyboardInterrupt):
    """A signal ended training; the message says how to continue.

    Attributes:
        status: with which the process ends, 128 and the signal's number.
    """

    def __init__(self, message, signal):
        super().__init__(message)
        self.status = 128 + signal
