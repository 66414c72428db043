"""The one door to TensorFlow, JAX and PyTorch: the same names, done in three ways.

Only the files of this folder import a framework, and nothing outside it asks which backend runs.
Keras chooses the backend (`KERAS_BACKEND`); each adapter defines exactly the names in its
`__all__`, and `tests/test_house.py` holds the three lists equal.
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
    """ "tensorflow", "jax" or "torch": for reports, never to decide what to do."""
    return keras.backend.backend()
