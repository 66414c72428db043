"""Variable names on JAX and PyTorch, which cache nothing per name."""

import contextlib


@contextlib.contextmanager
def recurring_variable_names():
    """Context manager without effect; see `tensorflow_names` for TensorFlow's."""
    yield
