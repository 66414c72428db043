"""`load`: one door to every kind of source."""

import difflib
import os
from pathlib import Path

import numpy as np

from kgen.data.arrays import read_array, read_npz
from kgen.data.folders import read_folder
from kgen.data.image_data import ImageData
from kgen.data.named import SETS, read_named
from kgen.data.transforms import binarized, height_and_width, reshaped
from kgen.errors import KgenError


def names() -> dict[str, str]:
    """The named sets: {name: one line that describes it}.

    Examples:
        >>> kgen.data.names()["digits"]
        '1,797 handwritten digits, 8x8 grey, 17 levels; comes with scikit-learn'
    """
    return {name: known.description for name, known in SETS.items()}


def load(
    source: str | os.PathLike | np.ndarray = "digits",
    *,
    binarize: str | None = None,
    size: int | tuple[int, int] | None = None,
    grayscale: bool = False,
) -> ImageData:
    """Loads images, as uint8 arrays (n, height, width, channels) with values 0..levels-1.

    Args:
        source: one of these:
            - a name that `names()` lists (a folder of the same name is "./name");
            - a folder of PNG, JPEG and WebP files; its sub-folders, if any, are the labels,
              numbered in sorted order. Photographs are turned upright, transparent images are
              composited on white, of 16 bits a channel the upper 8 are kept; levels is 256. What
              takes longer than a second to decode is kept in the user's cache, and mapped from
              there while the files are as they were;
            - an `.npz` file with the arrays `x_train`, `y_train`, `x_test`, `y_test` (only
              `x_train` is required) or `images`, `labels` (only `images` is required);
            - a uint8 array (n, height, width, channels) or (n, height, width).
            Arrays have 1 or 3 channels; their levels is 2 where all values are 0 and 1, else 256.
            Where no test images are given, every tenth image is held out for testing.
        binarize: "static": each pixel is drawn once, with P(1) = grey / (levels - 1).
            "dynamic": the training images become a `DynamicallyBinarized`, drawn again every epoch;
            the test images are the fixed draw of "static". Both are seeded, and the training images
            of "static" are epoch 0 of "dynamic". levels becomes 2.
        size: the side of a square, or (height, width). Images of another aspect ratio are cropped
            to it about their centre, then all are resized (bicubic, antialiased).
        grayscale: turn colour into grey (ITU-R 601 luma). In a folder it also unites files of
            different modes: transparent ones are composited on white first.

    Raises:
        KgenError: a name or path that does not exist, files that can neither be found nor be
            downloaded or that are damaged (those of a folder are listed together), images of an
            unusable kind, dtype or shape, or an argument out of its range; in one line.

    Examples:
        >>> data = kgen.data.load("digits")
        >>> data.train.images.shape, data.train.images.dtype, data.levels
        ((1438, 8, 8, 1), dtype('uint8'), 17)
        >>> kgen.data.load("digits", binarize="static", size=16).image_shape
        (16, 16, 1)
        >>> own = np.zeros((20, 8, 8), "uint8")
        >>> kgen.data.load(own).image_shape
        (8, 8, 1)
    """
    if binarize not in (None, "static", "dynamic"):
        raise KgenError(f'binarize: expected "static", "dynamic" or None, received {binarize!r}')
    target = height_and_width(size)
    data = _read(source, target, grayscale)
    return data if binarize is None else binarized(data, binarize)


def _read(source, size, grayscale) -> ImageData:
    if isinstance(source, np.ndarray):
        return reshaped(read_array(source), size, grayscale)
    if not isinstance(source, str | os.PathLike):
        kind = type(source).__name__
        raise KgenError(f"load: expected a name, a path or a numpy array, received {kind}")
    if source in SETS:
        return reshaped(read_named(source), size, grayscale)
    path = Path(source).expanduser()
    if path.is_dir():
        return read_folder(path, size, grayscale)
    if path.is_file():
        return reshaped(read_npz(path), size, grayscale)
    raise KgenError(_unknown(str(source)))


def _unknown(source: str) -> str:
    nearest = difflib.get_close_matches(source.lower(), SETS, n=1)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return (
        f"{source!r} is neither a known set nor an existing path: {hint}expected one of"
        f" {', '.join(SETS)}, a folder of images, or an .npz file"
    )
