"""The study of captions reads real images back as their captions say."""

import numpy as np

from benchmarks.studies import captions as study
from kgen.data import placed_digits
from kgen.spaces import split_words


class Knowing:
    """A classifier that knows the digits."""

    def __init__(self, digits):
        self.digits = digits

    def probabilities(self, images):
        assert images.shape[1:] == (28, 28, 1)
        return np.eye(10)[self.digits]


def made(side, count=200):
    from kgen.data import load

    digits = load("digits")
    return placed_digits.placed(digits.train, digits.levels, count, side, 0, held_out=False)


def texts_of(truth):
    """The captions as a space decodes them."""
    return [" ".join(split_words(text)) for text in placed_digits.captions(truth)]


def test_real_images_are_read_back_as_their_captions_say():
    for side in (32, 64):
        images, truth = made(side)
        asked = study.said(texts_of(truth))
        np.testing.assert_array_equal(asked["digit"], truth.digits)
        np.testing.assert_array_equal(asked["place"], truth.places)
        found = study.shown(images, Knowing(truth.digits))
        figures = study.agreement(asked, found)
        assert figures["all"] > 0.97
        assert figures["R-precision"] > 0.97


def test_other_images_are_not_read_back():
    images, truth = made(32)
    asked = study.said(texts_of(truth))
    found = study.shown(images[::-1], Knowing(truth.digits[::-1]))
    figures = study.agreement(asked, found)
    assert 0.05 < figures["colour"] < 0.4
    assert figures["R-precision"] < 0.2
