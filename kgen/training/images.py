"""What models accept: uint8 images and whole labels, checked before training starts."""

import keras
import numpy as np
from keras import ops

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
        if ops.is_tensor(values):
            return ops.convert_to_numpy(values)
        if not isinstance(values, list | tuple):
            return np.asarray(values)
        if len(values) and hasattr(values[0], "shape"):
            return np.stack([as_array(value) for value in values])
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise KgenError(
            f"Expected {what} as one array, received {_in_words(values)} that makes none: pass "
            "np.stack(values) of equal shapes."
        ) from error
    is_bytes = array.dtype.kind in "iu" and array.size and 0 <= array.min() <= array.max() <= 255
    return array.astype("uint8") if is_bytes else array


def _in_words(values):
    length = f" of {len(values)}" if hasattr(values, "__len__") else ""
    return f"a {type(values).__name__}{length}"


def check_batch(images, image_shape):
    """Check dtype and shape of a batch, inside a training step, where values are not known yet."""
    dtype, shape = dtype_of(images), shape_of(images)
    if dtype != "uint8" or shape[1:] != image_shape:
        advice = "create the model with the images' shape, or resize them"
        if None in shape[1:]:
            advice = "state the shape in the pipeline, tf.ensure_shape in a map"
        elif dtype != "uint8":
            advice = "convert them, images.astype('uint8'), to whole numbers 0..levels-1"
        elif shape == image_shape or shape[1:] == image_shape[:-1]:
            missing = "images[None]" if shape == image_shape else "images[..., None]"
            advice = f"add the missing axis, {missing}"
        raise KgenError(
            f"Expected uint8 images of shape (n, {', '.join(map(str, image_shape))}), "
            f"received {dtype} of shape {shape}: {advice}."
        )


def dtype_of(values):
    """The name of a tensor's or an array's dtype; also of strings, which Keras has none for."""
    try:
        return keras.backend.standardize_dtype(values.dtype)
    except (TypeError, ValueError):
        return str(values.dtype)


def shape_of(values):
    """The shape as a tuple; of a TensorFlow tensor of unknown rank (None, None)."""
    known = getattr(values.shape, "rank", 0) is not None
    return tuple(values.shape) if known else (None, None)


def check_images(images, image_shape, levels):
    """Check dtype, shape, range and number of an array of images.

    Raises:
        KgenError: says what was expected, what was received and what to do.
    """
    check_batch(images, image_shape)
    if not len(images):
        raise KgenError("Expected at least 1 image, received 0: pass some.")
    check_levels(int(np.max(np.asarray(images))), levels)


def check_number(images, at_least):
    """Raise KgenError unless there are at least as many images as a batch has."""
    if len(images) < at_least:
        raise KgenError(
            f"Expected at least one batch of {at_least} images, received {len(images)}: "
            "pass a smaller batch_size."
        )


def check_levels(largest, levels):
    """Raise KgenError if the largest value of some images is none of 0..levels-1."""
    if largest >= levels:
        raise KgenError(
            f"Expected values 0..{levels - 1} (levels={levels}), received up to {largest}: "
            "create the model with the data's levels."
        )


def check_labels(labels, count, classes):
    """Labels of `count` images as an int32 array (count,), each of 0..classes-1.

    Raises:
        KgenError: if there are none, or of another shape, type or range.
    """
    if labels is None:
        raise KgenError(
            f"Expected a label for each image, 0..{classes - 1}, received none: pass the labels."
        )
    labels = as_array(labels, "labels")
    check_label_batch(labels, count)
    if count:
        check_label_range(int(labels.min()), int(labels.max()), classes)
    return labels.astype("int32")


def check_label_batch(labels, count=None):
    """Check dtype and shape of labels, also inside a training step; `count` None: any number."""
    dtype, shape = dtype_of(labels), shape_of(labels)
    whole = dtype.startswith(("int", "uint"))
    other_number = None not in (count, *shape[:1]) and shape[:1] != (count,)
    if len(shape) != 1 or not whole or other_number:
        advice = "pass one label an image"
        if len(shape) == 2:
            advice = "pass labels[:, 0]" if shape[1] == 1 else "pass labels.argmax(axis=-1)"
        elif not whole:
            advice = "pass np.unique(labels, return_inverse=True)[1]"
        number = "n" if count is None else count
        raise KgenError(
            f"Expected {number} labels, whole numbers of shape ({number},), received {dtype} of "
            f"shape {shape}: {advice}."
        )


def check_label_range(smallest, largest, classes):
    """Raise KgenError if some labels, from `smallest` to `largest`, are none of 0..classes-1."""
    if not 0 <= smallest <= largest < classes:
        advice = (
            "number them from 0" if smallest else f"create the model with {largest + 1} classes"
        )
        raise KgenError(
            f"Expected labels 0..{classes - 1} (classes={classes}), received {smallest} to "
            f"{largest}: {advice}."
        )
