"""Placed digits: what is said of the images is what their pixels show."""

import numpy as np
import pytest
from test_data import error_line, real

from kgen.data import Split, load, placed_digits
from kgen.data.placed_digits import (
    ATTRIBUTES,
    BACKGROUNDS,
    COLOURS,
    DIGITS,
    PLACES,
    SHIFT,
    SIZES,
    WORDINGS,
    captions,
    is_held_out,
    placed,
)
from kgen.spaces import Attributes, Labels, Pixels, Tokens

SIDES = pytest.mark.parametrize("side", [32, 64])
INKS, GROUNDS = (np.array(list(palette.values())) for palette in (COLOURS, BACKGROUNDS))


@pytest.fixture
def few(monkeypatch):
    """A small set made of the built-in digits."""
    monkeypatch.delenv("KGEN_DATA_DIR", raising=False)
    monkeypatch.setattr("kgen.data.named.is_at_hand", lambda *args: False)
    monkeypatch.setattr(placed_digits, "TRAIN", 300)
    monkeypatch.setattr(placed_digits, "TEST", 100)


def bars():
    """Upright bars in place of digits: that of label k is 16 pixels high and k + 1 wide."""
    images = np.zeros((10, 20, 20, 1), np.uint8)
    for label in range(10):
        images[label, 2:18, 1 : label + 2] = 16
    return Split(images, np.arange(10))


def boxes(images, grounds):
    """(rows, columns) of the first and of the last pixel that are not of the background."""
    differs = (images != GROUNDS[grounds][:, None, None]).any(axis=-1)
    for image in differs:
        rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
        yield (rows[0], columns[0]), (rows[-1] + 1, columns[-1] + 1)


@SIDES
def test_bars_stand_where_the_truth_says_in_its_colours(side):
    scale = side // 32
    images, truth = placed(bars(), 17, 200, side, seed=3, held_out=False)
    assert (images.shape, images.dtype) == ((200, side, side, 3), np.uint8)
    for row, (first, end) in enumerate(boxes(images, truth.backgrounds)):
        first, end = np.array(first), np.array(end)
        height, width = end - first
        assert height == scale * list(SIZES.values())[truth.sizes[row]]
        assert width == round((truth.digits[row] + 1) * height / 16) or width == 1
        centre = first + np.array([height, width]) // 2
        off = centre - scale * np.array(list(PLACES.values())[truth.places[row]])
        assert np.abs(off).max() <= scale * SHIFT
        inside = images[row, first[0] : end[0], first[1] : end[1]]
        assert (inside == INKS[truth.colours[row]]).all()


def test_digits_are_upright():
    """An L has no ink in its upper right quarter, and some in the three others."""
    images = np.zeros((2, 20, 20, 1), np.uint8)
    images[:, 2:18, 3:5] = images[:, 16:18, 3:15] = 255
    images, truth = placed(Split(images, np.zeros(2, int)), 256, 40, 32, seed=0, held_out=True)
    for image, (first, end) in zip(images, boxes(images, truth.backgrounds), strict=True):
        inked = (image[first[0] : end[0], first[1] : end[1]] != image[0, 0]).any(axis=-1)
        height, width = np.array(inked.shape) // 2
        parts = [
            part[:, side]
            for part in (inked[:height], inked[height:])
            for side in (slice(width), slice(-width, None))
        ]
        assert [bool(part.any()) for part in parts] == [True, False, True, True]


def read(image):
    """(colour, size, place, background) that an image of a real digit shows, by least squares."""
    scale, pixels = len(image) // 32, image.reshape(-1, 3).astype(float)
    values, counts = np.unique(pixels, axis=0, return_counts=True)
    ground = values[counts.argmax()]
    directions = INKS - ground
    alpha = (pixels - ground) @ directions.T / (directions**2).sum(axis=1)
    alpha = np.clip(alpha, 0, 1)
    rest = pixels[:, None] - ground - alpha[..., None] * directions
    colour = (rest**2).sum(axis=(0, 2)).argmin()
    inked = alpha[:, colour].reshape(image.shape[:2]) > 0.2
    rows, columns = (np.flatnonzero(inked.any(axis=axis)) for axis in (1, 0))
    first, end = np.array([rows[0], columns[0]]), np.array([rows[-1], columns[-1]]) + 1
    lengths = scale * np.array(list(SIZES.values()))
    off = (first + end) / 2 - scale * np.array(list(PLACES.values()))
    size = np.abs((end - first).max() - lengths).argmin()
    place = (off**2).sum(axis=1).argmin()
    return colour, size, place, np.abs(GROUNDS - ground).sum(axis=1).argmin()


