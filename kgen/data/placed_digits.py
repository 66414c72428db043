"""Placed digits: real handwritten digits in colour, placed on a coloured background.

The digit, colour, size, place and background of each image are known, as attributes and as a
caption in plain English. So it can be measured whether a model follows its captions.

Of the 50 pairs of digit and colour, 10 are in no training image (`is_held_out`). In the test images
all pairs are equally likely, so a fifth of them show pairs never seen together in training.
"""

from dataclasses import dataclass, fields

import numpy as np

from kgen.data.dataset import Dataset
from kgen.data.splits import Split
from kgen.errors import KgenError
from kgen.spaces import Attributes, Labels, Pixels, Tokens

OPTIONS = ("64", "attributes", "labels")
TRAIN, TEST = 20_000, 2_000  # images
_TRAIN_SEED, _TEST_SEED = 0, 1

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
COLOURS = {
    "red": (230, 30, 30),
    "orange": (250, 140, 10),
    "yellow": (250, 235, 50),
    "green": (40, 200, 70),
    "white": (255, 255, 255),
}
BACKGROUNDS = {
    "black": (0, 0, 0),
    "blue": (30, 50, 160),
    "purple": (100, 20, 110),
    "grey": (110, 110, 110),
}
SIZES = {"small": 10, "large": 16}  # pixels of a digit's longer side, in images of 32x32
PLACES = {  # (row, column) of a digit's centre, in images of 32x32
    "upper left": (9, 9),
    "upper right": (9, 23),
    "lower left": (23, 9),
    "lower right": (23, 23),
    "middle": (16, 16),
}
FAINT = 64  # of 255: pixels not brighter than this count as margin
SHIFT = 1  # largest random shift in pixels, in images of 32x32
WORDINGS = (
    "a {size} {colour} {digit} in the {place} on {background}",
    "a {size} {colour} {digit}, {place}, on {background}",
    "on {background}, a {colour} {digit}, {size}, in the {place}",
    "{place}: a {colour} {digit}, {size}, on a {background} background",
    "the digit {digit} in {colour}, {size}, in the {place} of a {background} image",
)


@dataclass(frozen=True)
class Truth:
    """The ground truth of n images: each field is an array (n,) of indices into DIGITS, ..."""

    digits: np.ndarray
    colours: np.ndarray
    sizes: np.ndarray
    places: np.ndarray
    backgrounds: np.ndarray
    wordings: np.ndarray


def is_held_out(digits, colours):
    """Whether a pair is in no training image: the colour's index is digit % 5.

    `digits` and `colours` are indices into DIGITS and COLOURS, numbers or arrays. Each digit is
    trained in four of five colours, and each colour with eight of ten digits.
    """
    return digits % len(COLOURS) == colours


def make(digits, options):
    """Make the set from handwritten digits.

    Args:
        digits: a `Dataset` of grey images with labels 0..9.
        options: a tuple of some of `OPTIONS`: "64" for images of 64x64 instead of 32x32;
            "attributes" or "labels" (the digit) for conditions instead of captions.

    Returns:
        A `Dataset`.

    Raises:
        KgenError: for two kinds of conditions.
    """
    wanted = [option for option in options if option != "64"] or ["captions"]
    if len(set(wanted)) > 1:
        raise KgenError(
            f"Expected one kind of conditions for placed_digits, received {' and '.join(wanted)}: "
            "leave one of them out."
        )
    side = 64 if "64" in options else 32
    train, truth = placed(digits.train, digits.levels, TRAIN, side, _TRAIN_SEED, held_out=True)
    test, test_truth = placed(digits.test, digits.levels, TEST, side, _TEST_SEED, held_out=False)
    space, given = _conditions(wanted[0], truth, test_truth)
    return Dataset(
        name="placed_digits",
        train=Split(train, given[0]),
        test=Split(test, given[1]),
        space=Pixels((side, side, 3)),
        source=f"placed digits of kgen, made from: {digits.source}",
        licence=digits.licence,
        condition_space=space,
        label_names=DIGITS if wanted == ["labels"] else None,
    )


