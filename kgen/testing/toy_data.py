"""Data for a model under check, of whatever spaces it states: all of them made of real digits."""

import numpy as np

from kgen import data
from kgen.spaces import Attributes, Labels, Pixels, Tokens

LEVELS = 17  # of the digits


def _digits():
    return data.load("digits").train


def items_of(space):
    """Items that a model of `space` can learn something from, (1438, ...)."""
    if isinstance(space, Pixels):
        return _images(space)
    if isinstance(space, Tokens):
        return _texts(space)
    return _numbers(space)


def condition_of(space):
    """What these items are given: an array, a dict of arrays, or the labels for None.

    (A model that is given nothing is trained with labels, too, and leaves them out.)
    """
    if isinstance(space, dict):
        return {name: condition_of(part) for name, part in space.items()}
    labels = _digits().labels
    if space is None:
        return labels
    if isinstance(space, Labels):
        return labels % space.classes
    if isinstance(space, Attributes):  # the digits' binary digits
        return (labels[:, None] >> np.arange(len(space.names)) & 1).astype("float32")
    if isinstance(space, Pixels):  # which pixels are bright
        bright = _images(Pixels(space.shape, LEVELS)) > 8
        return (bright * (space.levels - 1)).astype(space.dtype)
    return items_of(space)


def _images(space):
    height, width, channels = space.shape
    images = _digits().images
    rows, columns = (np.arange(size) * 8 // size for size in (height, width))
    images = np.repeat(images[:, rows][:, :, columns], channels, axis=-1)
    if space.levels == LEVELS:
        return images
    return (images.astype("uint32") * (space.levels - 1) // (LEVELS - 1)).astype(space.dtype)


def _texts(space):
    """Of a length and of words that go by the label; the label's own word comes first."""
    labels = _digits().labels[:, None]
    place = np.arange(space.length)
    words = 2 + (labels + place * (labels % 3)) % len(space.words)
    return np.where(place <= labels % space.length, words, 0).astype("int32")


def _numbers(space):
    """Points around a circle, one arc a label, in as many dimensions as there are."""
    noise = np.random.default_rng(0).normal(size=(len(_digits()), *space.shape))
    angle = 2 * np.pi * _digits().labels / 10
    centre = np.stack([np.cos(angle), np.sin(angle)] * space.dimensions, axis=1)
    return (2 * centre[:, : space.dimensions] + 0.1 * noise).astype("float32")
