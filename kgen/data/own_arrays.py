"""The user's own arrays, in memory or in an `.npy` or `.npz` file."""

import numpy as np

from kgen.data import numpy_file
from kgen.data.dataset import Dataset, warn_of_range
from kgen.data.labels import checked, numbered
from kgen.data.splits import Split, hold_out
from kgen.errors import KgenError
from kgen.spaces import Pixels

_KEYS = ("x_train", "y_train", "x_test", "y_test", "x_val", "y_val", "images", "labels")
_CHANNELS = (1, 2, 3, 4)  # a last axis this short is channels, or a very narrow image


def read_array(images, labels=None):
    """The set of one array in memory. Every tenth image is held out for testing.

    Args:
        images: uint8 (n, height, width, channels) or (n, height, width), 1 or 3 channels.
        labels: None, or labels that `labels.checked` accepts.

    Returns:
        A `Dataset`.

    Raises:
        KgenError: for images or labels of a wrong dtype or shape, and for fewer than two images.
    """
    images = _checked_images(images, "the array")
    if labels is not None:
        labels = checked(labels, len(images), "labels")
    return _dataset("array", "an array in memory", {"train": Split(images, labels)})


def read_file(path, most):
    """The set in an `.npz` or `.npy` file of NumPy.

    The arrays of an `.npz` file are `x_train`, `y_train`, `x_test`, `y_test`, `x_val`, `y_val`
    (validation images), or `images`, `labels`. Only `x_train` or `images` is required; others are
    ignored. An `.npy` file holds the images. Without `x_test`, every tenth image is held out for
    testing.

    Args:
        path: of the file.
        most: largest memory, in bytes.

    Returns:
        A `Dataset`.

    Raises:
        KgenError: for other files, names or arrays, and for arrays that need more memory.
    """
    content = numpy_file.read(path, _KEYS, most)
    if isinstance(content, np.ndarray):
        splits = {"train": Split(_checked_images(content, str(path)))}
    elif "x_train" in content:
        parts = [part for part in ("train", "test", "val") if f"x_{part}" in content]
        splits = {part: _split(content, f"x_{part}", f"y_{part}", path) for part in parts}
    elif "images" in content:
        splits = {"train": _split(content, "images", "labels", path)}
    else:
        raise KgenError(
            f"Expected an array named x_train or images in {path}, received neither: name one so "
            "in numpy.savez."
        )
    expected = splits["train"].images.shape[1:]
    for part, split in splits.items():
        if split.images.shape[1:] != expected:
            raise KgenError(
                f"Expected {part} images of the training images' shape {expected} in {path}, "
                f"received {split.images.shape[1:]}: resize them."
            )
    return _dataset(path.stem, f"the file {path}", splits)


def _dataset(name, source, splits):
    """The set of splits by name. If none is "test", training images are held out for it.

    Labels may be names.
    """
    splits, label_names = _named(source, splits)
    largest = max(int(split.images.max()) for split in splits.values())
    levels = 2 if largest <= 1 else 256
    if levels > 2:
        warn_of_range(source, largest, 8)
    if "test" not in splits:
        splits["train"], splits["test"] = hold_out(splits["train"], source)
        source = f"{source}, every tenth image held out for testing"
    licence = "unknown: the user's own images"
    space = Pixels(splits["train"].x.shape[1:], levels)
    return Dataset(
        name,
        splits["train"],
        splits["test"],
        space,
        source,
        licence,
        label_names=label_names,
        validation=splits.get("val"),
    )


def _named(source, splits):
    """The splits with integer labels, and the labels' names if they were strings."""
    labelled = {part: split for part, split in splits.items() if split.labels is not None}
    numeric = [split.labels.dtype == np.int64 for split in labelled.values()]
    if all(numeric):
        return dict(splits), None
    if any(numeric):
        raise KgenError(
            f"Expected labels of one kind in all splits of {source}, received numbers and names: "
            "give names, labels.astype(str), in all."
        )
    labels, names = numbered([split.labels for split in labelled.values()])
    numbers = dict(zip(labelled, labels, strict=True))
    return {part: Split(split.images, numbers.get(part)) for part, split in splits.items()}, names


def _split(arrays, images_key, labels_key, path):
    images = _checked_images(arrays[images_key], f"{images_key} of {path}")
    if labels_key not in arrays:
        return Split(images)
    return Split(images, checked(arrays[labels_key], len(images), f"{labels_key} of {path}"))


def _checked_images(images, where):
    """The images as (n, height, width, channels); `where` is the array, for messages."""
    if images.ndim not in (3, 4) or images.size == 0:
        raise KgenError(
            "Expected images of shape (n, height, width, channels) or (n, height, width) in "
            f"{where}, at least one, received shape {images.shape}: reshape them."
        )
    if images.ndim == 3 and images.shape[-1] in _CHANNELS:
        n, height, channels = images.shape
        raise KgenError(
            "Expected images of shape (n, height, width, channels) or (n, height, width) in "
            f"{where}, received {images.shape}, which is one image of {channels} channels or {n} "
            f"grey ones of {height}x{channels}: give images[None] for one image, images[..., None] "
            "for grey ones."
        )
    if images.dtype != np.uint8:
        received, remedy = _described(images)
        raise KgenError(f"Expected uint8 values 0..255 in {where}, received {received}: {remedy}.")
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.shape[-1] not in (1, 3):
        raise KgenError(
            f"Expected 1 or 3 channels, in the last axis of {where}, received shape "
            f"{images.shape}: transpose, convert or composite the images."
        )
    return images


def _described(images):
    """(dtype and range in words, remedy) of images that are not uint8."""
    if images.dtype.kind not in "biuf":
        return str(images.dtype), "convert the array to numbers"
    low, high = images.min(), images.max()
    if images.dtype.kind != "f" and low >= 0 and high <= 255:
        remedy = "cast, images.astype('uint8')"
    elif low >= 0 and high <= 1:
        remedy = "multiply by 255 and cast, (images * 255).round().astype('uint8')"
    else:
        remedy = "rescale to 0..255 and cast, .round().astype('uint8')"
    return f"{images.dtype} values {low}..{high}", remedy
