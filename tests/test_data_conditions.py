"""Splits and sets whose items are given labels, one array, or several by name."""

import numpy as np
import pytest

import kgen
from kgen.data import Dataset, Split, load
from kgen.data.splits import hold_out
from kgen.errors import KgenError
from kgen.spaces import Attributes, Labels, Pixels, Tokens, Vectors

DIGITS = "39cdd278a4c51c0928f7111f251df3147c46de5f7510c1de3d45d371c20a46bd"
WORDS = Tokens(length=2, words=("red", "blue"))


def split(n=20):
    """Items whose pixel, tokens and attribute are their number."""
    number = np.arange(n)
    tokens = np.repeat(number[:, None] % 4, 2, axis=1).astype("int32")
    both = {"caption": tokens, "attributes": (number[:, None] / n).astype("float32")}
    return Split(number.astype("uint8").reshape(n, 1, 1, 1), both)


def dataset(train, test, space=WORDS):
    return Dataset("toy", train, test, Pixels((1, 1, 1)), "made up", "none", space)


def test_runs_find_the_digits_they_recorded():
    assert load("digits").checksum == DIGITS


def test_labels_are_the_condition_under_another_name():
    data = load("digits")
    assert data.train.labels is data.train.condition
    assert data.train.images is data.train.x
    assert (data.space, data.condition_space) == (Pixels((8, 8, 1), 17), Labels(10))


def test_a_condition_that_is_no_label_is_not_called_one():
    assert split().labels is None
    assert Split(split().x, split().condition["caption"]).labels is None


def test_several_conditions_stay_with_their_items():
    whole = split()
    for part in (whole.take([3, 1]), whole.limit(7), *hold_out(whole, "toy")):
        numbers = part.x.ravel()
        assert np.array_equal(part.condition["caption"][:, 1], numbers % 4)
        assert np.allclose(part.condition["attributes"][:, 0], numbers / 20)


def test_limit_counts_what_the_items_are():
    points = Split(np.zeros((5, 2), "float32"))
    data = Dataset("points", points, points, Vectors(2), "made up", "none").limit(3)
    assert (len(data.train), data.condition_space) == (3, None)
    assert "at most 3 vectors" in data.source
    with pytest.raises(KgenError, match="at least 1 vector, received 0"):
        data.limit(0)


def test_the_space_of_labels_follows_the_splits():
    data = load("digits")
    others = data.changed("more", test=Split(data.test.x, data.test.labels + 1))
    unlabelled = data.changed("none", train=Split(data.train.x), test=Split(data.test.x))
    assert (others.condition_space, others.classes) == (Labels(11), 11)
    assert (unlabelled.condition_space, unlabelled.classes) == (None, 0)


def test_checksum_tells_conditions_and_words_apart():
    def checksum(tokens, space=WORDS):
        given = Split(np.zeros((2, 1, 1, 1), "uint8"), np.array(tokens, "int32"))
        return dataset(given, given, space).checksum

    others = [[[2, 3], [3, 2]], [[2, 3], [2, 3]]]
    assert checksum(others[0]) == checksum(others[0])
    assert checksum(others[0]) != checksum(others[1])
    assert checksum(others[0]) != checksum(others[0], Tokens(2, ("green", "blue")))


def test_checksum_of_several_conditions_does_not_depend_on_their_order():
    spaces = {"caption": WORDS, "attributes": Attributes(("bright",))}
    whole = split()
    turned = Split(whole.x, dict(reversed(whole.condition.items())))
    assert dataset(whole, whole, spaces).checksum == dataset(turned, turned, spaces).checksum


@pytest.mark.parametrize(
    ("x", "condition", "received"),
    [
        (np.zeros((2, 1, 1, 3), "uint8"), None, r"\(2, 1, 1, 3\)"),
        (np.zeros((2, 1, 1, 1), "float32"), None, "float32"),
        (np.zeros((2, 1, 1, 1), "uint8"), np.zeros((2, 3), "int32"), r"\(2, 3\)"),
        (np.zeros((2, 1, 1, 1), "uint8"), np.zeros((3, 2), "int32"), r"\(3, 2\)"),
    ],
)
def test_splits_that_are_not_of_their_space_are_refused(x, condition, received):
    fine = Split(np.zeros((2, 1, 1, 1), "uint8"), np.zeros((2, 2), "int32"))
    with pytest.raises(KgenError, match=f"received .*{received}"):
        dataset(fine, Split(x, condition))


def test_what_only_images_have_is_not_asked_of_vectors():
    points = Split(np.zeros((5, 2), "float32"))
    data = kgen.data.Dataset("points", points, points, Vectors(2), "made up", "none")
    with pytest.raises(
        KgenError, match="Expected images for levels, received the vectors of points"
    ):
        _ = data.levels


def test_repr_shows_what_is_given():
    assert (
        repr(split()) == "<Split of items (20, 1, 1, 1), given caption (20, 2), attributes (20, 1)>"
    )
