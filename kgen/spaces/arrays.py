"""Arrays and tensors of every kind, by their dtype and shape."""

import numpy as np

from kgen.errors import KgenError


def as_array(values, what="images"):
    """Lists, tensors of any framework and HDF5 data sets as a NumPy array; arrays as they are.

    Whole numbers 0..255 of a nested list, which names no dtype, become uint8.

    Raises:
        KgenError: for values that no array holds, such as images of different sizes.
    """
    if isinstance(values, np.ndarray) or hasattr(values, "at_epoch"):  # a `DynamicallyBinarized`
        return values
    try:
        if hasattr(values, "detach"):  # a tensor of PyTorch, on whatever device
            return np.asarray(values.detach().cpu())
        if not isinstance(values, list | tuple):
            return np.asarray(values)
        if len(values) and hasattr(values[0], "shape"):
            return np.stack([as_array(value) for value in values])
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        length = f" of {len(values)}" if hasattr(values, "__len__") else ""
        raise KgenError(
            f"Expected {what} as one array, received a {type(values).__name__}{length} that makes "
            "none: pass np.stack(values) of equal shapes."
        ) from error
    is_bytes = array.dtype.kind in "iu" and array.size and 0 <= array.min() <= array.max() <= 255
    return array.astype("uint8") if is_bytes else array


def dtype_of(values):
    """The name of the dtype of an array or a tensor of any framework."""
    dtype = values.dtype
    return str(getattr(dtype, "name", dtype)).removeprefix("torch.")


def shape_of(values):
    """The shape as a tuple; of a TensorFlow tensor of unknown rank (None, None)."""
    known = getattr(values.shape, "rank", 0) is not None
    return tuple(values.shape) if known else (None, None)


def is_whole(dtype):
    return dtype.startswith(("int", "uint"))
