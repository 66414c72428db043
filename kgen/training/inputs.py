"""What `fit` and `evaluate` are given: arrays of any kind, or batches that somebody else makes.

Arrays are checked whole, before anything is computed. Of batches (tf.data, PyTorch DataLoader,
PyDataset, generators) the kind is checked as they come, their values in the step (`terms.py`).
"""

import copy
import types

import keras
import numpy as np

from kgen.errors import KgenError
from kgen.training.images import (
    as_array,
    check_batch,
    check_images,
    check_label_batch,
    check_labels,
    shape_of,
)

KINDS = "uint8 images, a kgen.data.Split, or batches (tf.data, DataLoader, PyDataset, generator)"


def given(model, x, y=None):
    """`(images, labels)` of arrays, checked; `(batches, None)` of batches, whose kind is checked.

    Labels come as what enters the model: None where none do.

    Args:
        x, y: as `fit` takes them.

    Raises:
        KgenError: for anything else, or arrays of a wrong number, dtype, shape or range.
    """
    if hasattr(x, "train") and hasattr(x, "test"):
        raise KgenError(
            f"Expected {KINDS}, received a whole data set: pass data.train, and data.test as "
            "validation_data."
        )
    if hasattr(x, "images") and hasattr(x, "labels"):  # a `kgen.data.Split`
        x, y = x.images, x.labels if y is None else y
    if are_batches(x):
        if y is not None:
            raise KgenError("Expected labels within the batches, received y too: leave y out.")
        return checked_batches(model, x), None
    if x is None or isinstance(x, str | bytes | dict | int | float):
        raise KgenError(
            f"Expected {KINDS}, received {x if x is None else type(x).__name__}: pass, for "
            "instance, kgen.data.load('digits').train."
        )
    return checked_arrays(model, as_array(x), y)


def checked_arrays(model, images, labels):
    """Images and labels as arrays, checked; the labels as what enters the model, else None."""
    check_images(images, model.image_shape, model.levels)
    if model.classes:
        return images, check_labels(labels, len(images), model.classes)
    if labels is not None and len(labels) != len(images):
        raise KgenError(
            f"Expected a label for each of {len(images)} images, received {len(labels)}: pass as "
            "many, or none."
        )
    return images, None


def checked_validation(model, validation_data):
    """`validation_data` of `fit` as what Keras' `fit` takes, checked; None if there is none."""
    if validation_data is None:
        return None
    try:
        x, y, weights = keras.utils.unpack_x_y_sample_weight(validation_data)
    except ValueError as error:
        raise KgenError(
            "Expected validation_data (images,), (images, labels) or batches, received a "
            f"{type(validation_data).__name__} of {len(validation_data)}: pass (images,)."
        ) from error
    refuse(sample_weight=weights)
    x, y = given(model, x, y)
    if are_batches(x):
        return x
    return (np.asarray(x),) if y is None else (np.asarray(x), y)


def split_validation(images, labels, fraction):
    """Hold out the last `fraction` of the images for validation, as Keras does.

    Returns:
        (images, labels), (held out images, held out labels).

    Raises:
        KgenError: if either part would be empty.
    """
    kept = len(images) - int(len(images) * fraction)
    if not 0 < kept < len(images):
        raise KgenError(
            f"Expected a validation_split that leaves images for both, received {fraction} of "
            f"{len(images)} images: pass a number between 0 and 1."
        )
    return tuple(
        (images[part], None if labels is None else labels[part])
        for part in (slice(kept), slice(kept, None))
    )


def refuse(**arguments):
    """Raise KgenError if one of Keras' arguments is given that no generative model obeys."""
    for name, value in arguments.items():
        if value is not None:
            raise KgenError(
                f"Expected no {name}, received one: the loss is a mean over images. Draw more "
                "often what shall count more."
            )


def refuse_for_batches(**arguments):
    """Raise KgenError if an argument is given that is about arrays."""
    for name, value in arguments.items():
        if value:
            raise KgenError(
                f"Expected images as an array for {name}={value}, received batches: they are made "
                "already. Leave it out, or pass arrays."
            )


# === Batches ===


def are_batches(x):
    """Whether `x` hands out batches, as Keras' `fit` takes them."""
    if isinstance(x, keras.utils.PyDataset | types.GeneratorType):
        return True
    # Strings, lists and arrays can be walked along, too.
    array_like = isinstance(x, str | bytes | dict | list | tuple) or hasattr(x, "__array__")
    return hasattr(x, "__iter__") and not array_like and not hasattr(x, "shape")


def checked_batches(model, x):
    """The same batches; each is checked when it comes where it comes by way of the host."""
    check = BatchCheck(model)
    if isinstance(x, keras.utils.PyDataset):
        if x.num_batches == 0:
            raise KgenError(
                "Expected at least one batch, received a PyDataset of none: add images."
            )
        images, labels = check(x[0])  # Keras looks at it, too
        checked_arrays(model, as_array(images), labels)
    elif hasattr(x, "element_spec"):  # a tf.data.Dataset: its kind is known beforehand
        check(x.element_spec)
    elif isinstance(x, types.GeneratorType):
        return (check.as_tuple(batch) for batch in x)
    elif hasattr(x, "collate_fn"):  # a PyTorch DataLoader
        x = copy.copy(x)
        x.collate_fn = Collate(x.collate_fn, check)
    return x


class BatchCheck:
    """Checks number, dtype and shape of what a batch consists of; its own, to travel to workers."""

    def __init__(self, model):
        self.image_shape, self.conditional = model.image_shape, bool(model.classes)
        self.name = type(model).__name__

    def __call__(self, batch):
        """A batch as (images, labels), labels None where none enter the model."""
        try:
            images, labels, weights = keras.utils.unpack_x_y_sample_weight(batch)
        except ValueError as error:
            raise KgenError(
                f"Expected batches images, (images,) or (images, labels), received {len(batch)} "
                "parts: leave the others out."
            ) from error
        refuse(sample_weight=weights)
        check_batch(_tensor(images), self.image_shape)
        if not self.conditional:
            return images, None
        if labels is None:
            raise KgenError(
                f"Expected batches (images, labels) for {self.name}, received images alone: pair "
                "them with their labels."
            )
        check_label_batch(_tensor(labels), shape_of(_tensor(images))[0])
        return images, labels

    def as_tuple(self, batch):
        """A checked batch in the form that every backend of Keras takes."""
        images, labels = self(batch)
        return (images,) if labels is None else (images, labels)


class Collate:
    """A DataLoader's `collate_fn` whose batches are checked, and tuples of one or two tensors."""

    def __init__(self, collate, check):
        self.collate, self.check = collate, check

    def __call__(self, items):
        return self.check.as_tuple(self.collate(items))


def _tensor(values):
    return values if hasattr(values, "dtype") else np.asarray(values)
