"""Arrays and `.npz` files, and the size and colour of images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_data import error_line, some_images

from kgen.data import load


def npz(folder, **arrays):
    path = folder / "mine.npz"
    np.savez(path, **arrays)
    return path


def test_array_is_split_one_in_ten():
    images = some_images(25)
    data = load(images)
    assert np.array_equal(data.test.images, images[::10])
    assert (len(data.train), data.train.labels, data.levels) == (22, None, 256)


def test_array_without_channel_axis_is_grey():
    assert load(some_images()[..., 0]).image_shape == (4, 5, 1)


def test_array_of_zeros_and_ones_is_binary():
    assert load(some_images() % 2).levels == 2


def test_images_do_not_share_the_users_memory():
    images = some_images()
    assert not np.shares_memory(load(images).train.images, images)


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (some_images() % 2 * 1.0, "float64 values 0.0..1.0: multiply by 255 and cast"),
        (some_images().astype("float32"), "rescale to 0..255 and cast"),
        (some_images() / 127.5 - 1, "rescale to 0..255 and cast"),
        (some_images() * np.nan, "rescale to 0..255 and cast"),
        (some_images().astype("int64") % 9, "int64 values 0..8: cast"),
        (some_images() > 128, "bool values False..True: cast"),
        (some_images().astype("int64") * 9, "rescale to 0..255 and cast"),
        (some_images().astype(object), "object: convert the array to numbers"),
    ],
)
def test_wrong_dtype_or_range_is_named_with_its_remedy(images, expected):
    message = error_line(images)
    assert "expected uint8 values 0..255, received" in message
    assert expected in message


@pytest.mark.parametrize("shape", [(20, 64), (0, 8, 8, 1), (20, 0, 8, 1), (1, 2, 8, 8, 1)])
def test_wrong_shape_is_an_error(shape):
    message = error_line(np.zeros(shape, np.uint8))
    assert f"received shape {shape}" in message


@pytest.mark.parametrize("shape", [(20, 3, 32, 32), (20, 8, 8, 4)])
def test_wrong_channels_are_an_error(shape):
    assert "expected 1 or 3 channels" in error_line(np.zeros(shape, np.uint8))


def test_one_image_is_too_few():
    assert "at least 2 images" in error_line(some_images(1))


def test_npz_with_four_arrays(tmp_path):
    images, labels = some_images(), np.arange(20, dtype=np.uint8)
    path = npz(tmp_path, x_train=images, y_train=labels, x_test=images[:1], y_test=labels[:1])
    data = load(str(path))
    assert (data.name, len(data.train), len(data.test)) == ("mine", 20, 1)
    assert data.train.labels.dtype == np.int64
    assert np.array_equal(data.train.labels, labels)


def test_npz_with_images_and_labels_is_split(tmp_path):
    data = load(npz(tmp_path, images=some_images(), labels=np.arange(20)))
    assert data.test.labels.tolist() == [0, 10]
    assert "held out" in data.source


def test_npz_without_labels(tmp_path):
    assert load(npz(tmp_path, images=some_images())).train.labels is None


def test_npz_without_known_names_is_an_error(tmp_path):
    assert "x_train or images" in error_line(npz(tmp_path, pictures=some_images()))


def test_npz_of_objects_is_not_unpickled(tmp_path):
    path = npz(tmp_path, images=np.array([{"a": 1}], dtype=object))
    assert "plain arrays" in error_line(path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 torn"])
def test_damaged_npz_is_an_error(tmp_path, content):
    path = tmp_path / "torn.npz"
    path.write_bytes(content)
    assert "cannot be read" in error_line(path)


@pytest.mark.parametrize(
    "labels", [np.arange(19), np.arange(20.0), np.arange(20)[:, np.newaxis], np.arange(20) - 1]
)
def test_wrong_labels_are_an_error(tmp_path, labels):
    message = error_line(npz(tmp_path, images=some_images(), labels=labels))
    assert "expected integer labels of shape (20,)" in message


def test_splits_of_different_shapes_are_an_error(tmp_path):
    path = npz(tmp_path, x_train=some_images(), x_test=some_images(height=6))
    assert "the training images' shape" in error_line(path)


@settings(max_examples=25, deadline=None)
@given(size=st.tuples(st.integers(1, 20), st.integers(1, 20)), seed=st.integers(0, 100))
def test_resizing_gives_the_size_and_keeps_the_levels(size, seed):
    images = np.random.default_rng(seed).integers(0, 2, (3, 7, 11, 1), dtype=np.uint8)
    images[0] = np.arange(11)[:, np.newaxis] % 2
    data = load(images, size=size)
    assert data.image_shape == (*size, 1)
    assert data.levels == 2
    assert max(data.train.images.max(), data.test.images.max()) <= 1


def test_resized_digits_stay_below_their_levels():
    data = load("digits", size=16)
    assert data.image_shape == (16, 16, 1)
    assert data.train.images.max() == 16
    assert "16x16x1" in data.source


def test_size_that_the_images_have_changes_nothing():
    assert load("digits", size=8, grayscale=True).checksum == load("digits").checksum


def test_images_are_cropped_about_their_centre_not_squeezed():
    images = np.zeros((2, 4, 8, 1), np.uint8)
    images[:, :, 2:6] = 200
    assert (load(images, size=4).train.images == 200).all()


def test_grayscale_uses_luma_weights():
    images = np.zeros((2, 1, 3, 3), np.uint8)
    images[:, 0] = 255 * np.eye(3, dtype=np.uint8)
    assert load(images, grayscale=True).train.images.ravel().tolist() == [76, 150, 29]


@pytest.mark.parametrize("size", [0, -1, 2.5, "28", (8,), (8, 8, 1), (0, 8), np.zeros(2)])
def test_bad_size_is_an_error(size):
    assert "size: expected a positive int or a pair" in error_line("digits", size=size)