@SIDES
def test_real_digits_are_read_off_their_pixels(side):
    digits = load("digits")
    images, truth = placed(digits.train, digits.levels, 300, side, seed=0, held_out=True)
    said = np.stack([truth.colours, truth.sizes, truth.places, truth.backgrounds], axis=1)
    assert np.array_equal([read(image) for image in images], said)


def parsed(text):
    """(digit, colour, size, place, background) that a caption names, each exactly once."""
    found = []
    for names in (DIGITS, COLOURS, SIZES, PLACES, BACKGROUNDS):
        (number,) = (n for n, name in enumerate(names) if f" {name} " in f" {text} ")
        found.append(number)
    return found


def test_captions_say_the_truth_in_every_wording():
    _, truth = placed(bars(), 17, 400, 32, seed=0, held_out=False)
    space = Tokens.of(captions(truth))
    said = [parsed(text) for text in space.decode(space.encode(captions(truth)))]
    columns = (truth.digits, truth.colours, truth.sizes, truth.places, truth.backgrounds)
    assert np.array_equal(said, np.stack(columns, axis=1))
    assert set(truth.wordings) == set(range(len(WORDINGS)))
    assert len(WORDINGS) >= 4


def test_held_out_pairs_are_in_test_images_only():
    pairs = [(digit, colour) for digit in range(10) for colour in range(5)]
    held_out = {pair for pair in pairs if is_held_out(*pair)}
    assert len(held_out) == 10
    assert {digit for digit, _ in held_out} == set(range(10))
    digits = load("digits")
    _, train = placed(digits.train, 17, 2000, 32, seed=0, held_out=True)
    _, test = placed(digits.test, 17, 1000, 32, seed=1, held_out=False)
    seen = {tuple(pair) for pair in np.stack([train.digits, train.colours], axis=1).tolist()}
    assert seen == set(pairs) - held_out
    assert {*map(tuple, np.stack([test.digits, test.colours], axis=1).tolist())} == set(pairs)
    assert abs(is_held_out(test.digits, test.colours).mean() - 0.2) < 0.05


def test_equal_seeds_make_equal_images():
    first, again, other = (placed(bars(), 17, 50, 32, seed, held_out=True) for seed in (1, 1, 2))
    assert np.array_equal(first[0], again[0])
    assert captions(first[1]) == captions(again[1])
    assert not np.array_equal(first[0], other[0])


def test_every_kind_of_condition_is_of_the_same_images(few):
    said, shown, named = (load(f"placed_digits{kind}") for kind in ("", ":attributes", ":labels"))
    for data in (said, shown, named):
        assert data.space == Pixels((32, 32, 3))
        assert np.array_equal(data.train.x, said.train.x)
    assert isinstance(said.condition_space, Tokens)
    assert shown.condition_space == Attributes(ATTRIBUTES)
    assert named.condition_space == Labels(10)
    assert np.array_equal(shown.train.condition[:, :10].argmax(axis=1), named.train.labels)
    large, grounds = ATTRIBUTES.index("large"), ATTRIBUTES.index("on black")
    for split in ("train", "test"):
        texts = said.condition_space.decode(getattr(said, split).condition)
        digit, colour, size, place, ground = np.transpose([parsed(text) for text in texts])
        rows = getattr(shown, split).condition
        assert np.array_equal(rows[:, 10:large].argmax(axis=1), colour)
        assert np.array_equal(rows[:, large], size)
        assert np.array_equal(rows[:, large + 1 : grounds].argmax(axis=1), place)
        assert np.array_equal(rows[:, grounds:].argmax(axis=1), ground)
        assert np.array_equal(rows.sum(axis=1), 4 + size)
        assert np.array_equal(rows[:, :10].argmax(axis=1), digit)


def test_the_large_ones_say_the_same(few):
    small, large = load("placed_digits"), load("placed_digits:64")
    assert large.space == Pixels((64, 64, 3))
    assert np.array_equal(small.test.condition, large.test.condition)
    assert load("placed_digits:64:labels").classes == 10
    assert load("placed_digits", size=16).condition_space == small.condition_space


def test_without_mnist_they_are_made_of_the_built_in_digits(few):
    data = load("placed_digits")
    assert "made from: Optical Recognition" in data.source
    assert (data.name, data.licence) == ("placed_digits", "CC BY 4.0")


def test_with_mnist_they_are_made_of_it():
    real("mnist")
    data = load("placed_digits")
    assert "made from: MNIST" in data.source
    assert (len(data.train), len(data.test)) == (20_000, 2_000)
    assert read(data.test.x[0])[1:] == tuple(
        parsed(data.condition_space.decode(data.test.condition[:1])[0])[2:]
    )


def test_two_kinds_of_conditions_are_an_error(few):
    message = error_line("placed_digits:attributes:labels")
    assert "one kind of conditions for placed_digits, received attributes and labels" in message
