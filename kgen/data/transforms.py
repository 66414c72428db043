"""Transformations of a set after reading: colours, size, binarisation."""

import operator
from dataclasses import replace

import numpy as np

from kgen.data import allowance, image_files
from kgen.data.dynamic import DynamicallyBinarized
from kgen.errors import KgenError
from kgen.spaces import Pixels

_TRAIN_SEED, _TEST_SEED = 0, 1


def height_and_width(size):
    """The argument `size=` of `load`, an int or a pair, as (height, width); None stays None.

    Raises:
        KgenError: for anything else.
    """
    if size is None:
        return None
    try:
        height, width = size if isinstance(size, tuple | list) else (size, size)
        pair = operator.index(height), operator.index(width)
    except (TypeError, ValueError):
        pair = (0, 0)
    if min(pair) < 1:
        raise KgenError(
            "Expected size to be a positive int or a pair (height, width) of them, received "
            f"{size!r}: give for example 64."
        )
    return pair


def colour_mode(mode, grayscale):
    """The arguments `mode=` and `grayscale=` of `load` as one: "rgb", "gray" or None.

    Raises:
        KgenError: for another mode, or two different ones.
    """
    if mode is not None and not (isinstance(mode, str) and mode in ("rgb", "gray")):
        raise KgenError(
            f'Expected mode to be "rgb", "gray" or None, received {mode!r}: choose one.'
        )
    if grayscale and mode == "rgb":
        raise KgenError(
            'Expected one wish for colours, received mode="rgb" and grayscale=True: leave one of '
            "them out."
        )
    return "gray" if grayscale else mode


def reshaped(data, size, mode, most):
    """A set with its images converted to other colours and another size.

    Args:
        data: a `Dataset`.
        size: (height, width), or None for no change.
        mode: "rgb", "gray", or None for no change.
        most: largest memory, in bytes.

    Returns:
        A `Dataset`.

    Raises:
        KgenError: for items that are no images, or if more memory were needed.
    """
    if size is None and mode is None:
        return data
    data.check_images("size" if size else "mode")
    *own_size, own_channels = data.image_shape
    if own_channels == image_files.channels(mode, own_channels):
        mode = None
    if size in (None, tuple(own_size)) and mode is None:
        return data
    height, width = size or own_size
    pixels = sum(map(len, data.splits.values())) * height * width
    # Twice: the single images, and the array of all.
    needed = 2 * pixels * image_files.channels(mode, own_channels)
    allowance.check(needed, most, data.name, "choose a smaller size=, or ")

    def changed(split):
        adapted = [image_files.adapted(image, size, mode) for image in split.images]
        # Bicubic resizing overshoots at edges; pillow clips at 255, not at levels - 1.
        return replace(split, x=np.minimum(np.stack(adapted), np.uint8(data.levels - 1)))

    splits = {name: changed(split) for name, split in data.splits.items()}
    shape = splits["train"].x.shape[1:]
    note = "brought to {}x{}x{}".format(*shape)
    return data.changed(note, **splits, space=Pixels(shape, data.levels))


def binarized(data, how):
    """A set with binary images.

    Args:
        data: a `Dataset` of grey images.
        how: "static" for images drawn once, "dynamic" for training images drawn every epoch.

    Returns:
        A `Dataset`.

    Raises:
        KgenError: for colour images, binary images, and items that are no images.
    """
    data.check_images("binarize")
    if data.image_shape[-1] != 1:
        raise KgenError(
            f"Expected grey images for binarize, received {data.image_shape[-1]} channels in "
            f'{data.name}: add mode="gray".'
        )
    if data.levels == 2:
        raise KgenError(
            f"Expected more than 2 levels for binarize, received the images of {data.name}, binary "
            "already: leave binarize out."
        )
    train = DynamicallyBinarized(data.train.images, data.levels, _TRAIN_SEED)
    test = DynamicallyBinarized(data.test.images, data.levels, _TEST_SEED)
    return data.changed(
        f"{how} binarisation",
        train=replace(data.train, x=train if how == "dynamic" else train.at_epoch(0)),
        test=replace(data.test, x=test.at_epoch(0)),
        space=Pixels(data.image_shape, levels=2),
    )
