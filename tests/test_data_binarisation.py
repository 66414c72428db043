"""Static and dynamic binarisation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_data import error_line, real, some_images

from kgen.data import DynamicallyBinarized, load

light = settings(max_examples=40, deadline=None)
levels_and_grey = st.integers(3, 256).flatmap(
    lambda levels: st.tuples(st.just(levels), st.integers(0, levels - 1))
)


def flat(grey, n=1000):
    return np.full((n, 2, 2, 1), grey, np.uint8)


@light
@given(levels_and_grey, st.integers(0, 2**32), st.integers(0, 1000))
def test_mean_is_the_grey_value(pair, seed, epoch):
    levels, grey = pair
    probability = grey / (levels - 1)
    draw = DynamicallyBinarized(flat(grey), levels, seed).at_epoch(epoch)
    deviation = np.sqrt(probability * (1 - probability) / draw.size)
    # Six standard deviations and half a count: one false alarm in some hundred million.
    assert abs(draw.mean() - probability) <= 6 * deviation + 0.5 / draw.size


@light
@given(st.integers(0, 2**32), st.integers(0, 1000))
def test_a_draw_is_a_pure_function_of_seed_and_epoch(seed, epoch):
    images = DynamicallyBinarized(flat(100, 50), 256, seed)
    first = images.at_epoch(epoch)
    images.at_epoch(epoch + 1)
    assert np.array_equal(first, images.at_epoch(epoch))
    assert np.array_equal(first, DynamicallyBinarized(flat(100, 50), 256, seed).at_epoch(epoch))
    assert not np.array_equal(first, images.at_epoch(epoch + 1))
    assert not np.array_equal(
        first, DynamicallyBinarized(images.grey, 256, seed + 1).at_epoch(epoch)
    )


@pytest.mark.parametrize("levels", [3, 17, 256])
def test_black_and_white_are_certain(levels):
    assert not DynamicallyBinarized(flat(0), levels, 0).at_epoch(3).any()
    assert DynamicallyBinarized(flat(levels - 1), levels, 0).at_epoch(3).all()


def test_pixels_are_drawn_independently():
    draw = DynamicallyBinarized(flat(128, 5000), 256, 0).at_epoch(0).reshape(5000, 4)
    correlation = np.corrcoef(draw, rowvar=False) - np.eye(4)
    assert np.abs(correlation).max() < 0.1


def test_as_an_array_it_is_epoch_0():
    images = DynamicallyBinarized(some_images(), 256, 5)
    first = images.at_epoch(0)
    assert (images.shape, images.ndim, images.dtype, len(images)) == (
        (20, 4, 5, 1),
        4,
        np.uint8,
        20,
    )
    assert (first.dtype, first.shape) == (np.uint8, images.shape)
    assert np.array_equal(np.asarray(images), first)
    assert np.array_equal(images[3:5], first[3:5])
    assert np.asarray(images, dtype="float32").dtype == np.float32


def test_static_digits_are_binary_and_fixed():
    data = load("digits", binarize="static")
    assert data.levels == 2
    assert set(np.unique(data.train.images)) == {0, 1}
    assert data.checksum == load("digits", binarize="static").checksum
    assert "static binarisation" in data.source


def test_dynamic_begins_as_static():
    static, dynamic = (load("digits", binarize=how) for how in ("static", "dynamic"))
    assert isinstance(dynamic.train.images, DynamicallyBinarized)
    assert (dynamic.levels, dynamic.image_shape) == (2, (8, 8, 1))
    assert np.array_equal(dynamic.train.images.at_epoch(0), static.train.images)
    assert np.array_equal(dynamic.test.images, static.test.images)
    assert np.array_equal(dynamic.train.labels, static.train.labels)


def test_limit_keeps_the_training_images_dynamic():
    data, grey = load("digits", binarize="dynamic").limit(10), load("digits").limit(10)
    assert np.array_equal(data.train.images.grey, grey.train.images)
    assert data.train.images.at_epoch(1).shape == (10, 8, 8, 1)
    assert data.test.images.shape == (10, 8, 8, 1)


def test_binarisation_follows_resizing():
    data = load("digits", size=16, binarize="dynamic")
    assert data.train.images.at_epoch(2).shape == (1438, 16, 16, 1)


def test_real_mnist_is_binarised_by_its_grey_values():
    grey = real("mnist").limit(2000).train.images
    draw = DynamicallyBinarized(grey, 256, 0).at_epoch(7)
    assert abs(draw.mean() - grey.mean() / 255) < 0.002


def test_colour_cannot_be_binarised():
    assert 'mode="gray"' in error_line(some_images(channels=3), binarize="static")


def test_colour_made_grey_can_be_binarised():
    assert load(some_images(channels=3), grayscale=True, binarize="static").levels == 2


def test_binary_images_cannot_be_binarised():
    assert "binary already" in error_line(some_images() % 2, binarize="dynamic")


@pytest.mark.parametrize("how", ["yes", True, 0])
def test_bad_value_is_an_error(how):
    assert '"static", "dynamic" or None' in error_line("digits", binarize=how)
