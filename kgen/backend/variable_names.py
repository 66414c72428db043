"""Names of a framework's own variables, for the frameworks that keep nothing for a name."""

import contextlib


@contextlib.contextmanager
def recurring_variable_names():
    """The framework's own variables are named anew in every model: see `tensorflow_names`."""
    yield