def _conditions(wanted, *truths):
    """(the space, a list with the conditions of each truth)."""
    if wanted == "labels":
        return Labels(len(DIGITS)), [truth.digits for truth in truths]
    if wanted == "attributes":
        return Attributes(ATTRIBUTES), [attributes(truth) for truth in truths]
    texts = [captions(truth) for truth in truths]
    space = Tokens.of(texts[0])
    return space, [space.encode(split) for split in texts]


ATTRIBUTES = (*DIGITS, *COLOURS, "large", *PLACES, *(f"on {name}" for name in BACKGROUNDS))


def attributes(truth):
    """The truth as float32 (n, 25) of 0 and 1, in the order of ATTRIBUTES."""
    columns = (
        np.eye(len(DIGITS))[truth.digits],
        np.eye(len(COLOURS))[truth.colours],
        truth.sizes[:, np.newaxis],
        np.eye(len(PLACES))[truth.places],
        np.eye(len(BACKGROUNDS))[truth.backgrounds],
    )
    return np.concatenate(columns, axis=1).astype(np.float32)


def captions(truth):
    """The truth as a list of one sentence per image, in one of several wordings."""
    colours, sizes, places, backgrounds = map(tuple, (COLOURS, SIZES, PLACES, BACKGROUNDS))
    columns = (getattr(truth, field.name).tolist() for field in fields(Truth))
    return [
        WORDINGS[wording].format(
            digit=DIGITS[digit],
            colour=colours[colour],
            size=sizes[size],
            place=places[place],
            background=backgrounds[background],
        )
        for digit, colour, size, place, background, wording in zip(*columns, strict=True)
    ]


def placed(digits, levels, count, side, seed, held_out):
    """Images of placed digits, and their ground truth.

    Args:
        digits: a `Split` of grey images, values 0..levels-1, with labels.
        levels: number of grey levels.
        count: number of images.
        side: side of an image in pixels: 32, or a multiple of it.
        seed: non-negative int, which determines every draw.
        held_out: True leaves out the pairs that are held out for testing.

    Returns:
        uint8 (count, side, side, 3), and their `Truth`.
    """
    random = np.random.default_rng(seed)
    rows = random.permutation(np.arange(count) % len(digits))
    truth = _truth(digits.labels[rows], random, held_out)
    scale = side // 32
    centres = np.array(list(PLACES.values()))[truth.places]
    centres = scale * centres + random.integers(-SHIFT * scale, SHIFT * scale + 1, centres.shape)
    lengths = scale * np.array(list(SIZES.values()))[truth.sizes]
    inks = np.array(list(COLOURS.values()), np.int64)[truth.colours]
    images = np.empty((count, side, side, 3), np.uint8)
    images[:] = np.array(list(BACKGROUNDS.values()), np.uint8)[truth.backgrounds][:, None, None]
    for image, row, centre, length, ink in zip(images, rows, centres, lengths, inks, strict=True):
        grey = digits.images[row, ..., 0].astype(np.int64) * 255 // (levels - 1)
        _draw(image, _stroke(grey.astype(np.uint8), length), centre, ink)
    return images, truth


def _truth(digits, random, held_out):
    """Draw the truth of images of these digits; all choices are equally likely."""
    count, n = len(digits), len(COLOURS)
    colours = random.integers(0, n, count)
    if held_out:
        colours = (digits + random.integers(1, n, count)) % n
    choices = (SIZES, PLACES, BACKGROUNDS, WORDINGS)
    return Truth(digits, colours, *(random.integers(0, len(among), count) for among in choices))


def _stroke(grey, length):
    """A digit without margins, resized so that its longer side is `length`: 0..255."""
    from PIL import Image

    rows, columns = (np.flatnonzero((grey > FAINT).any(axis=axis)) for axis in (1, 0))
    cut = grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(side * length / max(cut.shape))) for side in cut.shape)
    resized = Image.fromarray(cut).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized)


def _draw(image, stroke, centre, ink):
    """Blend the colour `ink` into an image by the alpha mask `stroke`, centred at (row, column)."""
    (top, left), (height, width) = centre - np.array(stroke.shape) // 2, stroke.shape
    part = image[top : top + height, left : left + width]
    alpha = stroke[..., np.newaxis].astype(np.int64)
    part[:] = (part * (255 - alpha) + ink * alpha + 127) // 255
