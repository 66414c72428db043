"""Methods of a model compiled for inference, and computed in chunks."""

import functools

import keras
import numpy as np
from keras import ops

from kgen import backend
from kgen.errors import KgenError


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


def in_chunks(function, *arrays, size=256):
    """`function(*arrays)` computed `size` rows at a time and concatenated, to bound memory.

    Raises:
        KgenError: if there are no rows.
    """
    if not len(arrays[0]):
        raise KgenError("Expected at least 1 image, received 0.")
    starts = range(0, len(arrays[0]), size)
    parts = [function(*(array[start : start + size] for array in arrays)) for start in starts]
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *parts)
