"""The user's own arrays, in memory or in an `.npz` file."""

from pathlib import Path

import numpy as np

from kgen.data.image_data import ImageData, Split, hold_out
from kgen.errors import KgenError

_KEYS = ("x_train", "y_train", "x_test", "y_test", "images", "labels")


def read_array(images: np.ndarray) -> ImageData:
    """A set of one uint8 array (n, height, width, channels) or (n, height, width), 1 or 3 channels.

    Every tenth image is held out for testing. Raises KgenError for another dtype or shape.
    """
    split = Split(_checked_images(images, "array"))
    return _image_data("array", "an array in memory", split)


def read_npz(path: Path) -> ImageData:
    """The set in an `.npz` file: `x_train`, `y_train`, `x_test`, `y_test`, or `images`, `labels`.

    Only `x_train` or `images` is required; other arrays are ignored. Without `x_test`, every tenth
    image is held out for testing. Raises KgenError for a file, keys or arrays of another kind.
    """
    arrays = _read_arrays(path)
    if "x_train" in arrays:
        train = _split(arrays, "x_train", "y_train", path)
    elif "images" in arrays:
        train = _split(arrays, "images", "labels", path)
    else:
        raise KgenError(f"{path}: expected an array named x_train or images, received neither")
    test = _split(arrays, "x_test", "y_test", path) if "x_test" in arrays else None
    if test is not None and test.images.shape[1:] != train.images.shape[1:]:
        raise KgenError(
            f"{path}: expected test images of the training images' shape"
            f" {train.images.shape[1:]}, received {test.images.shape[1:]}: resize them"
        )
    return _image_data(path.stem, f"the file {path}", train, test)


def _image_data(name: str, source: str, train: Split, test: Split | None = None) -> ImageData:
    if test is None:
        train, test = hold_out(train, source)
        source = f"{source}, every tenth image held out for testing"
    levels = 2 if max(train.images.max(), test.images.max()) <= 1 else 256
    licence = "unknown: the user's own images"
    return ImageData(name, train, test, levels, source, licence)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        # Opened here, as numpy leaves a damaged archive open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {key: archive[key] for key in _KEYS if key in archive}
    # What is no archive shows as OSError, ValueError, EOFError, TypeError, BadZipFile, ...
    except Exception as error:
        raise KgenError(
            f"{path}: expected a folder of images or an .npz file of plain arrays, received a file"
            f" that cannot be read as one ({' '.join(str(error).split())}): write it by numpy.savez"
        ) from error


def _split(arrays: dict, images_key: str, labels_key: str, path: Path) -> Split:
    images = _checked_images(arrays[images_key], f"{path}: {images_key}")
    if labels_key not in arrays:
        return Split(images)
    return Split(images, _checked_labels(arrays[labels_key], len(images), f"{path}: {labels_key}"))


def _checked_images(images: np.ndarray, where: str) -> np.ndarray:
    """The images as (n, height, width, channels); the message of an error opens with `where`."""
    if images.ndim not in (3, 4) or images.size == 0:
        raise KgenError(
            f"{where}: expected images of shape (n, height, width, channels) or (n, height, width),"
            f" at least one, received shape {images.shape}: reshape them"
        )
    if images.dtype != np.uint8:
        raise KgenError(f"{where}: expected uint8 values 0..255, received {_described(images)}")
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.shape[-1] not in (1, 3):
        raise KgenError(
            f"{where}: expected 1 or 3 channels, in the last axis, received shape {images.shape}:"
            " transpose, convert or composite the images"
        )
    return images


def _described(images: np.ndarray) -> str:
    """The dtype and range of images that are not uint8, and what to do about them."""
    if images.dtype.kind not in "biuf":
        return f"{images.dtype}: convert the array to numbers"
    low, high = images.min(), images.max()
    if images.dtype.kind != "f" and low >= 0 and high <= 255:
        remedy = "cast, images.astype('uint8')"
    elif low >= 0 and high <= 1:
        remedy = "multiply by 255 and cast, (images * 255).round().astype('uint8')"
    else:
        remedy = "rescale to 0..255 and cast, .round().astype('uint8')"
    return f"{images.dtype} values {low}..{high}: {remedy}"


def _checked_labels(labels: np.ndarray, n: int, where: str) -> np.ndarray:
    """The labels as int64 (n,); the message of an error opens with `where`."""
    if labels.shape != (n,) or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise KgenError(
            f"{where}: expected integer labels of shape ({n},), none negative, received"
            f" {labels.dtype} of shape {labels.shape}: reshape or renumber them"
        )
    return labels.astype(np.int64)
