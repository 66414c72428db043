"""Compiled inference methods, and their computation in chunks of bounded memory."""

import kgen.chosen_backend  # noqa: F401  # before Keras

# isort: split

import functools
import math

import keras
import numpy as np
from keras import ops

from kgen import backend
from kgen.errors import KgenError
from kgen.spaces import rows_of

IMAGES_PER_CHUNK = 100  # of a bound; with SAMPLES_PER_CHUNK 2,000 latents at a time
SAMPLES_PER_CHUNK = 20
STEPS_PER_BLOCK = 50  # of an iterative sampler
VALUES_PER_CHUNK = 2**22  # of one array; 256 colour images of 64x64 have fewer


def inference(method=None, *, loop=False):
    """Decorator: compile a model's method; callers pass and receive NumPy arrays.

    The method maps arrays to tensors. It may read the model's variables but must assign none.
    Random numbers are an argument. Keyword arguments are options, hashable values; it is compiled
    for each of them.

    Args:
        loop: True for a long loop of small operations.
    """
    if method is None:
        return functools.partial(inference, loop=loop)

    @functools.wraps(method)
    def call(self, *arrays, **options):
        # Not `setattr`: Keras and PyTorch need not track compiled functions.
        functions = self.__dict__.setdefault("inference_functions", {})
        key = (method.__qualname__, *sorted(options.items()))
        if key not in functions:
            bound = functools.partial(method, self, **options)
            functions[key] = backend.compiled(self, bound, loop=loop)
        outputs = functions[key](*arrays)
        return keras.tree.map_structure(ops.convert_to_numpy, outputs)

    return call


def keras_sampler(model, images_of):
    """`images_of(latents, condition)` as a Keras model that shares its weights with `model`.

    In a model with `ema` it has a copy of the current averaged weights.
    """
    latents = keras.Input((model.latent_size,), name="latents")
    condition = _inputs(model.condition_space)
    inputs = latents if condition is None else [latents, *keras.tree.flatten(condition)]
    sampler = keras.Model(inputs, images_of(latents, condition), name="sampler")
    if not model.ema:
        return sampler
    copy = keras.models.clone_model(sampler)
    for weight, own in zip(copy.weights, sampler.weights, strict=True):
        weight.assign(ops.copy(model.averages.of(own).value))  # JAX donates buffers
    return copy


def _inputs(space):
    """The Keras inputs of a condition: None, one input, or a dict of inputs."""
    if space is None:
        return None
    if isinstance(space, dict):
        return {name: _input(part, name) for name, part in space.items()}
    return _input(space, space.what)


def _input(space, name):
    return keras.Input(space.shape, dtype=space.dtype, name=name)


def checked_latents(latents, size):
    """Latents as float32 (n, size).

    Raises:
        KgenError: for another shape, or values that are no finite numbers.
    """
    try:
        found = np.asarray(latents, "float32")
    except (TypeError, ValueError):
        found = np.zeros(())
    if found.ndim != 2 or found.shape[1] != size:
        received = getattr(latents, "shape", type(latents).__name__)
        raise KgenError(
            f"Expected latents (n, {size}), received {received}: pass one row of {size} numbers "
            "for each item."
        )
    if not np.isfinite(found).all():
        raise KgenError("Expected finite latents, received NaN or infinity: look where they arise.")
    return found


def in_chunks(function, *arrays, size=256):
    """`function(*arrays)` computed in chunks of `size` rows and concatenated, to bound memory.

    Args:
        function: takes and returns arrays, or dicts of arrays, with as many rows each.
        arrays: arrays, dicts of arrays, or None, which stays None.
        size: rows per chunk; fewer for large images.

    Raises:
        KgenError: if there are no rows.
    """
    if not len(arrays[0]):
        raise KgenError("Expected at least 1 image, received 0: give some.")
    largest_row = max(
        math.prod(array.shape[1:]) for array in keras.tree.flatten(arrays) if array is not None
    )
    size = max(1, min(size, VALUES_PER_CHUNK // max(1, largest_row)))
    starts = range(0, len(arrays[0]), size)
    parts = [
        function(*(rows_of(array, slice(start, start + size)) for array in arrays))
        for start in starts
    ]
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *parts)


def iterated(block, start, schedule, seed=None, condition=None, draw="standard_normal"):
    """Run an iterative sampler (diffusion, Langevin): many steps, each on the whole item.

    The steps run in compiled blocks. NumPy draws the noise of one block at a time, so equal seeds
    give equal items on every backend, and memory stays bounded.

    Args:
        block: (x, schedule, noise, condition) -> x, an `inference(loop=True)` method that runs the
            steps of one part of the schedule, for example by `backend.scan`. `noise` is float32
            (steps, rows, ...).
        start: array (n, ...), the input of the first step.
        schedule: array (steps, ...), one entry per step, such as its noise level.
        seed: of the noise; None for new noise.
        condition: n rows, or None.
        draw: the noise's distribution: "standard_normal", or "random" for uniform noise in [0, 1);
            None if the steps need no noise: one block runs them all, its `noise` None.

    Returns:
        An array like `start`.
    """
    if draw is None:
        return in_chunks(lambda x, condition: block(x, schedule, None, condition), start, condition)
    entropy = np.random.SeedSequence(seed).entropy

    def of_rows(x, condition, row):
        generator = np.random.default_rng([entropy, int(row[0])])
        for first in range(0, len(schedule), STEPS_PER_BLOCK):
            part = schedule[first : first + STEPS_PER_BLOCK]
            noise = getattr(generator, draw)((len(part), *x.shape), "float32")
            x = block(x, part, noise, condition)
        return x

    return in_chunks(of_rows, start, condition, np.arange(len(start)))


def repeated(condition, times):
    """A condition tiled `times` times along its rows; None for None."""
    if condition is None:
        return None
    return keras.tree.map_structure(
        lambda x: ops.tile(x, (times, *[1] * (len(x.shape) - 1))), condition
    )


def importance_weighted_bound(log_weights, samples, noise, x, condition=None):
    """The importance weighted bound log 1/k sum_k exp(w_k), nats per item, float64 (n,).

    With w_k = log p(x, z_k) - log q(z_k|x) and z_k ~ q it is a lower bound of log p(x) that rises
    with k (Burda et al. 2015, arXiv:1509.00519, equation 8).

    Args:
        log_weights: (x, noise, condition) -> (k, n), an `inference` method.
        samples: k, from 1.
        noise: (k, n) -> noise of k samples for n items, an array (k, n, ...).
        x, condition: arrays of n rows.

    Raises:
        KgenError: if there are no samples or no images.
    """
    if samples < 1:
        raise KgenError(f"Expected at least 1 sample, received {samples}: give a larger number.")
    starts = range(0, samples, SAMPLES_PER_CHUNK)
    counts = [min(SAMPLES_PER_CHUNK, samples - start) for start in starts]

    def bound(x, condition):
        weights = [log_weights(x, noise(count, len(x)), condition) for count in counts]
        weights = np.concatenate(weights).astype("float64")  # (samples, n)
        return np.logaddexp.reduce(weights, axis=0) - np.log(samples)

    return in_chunks(bound, x, condition, size=IMAGES_PER_CHUNK)
