"""Named sets, arrays and what every set has in common."""

import functools
import gzip
import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgen.data import Split, formats, load, names
from kgen.data.splits import hold_out
from kgen.errors import KgenError

light = settings(max_examples=25, deadline=None)


@functools.cache
def real(name, load_as=None):
    """A set from KGEN_DATA_DIR; without it the test is skipped, as no test downloads a set."""
    root = os.environ.get("KGEN_DATA_DIR")
    if not root:  # as on a user's machine; what needs no files is tested on files made here
        pytest.skip("KGEN_DATA_DIR is not set, so that no real files are at hand")
    if not (Path(root) / name).is_dir():
        pytest.skip(f"KGEN_DATA_DIR has no folder {name}")  # it may hold some of the sets
    return load(load_as or name)


def error_line(*args, **kwargs):
    """The message of the error that `load` raises; it must be one line."""
    with pytest.raises(KgenError) as caught:
        load(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


def some_images(n=20, height=4, width=5, channels=1):
    shape = (n, height, width, channels)
    return np.random.default_rng(n).integers(0, 256, shape, dtype=np.uint8)


def has_all_classes(split):
    return set(split.labels.tolist()) == set(range(10))


def is_conventional(data):
    for split in (data.train, data.test):
        assert split.images.dtype == np.uint8
        assert split.images.shape[1:] == data.image_shape
        assert split.images.max() == data.levels - 1
        assert split.labels is None or split.labels.dtype == np.int64
        assert split.labels is None or split.labels.shape == (len(split),)
    assert data.source
    assert data.licence
    return re.fullmatch("[0-9a-f]{64}", data.checksum) is not None


def test_digits_are_the_default_and_need_no_files(monkeypatch):
    monkeypatch.delenv("KGEN_DATA_DIR", raising=False)
    data = load()
    assert (data.name, data.levels, data.image_shape) == ("digits", 17, (8, 8, 1))
    assert (len(data.train), len(data.test)) == (1438, 359)
    assert is_conventional(data)


def test_digits_are_scikit_learns_each_in_one_split():
    from sklearn.datasets import load_digits

    data = load("digits")
    ours = np.concatenate([data.train.images, data.test.images]).reshape(-1, 64)
    theirs = load_digits().data
    assert sorted(map(tuple, ours.tolist())) == sorted(map(tuple, theirs.astype(int).tolist()))


def test_digits_split_is_the_same_each_time_and_has_every_class():
    first, second = load("digits"), load("digits")
    assert first.checksum == second.checksum
    assert has_all_classes(first.train)
    assert np.bincount(first.test.labels).min() >= 25


@pytest.mark.parametrize(
    ("name", "sizes", "shape", "levels"),
    [
        ("mnist", (60_000, 10_000), (28, 28, 1), 256),
        ("fashion_mnist", (60_000, 10_000), (28, 28, 1), 256),
        ("binarized_mnist", (50_000, 10_000), (28, 28, 1), 2),
    ],
)
def test_real_set_has_its_published_size(name, sizes, shape, levels):
    data = real(name)
    assert (len(data.train), len(data.test)) == sizes
    assert (data.image_shape, data.levels) == (shape, levels)
    assert is_conventional(data)


def test_mnist_begins_with_its_well_known_labels():
    data = real("mnist")
    assert data.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert data.test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_cifar10_subset_says_that_it_is_one():
    data = real("cifar10")
    if len(data.train) != 10_000:  # of the whole set there is nothing to say
        pytest.skip("KGEN_DATA_DIR has the whole of CIFAR-10")
    assert "subset" in data.source
    assert "not comparable" in data.source
    assert data.label_names[data.train.labels[0]] == "frog"
    assert is_conventional(data)


def test_packed_binarized_mnist_as_text_is_the_published_file():
    from kgen.data.named import SETS

    images = real("binarized_mnist").test.images.reshape(-1, 784)
    text = np.full((len(images), 2 * 784), ord(" "), np.uint8)
    text[:, ::2] = images + ord("0")
    text[:, -1] = ord("\n")
    published = SETS["binarized_mnist"].sources[0].files["binarized_mnist_test.amat"]
    assert hashlib.sha256(text).hexdigest() == published


def test_idx_files_are_read(tmp_path):
    images, labels = some_images(6, 3, 2)[..., 0], np.arange(6, dtype=np.uint8)
    for part in ("train", "t10k"):
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">i4").tobytes()
            content = gzip.compress(header + values.tobytes())
            (tmp_path / f"{part}-{kind}-ubyte.gz").write_bytes(content)
    train, _ = formats.read_idx_files(tmp_path)
    assert np.array_equal(train.images, images[..., np.newaxis])
    assert np.array_equal(train.labels, labels)


