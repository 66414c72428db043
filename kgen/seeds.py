"""`set_seed`: seed every random generator that kgen uses."""

import random

import numpy as np

from kgen import backend
from kgen.bounds import Seed, checked


def set_seed(seed):
    """Seed initial weights, noise and data order of the models created afterwards.

    Seeds Python, NumPy and the running framework. It imports no other framework, while
    `keras.utils.set_random_seed` imports TensorFlow.

    Args:
        seed: from 0 to 4,294,967,295.

    Raises:
        KgenError: for a seed out of this range.

    Examples:
        >>> kgen.set_seed(1)
        >>> first = kgen.VAE((8, 8, 1), levels=17)
        >>> kgen.set_seed(1)
        >>> second = kgen.VAE((8, 8, 1), levels=17)
        >>> np.array_equal(first.sample(2, seed=0), second.sample(2, seed=0))
        True
    """
    seed = checked("seed", seed, Seed)
    random.seed(seed)
    np.random.seed(seed)
    backend.seed_framework(seed)
