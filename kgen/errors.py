"""The one error type for mistakes that the user can mend."""


class KgenError(ValueError):
    """A mistake the user can mend.

    Its message is one line that says what was expected, what was received, and what to do.
    The command-line verbs print that line and exit with status 2.
    """
