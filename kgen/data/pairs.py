"""Source images for image-to-image translation: edges, grey, small or half hidden images.

Isola et al. 2016, "Image-to-Image Translation with Conditional Adversarial Networks"
(arXiv:1611.07004), learn to make the original from such a source. All source images are integers,
computed exactly, and so the same on every machine.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kgen.errors import KgenError
from kgen.spaces import Pixels

EDGES = 0.2  # the steepest fifth of an image's pixels are edges
BLOCK = 4  # side, in pixels of the original, of one pixel of a small image
_RED, _GREEN, _BLUE = 19595, 38470, 7471  # ITU-R 601 luma in 65536ths, as pillow's mode L
_PIXELS = 2**20  # per chunk, to bound memory


@dataclass(frozen=True)
class SourceKind:
    """A kind of source images.

    Attributes:
        make: function of images (n, height, width, channels) that returns n source images.
        channels: of the source images; None for those of the originals.
        levels: of the source images; None for those of the originals.
    """

    make: Callable[[np.ndarray], np.ndarray]
    channels: int | None = None
    levels: int | None = None


def source_space(kind, space):
    """The space of source images.

    Args:
        kind: a key of `SOURCES`.
        space: the `Pixels` of the originals.

    Returns:
        `Pixels` of the same height and width.

    Raises:
        KgenError: for an unknown kind, and for "gray" of grey images.
    """
    if kind not in SOURCES:
        raise KgenError(
            f"Expected one of {', '.join(SOURCES)} for pairs, received {kind!r}: choose one of "
            "these."
        )
    source, (height, width, channels) = SOURCES[kind], space.shape
    if kind == "gray" and channels == 1:
        raise KgenError(
            "Expected images in colour for pairs of kind gray, received grey ones: choose edges, "
            "small or hidden."
        )
    return Pixels((height, width, source.channels or channels), source.levels or space.levels)


def source_images(kind, images):
    """The source images of `kind`, a key of `SOURCES`, for images (n, height, width, channels)."""
    make, rows = SOURCES[kind].make, max(1, _PIXELS // math.prod(images.shape[1:3]))
    return np.concatenate([make(images[i : i + rows]) for i in range(0, len(images), rows)])


def luma(images):
    """Brightness (n, height, width, 1), in the dtype of the images, by ITU-R 601."""
    if images.shape[-1] == 1:
        return images
    weights = np.array([_RED, _GREEN, _BLUE], np.int64)
    return ((images @ weights + 2**15) >> 16).astype(images.dtype)[..., np.newaxis]


def edges(images):
    """Edge maps: uint8 (n, height, width, 1), 1 for an edge and 0 else.

    The edges are the fifth of an image's pixels with the steepest brightness gradient, by 3x3 Sobel
    filters. Borders are mirrored. Ties at the threshold are all edges; flat areas have none.
    """
    grey = np.pad(luma(images)[..., 0].astype(np.int64), ((0, 0), (1, 1), (1, 1)), "symmetric")
    rows = grey[:, :-2] + 2 * grey[:, 1:-1] + grey[:, 2:]
    columns = grey[..., :-2] + 2 * grey[..., 1:-1] + grey[..., 2:]
    squared = (rows[..., 2:] - rows[..., :-2]) ** 2 + (columns[:, 2:] - columns[:, :-2]) ** 2
    steep = np.quantile(squared, 1 - EDGES, axis=(1, 2), method="higher", keepdims=True)
    return ((squared >= steep) & (squared > 0)).astype(np.uint8)[..., np.newaxis]


def small(images):
    """Images at a quarter of the height and width, each pixel repeated as a block of 4x4.

    A pixel is the rounded mean of its block. Blocks at the lower and right border may be smaller.
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


def hidden(images):
    """Images whose lower half is 0; with an odd height the middle row is kept."""
    shown = images.copy()
    shown[:, (images.shape[1] + 1) // 2 :] = 0
    return shown


SOURCES = {
    "edges": SourceKind(edges, channels=1, levels=2),
    "gray": SourceKind(luma, channels=1),
    "small": SourceKind(small),
    "hidden": SourceKind(hidden),
}
