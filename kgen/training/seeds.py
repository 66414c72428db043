"""One call that seeds everything kgen draws from."""

import random

import numpy as np

from kgen import backend


def set_seed(seed):
    """Seed initial weights, noise and data order of the models created afterwards.

    Seeds Python, NumPy and the running framework, and imports no other (as
    `keras.utils.set_random_seed` does with TensorFlow).
    """
    random.seed(seed)
    np.random.seed(seed)
    backend.seed_framework(seed)
