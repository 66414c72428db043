"""Arrays, files of numpy's and of other kinds, labels, and the size and colour of images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_data import error_line, some_images

import kgen
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
    assert "Expected uint8 values 0..255 in the array, received" in message
    assert expected in message


@pytest.mark.parametrize("shape", [(20, 64), (0, 8, 8, 1), (20, 0, 8, 1), (1, 2, 8, 8, 1)])
def test_wrong_shape_is_an_error(shape):
    message = error_line(np.zeros(shape, np.uint8))
    assert f"received shape {shape}" in message


@pytest.mark.parametrize("shape", [(20, 30, 3), (20, 30, 1), (20, 30, 4)])
def test_one_image_or_many_narrow_ones_are_not_guessed(shape):
    images = np.full(shape, 200, np.uint8)
    message = error_line(images)
    assert f"received {shape}, which is one image of {shape[2]} channels or 20 grey ones" in message
    assert "images[None] for one image, images[..., None] for grey ones" in message
    assert load(images[..., None]).image_shape == (*shape[1:], 1)


def test_values_in_the_lower_half_of_the_range_are_reported(caplog):
    load(np.minimum(some_images(), 16))
    (record,) = caplog.records
    assert "array in memory reach 16 of 255, so that the images are dark" in record.getMessage()
    assert "multiply them by 15" in record.getMessage()


@pytest.mark.parametrize("images", [some_images(), some_images() % 2])
def test_images_that_use_their_range_are_not_reported(images, caplog):
    load(images)
    assert caplog.records == []


@pytest.mark.parametrize("shape", [(20, 3, 32, 32), (20, 8, 8, 4)])
def test_wrong_channels_are_an_error(shape):
    assert "Expected 1 or 3 channels" in error_line(np.zeros(shape, np.uint8))


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


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 torn", b"\x93NUMPY\x01"])
@pytest.mark.parametrize("name", ["torn.npz", "torn.npy", "torn.csv", "torn"])
def test_damaged_file_is_an_error(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    message = error_line(path)
    called = f"a {path.suffix} file" if path.suffix else "a file without a suffix"
    assert f"received {path}, {called} that cannot be read" in message
    assert "write it by numpy.savez" in message
    assert "pickle" not in message


def test_npy_is_read_as_images(tmp_path):
    images = some_images()
    np.save(tmp_path / "mine.npy", images)
    data = load(tmp_path / "mine.npy", size=4)
    assert data.checksum == load(images, size=4).checksum
    assert (data.name, data.train.labels) == ("mine", None)
    assert "mine.npy" in data.source
    np.save(tmp_path / "mine.npy", images / 255)
    path = tmp_path / "mine.npy"
    assert f"Expected uint8 values 0..255 in {path}, received" in error_line(path)


def test_npy_of_objects_is_not_unpickled(tmp_path):
    np.save(tmp_path / "mine.npy", np.array([{"a": 1}], dtype=object))
    message = error_line(tmp_path / "mine.npy")
    assert "it holds Python objects" in message
    assert "pickle" not in message


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("one.png", "give the folder it lies in, "),
        ("one.TIF", "give the folder it lies in, "),
        ("mine.h5", "mine.h5')['NAME'][:])"),
        ("mine.HDF5", "h5py.File("),
        ("mine.zip", "unpack it, and give the folder"),
        ("mine.tar.gz", "unpack it, and give the folder"),
    ],
)
def test_a_file_of_another_kind_says_what_to_do(tmp_path, name, remedy):
    path = tmp_path / name
    path.write_bytes(b"anything")
    message = error_line(path)
    expected = "Expected a folder of images, or an .npz or .npy file, received"
    assert message.startswith(f"{expected} {path}, a {path.suffix} file: ")
    assert remedy in message
    assert "pickle" not in message


def test_what_is_said_of_hdf5_works(tmp_path):
    import h5py  # Keras depends on it

    path = tmp_path / "mine.h5"
    with h5py.File(path, "w") as file:
        file["NAME"] = some_images()
    advice = error_line(path).partition("in Python, ")[2].partition(" with the name")[0]
    assert eval(advice, {"kgen": kgen, "h5py": h5py}).checksum == load(some_images()).checksum


@pytest.mark.parametrize(
    ("labels", "remedy"),
    [
        (np.arange(19), "one label for each image"),
        (np.array(3), "one label for each image"),
        (np.arange(20.0), "labels.astype('int64')"),
        (np.arange(20) > 9, "labels.astype('int64')"),
        (np.arange(20)[:, np.newaxis], "labels[:, 0]"),
        (np.eye(20), "labels.argmax(axis=1)"),
        (np.arange(20) - 1, "renumber values -1..18"),
        (np.arange(20, dtype=np.uint64) + 2**63, "renumber values"),
        (np.array([b"cat"] * 20), "labels.astype(str)"),
    ],
)
def test_wrong_labels_are_an_error(tmp_path, labels, remedy):
    for message in (
        error_line(npz(tmp_path, images=some_images(), labels=labels)),
        error_line(some_images(), labels),
    ):
        assert "Expected integer labels of shape (20,)" in message
        assert remedy in message


@pytest.mark.parametrize(
    "labels", [[[1], [1, 2]], [None] * 20, ["cat", 1] * 10 + [None], np.array(["cat", 1] * 10, "O")]
)
def test_labels_of_no_kind_are_an_error(labels):
    assert "Expected integer labels of shape (20,) in labels" in error_line(some_images(), labels)


@pytest.mark.parametrize("kind", [list, tuple, np.array, lambda n: np.array(n, np.uint8)])
def test_labels_of_an_array_go_with_their_images(kind):
    images = some_images()
    data = load(images, kind([*range(10), *range(10)]), size=3)
    assert data.train.labels.dtype == np.int64
    assert data.train.labels.tolist() == [*range(1, 10), *range(1, 10)]
    assert data.test.labels.tolist() == [0, 0]
    assert (data.label_names, data.classes) == (None, 10)


@pytest.mark.parametrize("dtype", [str, object])
def test_strings_are_names_in_natural_order(dtype):
    data = load(some_images(), np.array(["b10", "b9", "a", "b10"] * 5, dtype))
    assert data.label_names == ("a", "b9", "b10")
    assert all(type(name) is str for name in data.label_names)
    assert data.train.labels[:4].tolist() == [1, 0, 2, 2]
    assert data.test.labels.tolist() == [2, 0]


def test_names_in_an_npz_are_numbered_for_both_splits(tmp_path):
    images, names = some_images(), np.array(["cat", "dog"] * 10)
    data = load(npz(tmp_path, x_train=images, y_train=names, x_test=images[:1], y_test=["dog"]))
    assert (data.label_names, data.test.labels.tolist()) == (("cat", "dog"), [1])
    path = npz(tmp_path, x_train=images, y_train=names, x_test=images[:1], y_test=[1])
    assert "received numbers and names" in error_line(path)
    path = npz(tmp_path, x_train=images, x_test=images[:1], y_test=["dog"])
    assert load(path).train.labels is None


@pytest.mark.parametrize("source", ["digits", "."])
def test_labels_of_what_is_no_array_are_an_error(source):
    assert "labels for an array in memory only" in error_line(source, [1, 2])


def test_labels_that_start_at_1_are_reported(tmp_path, caplog):
    labels = np.arange(20) % 4 + 1
    for source in ((some_images(), labels), (npz(tmp_path, images=some_images(), labels=labels),)):
        caplog.clear()
        load(*source)
        (record,) = caplog.records
        assert record.name == "kgen"
        assert "have 1 of its 5 labels, 0: " in record.getMessage()


def test_labels_far_apart_are_reported_in_short(caplog):
    load(some_images(), np.arange(20) * 10**8)
    assert "1899999983 of its 1900000001 labels, 0, 1, 2, 3," in caplog.text
    assert "9 and 1899999973 more: " in caplog.text


def test_labels_without_gaps_are_not_reported(caplog):
    load(some_images(), np.arange(20) % 4)
    assert caplog.records == []


def test_labels_lost_to_a_limit_are_reported(caplog):
    data = load(some_images(200), np.arange(200) // 10)
    data.limit(150)
    assert caplog.records == []
    few = data.limit(10)
    lost = 20 - len(np.unique(few.train.labels))
    assert f"(limited to 10) have {lost} of its 20 labels" in caplog.text


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
    assert "Expected size to be a positive int or a pair" in error_line("digits", size=size)
