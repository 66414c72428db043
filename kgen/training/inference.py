"""Methods of a model compiled for inference, and computed in chunks."""

import functools
import math

import keras
import numpy as np
from keras import ops

from kgen import backend
from kgen.errors import KgenError

IMAGES_PER_CHUNK = 100  # of a bound: 2,000 latents at a time
SAMPLES_PER_CHUNK = 20
VALUES_PER_CHUNK = 2**22  # of one array: 256 images of 64x64 in colour have fewer


def inference(method=None, *, loop=False):
    """Compile a method of a model that maps arrays to tensors; called with and returning NumPy.

    The method may read the model's variables and assigns none; randomness enters as an argument.
    `loop=True` says that it is a long loop of small operations.
    """
    if method is None:
        return functools.partial(inference, loop=loop)

    @functools.wraps(method)
    def call(self, *arrays):
        # Not `setattr`: neither Keras nor PyTorch need to track compiled functions.
        functions = self.__dict__.setdefault("inference_functions", {})
        if method.__qualname__ not in functions:
            bound = functools.partial(method, self)
            functions[method.__qualname__] = backend.compiled(self, bound, loop=loop)
        outputs = functions[method.__qualname__](*arrays)
        return keras.tree.map_structure(ops.convert_to_numpy, outputs)

    return call


def keras_sampler(model, images_of):
    """`images_of(latents, *labels)` as a Keras model, which shares its weights with `model`."""
    latents = keras.Input((model.latent_size,), name="latents")
    labels = [keras.Input((), dtype="int32", name="labels")] if model.classes else []
    inputs = [latents, *labels] if labels else latents
    return keras.Model(inputs, images_of(latents, *labels), name="sampler")


def in_chunks(function, *arrays, size=256):
    """`function(*arrays)` computed `size` rows at a time and concatenated, to bound memory.

    Rows of large images are fewer at a time.

    Raises:
        KgenError: if there are no rows.
    """
    if not len(arrays[0]):
        raise KgenError("Expected at least 1 image, received 0: give some.")
    largest_row = max(math.prod(array.shape[1:]) for array in arrays)
    size = max(1, min(size, VALUES_PER_CHUNK // max(1, largest_row)))
    starts = range(0, len(arrays[0]), size)
    parts = [function(*(array[start : start + size] for array in arrays)) for start in starts]
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *parts)


def sample_bound(log_weights, samples, noise, images, *labels):
    """log 1/k sum_k exp(w_k) in nats per image, (n,) in float64, with k = `samples`.

    For w_k = log p(x, z_k) - log q(z_k|x), z_k ~ q, a lower bound of log p(x) that rises with k
    (Burda et al. 2015, arXiv:1509.00519, equation 8).

    Args:
        log_weights: (images, noise, *labels) -> (k, n), an `inference` method.
        samples: k, from 1.
        noise: (k, n) -> the noise of k samples for n images, an array (k, n, ...).
        images, labels: arrays of n rows.

    Raises:
        KgenError: if there are no samples or no images.
    """
    if samples < 1:
        raise KgenError(f"Expected at least 1 sample, received {samples}: give a larger number.")
    starts = range(0, samples, SAMPLES_PER_CHUNK)
    counts = [min(SAMPLES_PER_CHUNK, samples - start) for start in starts]

    def bound(images, *labels):
        weights = [log_weights(images, noise(count, len(images)), *labels) for count in counts]
        weights = np.concatenate(weights).astype("float64")  # (samples, n)
        return np.logaddexp.reduce(weights, axis=0) - np.log(samples)

    return in_chunks(bound, images, *labels, size=IMAGES_PER_CHUNK)
