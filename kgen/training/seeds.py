"""One call that seeds everything kgen draws from."""

import random

import numpy as np

from kgen import backend


def set_seed(seed):
    """Seed initial weights, noise and data order of the models created afterwards.

    Seeds Python, NumPy and the running framework, and imports no other (as
    `keras.utils.set_random_seed` does with TensorFlow).

    Examples:
        >>> kgen.set_seed(1)
        >>> first = kgen.VAE((8, 8, 1), levels=17)
        >>> kgen.set_seed(1)
        >>> second = kgen.VAE((8, 8, 1), levels=17)
        >>> np.array_equal(first.sample(2, seed=0), second.sample(2, seed=0))
        True
    """
    random.seed(seed)
    np.random.seed(seed)
    backend.seed_framework(seed)
