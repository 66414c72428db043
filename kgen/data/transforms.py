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
    """The argument `size=` of `load`, an int or a pair, as (height, width); None stays None."""
    if size is None:
        return None
    try:
        height, width = size if isinstance(size, tuple | list) else (size, size)
        pair = operator.index(height), operator.index(width)
    except (TypeError, ValueError):
        pair = (0, 0)
    if min(pair) < 1:
        raise KgenError(
            f"size: expected a positive int or a pair (height, width) of them, received {size!r}:"
            " give for example 64"
        )
    return pair


def colour_mode(mode, grayscale):
    """The arguments `mode=` and `grayscale=` of `load` as one: "rgb", "gray" or None."""
    if mode is not None and not (isinstance(mode, str) and mode in ("rgb", "gray")):
        raise KgenError(f'mode: expected "rgb", "gray" or None, received {mode!r}: choose one')
    if grayscale and mode == "rgb":
        raise KgenError(
            'mode: expected one wish for colours, received mode="rgb" and grayscale=True: leave one'
            " of them out"
        )
    return "gray" if grayscale else mode


def reshaped(data, size, mode, most):
    """`data` with its images converted to `mode` and `size`, if given.

    Raises KgenError for items that are no images, or if more than `most` bytes were needed.
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
    """`data` with binary images, drawn once (`how` is "static") or every epoch ("dynamic").

    Raises KgenError for colour images, binary images, and items that are no images.
    """
    data.check_images("binarize")
    if data.image_shape[-1] != 1:
        raise KgenError(
            f"binarize: expected grey images, received {data.image_shape[-1]} channels in"
            f' {data.name}: add mode="gray"'
        )
    if data.levels == 2:
        raise KgenError(
            f"binarize: expected more than 2 levels, but the images of {data.name} are binary"
            " already: leave binarize out"
        )
    train = DynamicallyBinarized(data.train.images, data.levels, _TRAIN_SEED)
    test = DynamicallyBinarized(data.test.images, data.levels, _TEST_SEED)
    return data.changed(
        f"{how} binarisation",
        train=replace(data.train, x=train if how == "dynamic" else train.at_epoch(0)),
        test=replace(data.test, x=test.at_epoch(0)),
        space=Pixels(data.image_shape, levels=2),
    )