def test_amat_text_is_read(tmp_path):
    bits = np.random.default_rng(0).integers(0, 2, (3, 784))
    for number, part in enumerate(("train", "test", "valid")):
        np.savetxt(tmp_path / f"binarized_mnist_{part}.amat", bits[number:], fmt="%d")
    for number, split in enumerate(formats.read_amat_files(tmp_path)):
        assert np.array_equal(split.images, bits[number:].reshape(-1, 28, 28, 1))


def test_cifar_archive_is_read_in_the_order_of_its_batches(tmp_path):
    planes = some_images(6, 3, 32 * 32)[..., 0].reshape(6, 3, 32, 32)
    parts = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for label, part in reversed(list(enumerate(parts))):
            content = bytes([label]) + planes[label].tobytes()
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{part}.bin")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    train, test = formats.read_cifar_archive(tmp_path)
    assert train.labels.tolist() == [0, 1, 2, 3, 4]
    assert np.array_equal(train.images, planes[:5].transpose(0, 2, 3, 1))
    assert np.array_equal(test.images, planes[5:].transpose(0, 2, 3, 1))


def test_names_are_described_in_one_line():
    images = ["digits", "mnist", "fashion_mnist", "binarized_mnist", "cifar10"]
    others = ["placed_digits", "emoji", "wordnet_examples", "rings", "moons"]
    assert list(names()) == images + others
    assert all(text and "\n" not in text for text in names().values())


@pytest.mark.parametrize("name", ["mnits", "MNIST", "fashionmnist"])
def test_unknown_name_is_answered_with_the_nearest(name):
    message = error_line(name)
    assert "did you mean" in message
    assert all(known in message for known in names())


def test_source_of_another_type_is_an_error():
    assert "received list" in error_line([1, 2, 3])


@light
@given(n=st.integers(2, 60))
def test_hold_out_parts_the_set_and_takes_every_tenth(n):
    labels = np.arange(n)
    train, test = hold_out(Split(np.zeros((n, 1, 1, 1), np.uint8), labels), "set")
    assert test.labels.tolist() == list(range(0, n, 10))
    assert sorted([*train.labels, *test.labels]) == labels.tolist()


@light
@given(n=st.integers(1, 70))
def test_limit_keeps_images_with_their_labels(n):
    images = np.arange(50, dtype=np.uint8).reshape(50, 1, 1, 1)
    split = Split(images, np.arange(50)).limit(n)
    assert len(split) == min(n, 50)
    assert split.images.ravel().tolist() == split.labels.tolist()
    assert len(set(split.labels.tolist())) == len(split)


def test_limit_draws_at_random_and_always_the_same():
    split = Split(np.zeros((100, 1, 1, 1), np.uint8), np.repeat(np.arange(10), 10))
    assert len(set(split.limit(20).labels.tolist())) > 5
    assert np.array_equal(split.limit(20).labels, split.limit(20).labels)


def test_limit_applies_to_both_splits_and_is_noted():
    data = load("digits").limit(30)
    assert (len(data.train), len(data.test)) == (30, 30)
    assert "at most 30 images" in data.source
    assert data.checksum != load("digits").checksum


def test_limit_below_one_is_an_error():
    with pytest.raises(KgenError, match="at least 1 image, received 0"):
        load("digits").limit(0)


def test_checksum_tells_pixels_labels_and_shapes_apart():
    images = some_images()
    assert load(images).checksum == load(images.copy()).checksum
    others = [images[::-1], images.reshape(20, 5, 4, 1), images[:, :, :, [0, 0, 0]]]
    assert len({load(other).checksum for other in (images, *others)}) == 4


def test_repr_shows_shapes_not_pixels():
    assert "<Split of labelled images (359, 8, 8, 1)>" in repr(load("digits"))
    images = load("digits", binarize="dynamic").train.images
    assert repr(images) == "DynamicallyBinarized(shape=(1438, 8, 8, 1), levels=17, seed=0)"


def test_import_is_light():
    code = "import sys, kgen.data; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"keras", "tensorflow", "jax", "torch", "sklearn", "PIL", "pooch", "tqdm", "requests"}
    assert heavy.isdisjoint(modules)
