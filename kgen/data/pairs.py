"""Source images for translation from image to image: edges, grey, small or half hidden ones.

Isola et al. 2016, "Image-to-Image Translation with Conditional Adversarial Networks"
(arXiv:1611.07004) learn to make the original from such a source. All of them are whole numbers,
exactly the same on every machine.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kgen.errors import KgenError
from kgen.spaces import Pixels

EDGES = 0.2  # the steepest fifth of an image's pixels are edges
BLOCK = 4  # pixels that a small image's pixel stands for, along each side
_RED, _GREEN, _BLUE = 19595, 38470, 7471  # ITU-R 601 luma in 65536ths, as pillow's mode L
_PIXELS = 2**20  # at a time, which bounds the memory of what is between


@dataclass(frozen=True)
class Source:
    """How source images are made.

    Attributes:
        make: from images (n, height, width, channels) to source images of as many rows.
        channels: of the source images; None for those of the originals.
        levels: of the source images; None for those of the originals.
    """

    make: Callable[[np.ndarray], np.ndarray]
    channels: int | None = None
    levels: int | None = None


def source_space(kind: str, space: Pixels) -> Pixels:
    """The space of the source images of `kind`, a key of `SOURCES`, of images of `space`.

    Raises KgenError for an unknown kind, and for "gray" of images that are grey already.
    """
    if kind not in SOURCES:
        raise KgenError(
            f"pairs: expected one of {', '.join(SOURCES)}, received {kind!r}: choose one of these"
        )
    source, (height, width, channels) = SOURCES[kind], space.shape
    if kind == "gray" and channels == 1:
        raise KgenError(
            "pairs: expected images in colour for gray, received grey ones: choose edges, small or"
            " hidden"
        )
    return Pixels((height, width, source.channels or channels), source.levels or space.levels)


def source_images(kind: str, images: np.ndarray) -> np.ndarray:
    """The source images of `kind`, a key of `SOURCES`, of images (n, height, width, channels)."""
    make, rows = SOURCES[kind].make, max(1, _PIXELS // math.prod(images.shape[1:3]))
    return np.concatenate([make(images[i : i + rows]) for i in range(0, len(images), rows)])


def luma(images: np.ndarray) -> np.ndarray:
    """Brightness (n, height, width, 1), in the dtype of the images, by ITU-R 601."""
    if images.shape[-1] == 1:
        return images
    weights = np.array([_RED, _GREEN, _BLUE], np.int64)
    return ((images @ weights + 2**15) >> 16).astype(images.dtype)[..., np.newaxis]


def edges(images: np.ndarray) -> np.ndarray:
    """Edges as 1, all else as 0: uint8 (n, height, width, 1).

    An edge is a pixel whose brightness has a gradient, by the 3x3 Sobel filters, among the
    steepest fifth of its image. Borders are mirrored. Where steepness ties, all are edges; a flat
    area has none.
    """
    grey = np.pad(luma(images)[..., 0].astype(np.int64), ((0, 0), (1, 1), (1, 1)), "symmetric")
    rows = grey[:, :-2] + 2 * grey[:, 1:-1] + grey[:, 2:]
    columns = grey[..., :-2] + 2 * grey[..., 1:-1] + grey[..., 2:]
    squared = (rows[..., 2:] - rows[..., :-2]) ** 2 + (columns[:, 2:] - columns[:, :-2]) ** 2
    steep = np.quantile(squared, 1 - EDGES, axis=(1, 2), method="higher", keepdims=True)
    return ((squared >= steep) & (squared > 0)).astype(np.uint8)[..., np.newaxis]


def small(images: np.ndarray) -> np.ndarray:
    """Images of a quarter of the height and width, each pixel drawn as a block of 4x4.

    A pixel is the mean of its block, rounded; blocks at the lower and right border may be cut.
    """
    blocks = images.astype(np.int64)
    counts = np.ones((1, *images.shape[1:3], 1), np.int64)
    for axis in (1, 2):
        starts = np.arange(0, images.shape[axis], BLOCK)
        blocks = np.add.reduceat(blocks, starts, axis)
        counts = np.add.reduceat(counts, starts, axis)
    means = ((2 * blocks + counts) // (2 * counts)).astype(images.dtype)
    height, width = images.shape[1:3]
    return means.repeat(BLOCK, axis=1).repeat(BLOCK, axis=2)[:, :height, :width]


def hidden(images: np.ndarray) -> np.ndarray:
    """Images whose lower half is 0; of an odd height the row in the middle is shown."""
    shown = images.copy()
    shown[:, (images.shape[1] + 1) // 2 :] = 0
    return shown


SOURCES = {
    "edges": Source(edges, channels=1, levels=2),
    "gray": Source(luma, channels=1),
    "small": Source(small),
    "hidden": Source(hidden),
}
