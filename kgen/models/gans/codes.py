"""The codes of InfoGAN: a category and numbers, as functions of latents N(0, I)."""

import math

import keras
import numpy as np
from keras import layers, ops
from scipy import special

LARGEST = 0.99  # absolute value of a number that becomes a latent


@keras.saving.register_keras_serializable("kgen")
class Codes(layers.Layer):
    """Latents N(0, I), (n, k), to noise, a category and numbers.

    Of the latents, the last `numbers` become numbers 2 Phi(z) - 1, uniform in [-1, 1], with Phi the
    normal distribution function. The `categories` before them become a one-hot category, the index
    of the largest. The others are noise and stay as they are.

    Args:
        categories, numbers: how many.
    """

    def __init__(self, categories, numbers, **kwargs):
        super().__init__(**kwargs)
        self.categories, self.numbers = categories, numbers

    def call(self, latents):
        return ops.concatenate(self.split(latents), axis=-1)

    def split(self, latents):
        """Noise, one-hot category (n, categories) and numbers (n, numbers) of latents (n, k)."""
        first, last = self.bounds(latents.shape[-1])
        category = ops.argmax(latents[:, first:last], axis=-1)
        category = ops.one_hot(category, self.categories, dtype=latents.dtype)
        return latents[:, :first], category, ops.erf(latents[:, last:] / math.sqrt(2.0))

    def bounds(self, size):
        """The first latent of the category and the first of the numbers, of `size` latents."""
        return size - self.categories - self.numbers, size - self.numbers

    def get_config(self):
        return {**super().get_config(), "categories": self.categories, "numbers": self.numbers}


def latents_of(category, numbers, size):
    """The mean of latents (n, size) given their codes, float32; noise has mean 0.

    Args:
        category: probabilities (n, categories), such as rows of np.eye(categories).
        numbers: (n, numbers), clipped to [-0.99, 0.99].
        size: number of latents.
    """
    count = category.shape[1]
    quantiles = (np.arange(1000) + 0.5) / 1000
    largest = special.ndtri(quantiles ** (1 / count)).mean()  # E[max of `count` latents]
    scores = category * largest - (1.0 - category) * largest / (count - 1)
    numbers = np.clip(np.asarray(numbers, "float64"), -LARGEST, LARGEST)
    noise = np.zeros((len(scores), size - count - numbers.shape[1]))
    parts = [noise, scores, special.ndtri(0.5 + 0.5 * numbers)]
    return np.concatenate(parts, axis=1).astype("float32")
