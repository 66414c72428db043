"""Validation splits: a set's own, or kept apart from its training images."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_data import real, some_images

from kgen.data import Dataset, Split, load
from kgen.errors import KgenError
from kgen.spaces import Pixels

light = settings(max_examples=25, deadline=None)


def numbered(train=50, validation=None):
    """A set whose images and labels are numbers; training images from 0, its own others from 90."""

    def split(numbers):
        return Split(numbers.astype(np.uint8).reshape(-1, 1, 1, 1), numbers)

    own = None if validation is None else split(90 + np.arange(validation))
    splits = split(np.arange(train)), split(200 + np.arange(5))
    return Dataset("numbers", *splits, Pixels((1, 1, 1), 256), "", "", validation=own)


@light
@given(train=st.integers(10, 60), seed=st.integers(0, 2**32 - 1))
def test_a_tenth_is_kept_apart_and_no_image_is_in_both(train, seed):
    data = numbered(train).with_validation(seed=seed)
    assert len(data.validation) == train // 10
    assert sorted([*data.train.labels, *data.validation.labels]) == list(range(train))
    for split in (data.train, data.validation):
        assert split.images.ravel().tolist() == split.labels.tolist()


def test_the_seed_chooses_the_images():
    apart = [numbered().with_validation(seed=seed).validation.labels for seed in (0, 0, 1)]
    assert apart[0].tolist() == apart[1].tolist() != apart[2].tolist()
    # Written down: a run that is resumed must find the same images, whatever the version.
    assert numbered().with_validation(seed=3).validation.labels.tolist() == [1, 11, 18, 22, 24]


@pytest.mark.parametrize(
    ("size", "expected"), [(None, 5), (0, None), (0.5, 25), (1, 1), (7.0, 7), (49, 49), (0.02, 1)]
)
def test_the_size_is_a_number_or_a_fraction(size, expected):
    data = numbered().with_validation(size)
    assert data.splits.keys() == {"train", "test"} | ({"validation"} if expected else set())
    assert len(data.validation or ()) == (expected or 0)
    assert len(data.train) == 50 - (expected or 0)


def test_fewer_than_ten_images_are_not_divided():
    assert numbered(9).with_validation().validation is None


def test_a_sets_own_validation_images_are_used():
    data = numbered(validation=20)
    assert data.with_validation() is data
    assert data.with_validation(0).validation is None
    for size, count in ((4, 4), (0.2, 10)):
        some = data.with_validation(size)
        assert (len(some.train), len(some.validation)) == (50, count)
        assert set(some.validation.labels) <= set(data.validation.labels)
        assert f"{count} of its 20 validation images" in some.source


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (numbered(), 50),
        (numbered(), 2.5),
        (numbered(), -1),
        (numbered(), 0.01),
        (numbered(validation=20), 21),
    ],
)
def test_an_impossible_size_is_an_error(data, size):
    with pytest.raises(KgenError, match=r"validation size of 0, a fraction .*: give for example"):
        data.with_validation(size)


def test_labels_left_without_training_images_are_named(caplog):
    data = load(some_images(20), np.repeat(np.arange(2), 10))
    lonely = load(data.train.images, [0] * (len(data.train) - 1) + [1])
    for seed in range(100):
        lonely.with_validation(9, seed)
    assert "without its validation images have 1 of its 2 labels" in caplog.text


def test_limits_sizes_and_pairs_are_of_the_validation_images_too():
    data = load("digits").with_validation()
    assert {name: len(split) for name, split in data.limit(30).splits.items()} == {
        "train": 30,
        "test": 30,
        "validation": 30,
    }
    assert data.pairs("edges").validation.condition.shape == (143, 8, 8, 1)


def test_images_drawn_anew_each_epoch_are_fixed_for_validation():
    data = load("digits", binarize="dynamic").with_validation()
    first = np.asarray(data.validation.images)
    assert np.array_equal(first, np.asarray(data.validation.images))
    assert not np.array_equal(data.train.images.at_epoch(0), data.train.images.at_epoch(1))


def test_the_fixed_binarisation_has_the_published_validation_images():
    from kgen.data.named import SETS

    images = real("binarized_mnist").validation.images.reshape(-1, 784)
    text = np.full((len(images), 2 * 784), ord(" "), np.uint8)
    text[:, ::2] = images + ord("0")
    text[:, -1] = ord("\n")
    published = SETS["binarized_mnist"].sources[0].files["binarized_mnist_valid.amat"]
    assert hashlib.sha256(text).hexdigest() == published
    assert real("binarized_mnist", "binarized_mnist:edges").validation.condition.max() == 1


def test_an_npz_file_may_hold_validation_images(tmp_path):
    images, names = some_images(), np.array(["cat", "dog"] * 10)
    arrays = {"x_train": images, "y_train": names, "x_val": images[:3], "y_val": ["dog"] * 3}
    np.savez(tmp_path / "mine.npz", **arrays)
    data = load(tmp_path / "mine.npz")
    assert data.validation.labels.tolist() == [1, 1, 1]
    assert np.array_equal(data.validation.images, images[:3])
    assert data.test.labels.tolist() == [0, 0]  # every tenth training image, as without x_val
    assert data.with_validation().validation is data.validation
    np.savez(tmp_path / "other.npz", x_train=images, x_val=some_images(height=6))
    with pytest.raises(KgenError, match="Expected val images of the training images' shape"):
        load(tmp_path / "other.npz")
