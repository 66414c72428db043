"""Adapters for TensorFlow, JAX and PyTorch: the same functions, implemented three times.

Only the files of this folder import a framework, and no code outside it asks which backend runs.
Keras chooses the backend (`KERAS_BACKEND`). Each adapter defines the names in its `__all__`;
`tests/test_house.py` checks that the three lists are equal.
"""

import kgen.chosen_backend  # noqa: F401  # before Keras

# isort: split

import keras

if keras.backend.backend() == "jax":
    from kgen.backend.jax import *  # noqa: F403
elif keras.backend.backend() == "tensorflow":
    from kgen.backend.tensorflow import *  # noqa: F403
elif keras.backend.backend() == "torch":
    from kgen.backend.torch import *  # noqa: F403
else:
    raise ImportError(
        "Expected KERAS_BACKEND to be 'tensorflow', 'jax' or 'torch'. "
        f"Received: {keras.backend.backend()!r}"
    )


def name():
    """The backend's name, "tensorflow", "jax" or "torch": for reports, never for a decision."""
    return keras.backend.backend()
