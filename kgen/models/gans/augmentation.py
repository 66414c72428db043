"""Differentiable augmentation of the images that a discriminator sees.

Shengyu Zhao, Zhijian Liu, Ji Lin, Jun-Yan Zhu, Song Han: Differentiable Augmentation for
Data-Efficient GAN Training. 2020, arXiv:2006.10738.

A random T changes real and generated images alike, in the updates of both players, so that D cannot
learn the training images by heart. T is differentiable, so G's gradient passes through it:

    discriminator_loss(D(T(x)), D(T(G(z)))),    generator_loss(D(T(G(z))))

Deviation: pixels from outside the image, and those of the hole, get the value of the background;
the paper sets them to grey.
"""

from typing import Literal

from keras import ops

Changes = tuple[Literal["translation", "cutout", "color"], ...]
DRAWS = 7  # uniform numbers per image
REACH = 1 / 8  # largest translation, as a fraction of the side
HOLE = 1 / 2  # side of the hole, as a fraction of the image's


def augmented(images, uniform, changes, background):
    """Images after random changes: first the color, then a translation, then a hole.

    Args:
        images: float32 (n, height, width, channels) in [-1, 1].
        uniform: noise in [0, 1), (n, DRAWS).
        changes: a tuple of "translation" (by up to an eighth of each side), "cutout" (a hole of
            half of each side) and "color" (brightness, saturation and contrast).
        background: value of the pixels from outside and of the hole.
    """
    draws = [ops.reshape(draw, (-1, 1, 1, 1)) for draw in ops.split(uniform, DRAWS, axis=1)]
    if "color" in changes:
        images = recoloured(images, *draws[:3])
    images = images - background
    if "translation" in changes:
        images = translated(images, *draws[3:5])
    if "cutout" in changes:
        images = images * kept_by_a_hole(images, *draws[5:])
    return images + background


def recoloured(images, brightness, saturation, contrast):
    """Images with brightness shifted by up to 1/2, saturation times 0 to 2, contrast 1/2 to 3/2."""
    images = images + (brightness - 0.5)
    grey = ops.mean(images, axis=-1, keepdims=True)
    images = grey + 2.0 * saturation * (images - grey)
    mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
    return mean + (0.5 + contrast) * (images - mean)


def translated(images, down, right):
    """Images shifted by whole pixels; 0 comes in from outside."""
    _, height, width, _ = images.shape
    rows, columns = shift_matrices(height, down), shift_matrices(width, right)
    images = ops.einsum("nij,njwc->niwc", rows, images)
    return ops.einsum("nkw,niwc->nikc", columns, images)


def shift_matrices(side, draw):
    """Matrices of 0 and 1, (n, side, side), that shift `side` pixels by up to an eighth of them."""
    reach = round(REACH * side)
    shift = ops.floor(draw[:, :, :, 0] * (2 * reach + 1)) - reach  # (n, 1, 1)
    places = ops.arange(side, dtype="float32")
    return ops.cast(ops.equal(places[:, None] - places, shift), "float32")


def kept_by_a_hole(images, row, column):
    """0 in a square around a random pixel, 1 elsewhere: (n, height, width, 1)."""
    _, height, width, _ = images.shape
    rows = ops.reshape(in_hole(height, row), (-1, height, 1, 1))
    return 1.0 - rows * ops.reshape(in_hole(width, column), (-1, 1, width, 1))


def in_hole(side, draw):
    """1 where a pixel of a line of `side` is in the hole, else 0: (n, 1, 1, side)."""
    hole = round(HOLE * side)
    first = ops.floor(draw * side) - hole // 2
    places = ops.arange(side, dtype="float32")
    return ops.cast((places >= first) & (places < first + hole), "float32")
