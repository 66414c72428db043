"""What models accept: uint8 images and whole labels, checked before training starts."""

import keras
import numpy as np

from kgen.errors import KgenError


def check_batch(images, image_shape):
    """Check dtype and shape of a batch, inside a training step, where values are not known yet."""
    dtype = keras.backend.standardize_dtype(images.dtype)
    if dtype != "uint8" or tuple(images.shape)[1:] != image_shape:
        raise KgenError(
            f"Expected uint8 images of shape (n, {', '.join(map(str, image_shape))}), "
            f"received {dtype} of shape {tuple(images.shape)}."
        )


def check_images(images, image_shape, levels, at_least=1):
    """Check dtype, shape, range and number of an array of images before training on it.

    Raises:
        KgenError: says what was expected, what was received and what to do.
    """
    check_batch(images, image_shape)
    if len(images) < at_least:
        raise KgenError(
            f"Expected at least one batch of {at_least} images, received {len(images)}: "
            "pass a smaller batch_size."
        )
    largest = int(np.max(np.asarray(images)))
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
        raise KgenError(f"Expected a label for each image, 0..{classes - 1}, received none.")
    labels = np.asarray(labels)
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise KgenError(
            f"Expected {count} labels, whole numbers of shape ({count},), received {labels.dtype} "
            f"of shape {labels.shape}."
        )
    if count and not 0 <= labels.min() <= labels.max() < classes:
        raise KgenError(
            f"Expected labels 0..{classes - 1} (classes={classes}), received {labels.min()} to "
            f"{labels.max()}."
        )
    return labels.astype("int32")


def checked_arrays(model, images, labels, at_least=1):
    """Arrays given to `fit` or `evaluate`, checked; the labels as what enters the model."""
    check_images(images, model.image_shape, model.levels, at_least)
    return images, check_labels(labels, len(images), model.classes) if model.classes else labels


def split_validation(images, labels, fraction, validation_data):
    """Hold out the last `fraction` of the images for validation, as Keras does."""
    if not fraction or validation_data is not None:
        return (images, labels), validation_data
    kept = len(images) - int(len(images) * fraction)
    held_out = tuple(part[kept:] for part in (images, labels) if part is not None)
    return (images[:kept], None if labels is None else labels[:kept]), held_out


def checked_validation(model, validation_data):
    """`validation_data` of `fit`, checked and, if array-likes, made arrays."""
    given = validation_data if isinstance(validation_data, tuple | list) else (validation_data,)
    if not hasattr(given[0], "shape"):
        return validation_data  # None, or batches
    images, labels = checked_arrays(model, given[0], given[1] if len(given) > 1 else None)
    return (np.asarray(images), *(() if labels is None else (labels,)), *given[2:])
