"""What the folders in a folder mean: splits, wrapping folders, labels in natural order."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_data import error_line

from kgen.data import load
from kgen.data.labels import natural
from kgen.data.layout import layout
from kgen.errors import KgenError

light = settings(max_examples=25, deadline=None)


def write(folder, **values):
    """One grey image of 1x1 pixels for each value: `write(folder, a=1)` is folder/a.png."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        Image.new("L", (1, 1), value).save(folder / f"{name}.png")


def values(split):
    return split.images.ravel().tolist()


@pytest.mark.parametrize(
    ("train", "test"),
    [("train", "test"), ("Train", "TEST"), ("training", "testing"), ("train", "val")],
)
def test_folders_named_so_are_the_splits(tmp_path, train, test):
    write(tmp_path / train / "dogs", a=1, b=2)
    write(tmp_path / train / "cats", a=3)
    write(tmp_path / test / "cats", c=4)
    write(tmp_path / test / "dogs", a=255)
    data = load(tmp_path)
    assert (values(data.train), values(data.test)) == ([3, 1, 2], [4, 255])
    assert data.label_names == ("cats", "dogs")
    assert (data.train.labels.tolist(), data.test.labels.tolist()) == ([0, 1, 1], [0, 1])
    assert f"its folder {train} for training and {test} for testing" in data.source


def test_every_label_may_have_its_own_splits(tmp_path):
    write(tmp_path / "cats" / "train", a=3)
    write(tmp_path / "cats" / "test", a=4)
    write(tmp_path / "dogs" / "train", a=1, b=200)
    data = load(tmp_path)
    assert (values(data.train), values(data.test)) == ([3, 1, 200], [4])
    assert data.train.labels.tolist() == [0, 1, 1]
    assert (data.test.labels.tolist(), data.label_names) == ([0], ("cats", "dogs"))


@pytest.mark.parametrize("val", ["val", "Valid", "validation"])
def test_a_third_folder_of_that_name_holds_the_validation_images(tmp_path, val):
    for split, value in (("train", 200), ("test", 2), (val, 3)):
        write(tmp_path / split, a=value)
    data = load(tmp_path)
    assert [values(data.splits[split]) for split in ("train", "test", "validation")] == [
        [200],
        [2],
        [3],
    ]
    assert (data.train.labels, data.label_names) == (None, None)
    assert f"train for training and test for testing, {val} for validation" in data.source
    assert values(data.with_validation().validation) == [3]


def test_labels_of_validation_images_are_numbered_with_the_others(tmp_path):
    write(tmp_path / "train" / "cats", a=200)
    write(tmp_path / "train" / "dogs", a=2)
    write(tmp_path / "test" / "dogs", a=3)
    write(tmp_path / "val" / "birds", a=4)
    data = load(tmp_path)
    assert data.label_names == ("birds", "cats", "dogs")
    labels = [split.labels.tolist() for split in data.splits.values()]
    assert labels == [[1, 2], [2], [0]]


@pytest.mark.parametrize("wrapping", ["all-my-images", "data/flowers", "train", "2"])
def test_a_folder_that_holds_all_images_is_no_label(tmp_path, wrapping):
    write(tmp_path / wrapping, a=200, b=1)
    assert load(tmp_path).label_names is None
    write(tmp_path / wrapping / "rose", a=200, b=1)
    write(tmp_path / wrapping / "tulip", a=3)
    (tmp_path / "empty").mkdir()
    for name in ("a", "b"):
        (tmp_path / wrapping / f"{name}.png").unlink()
    data = load(tmp_path)
    assert data.label_names == ("rose", "tulip")
    assert (values(data.train), data.train.labels.tolist()) == ([1, 3], [0, 1])


def test_folders_around_and_in_splits_are_no_labels(tmp_path):
    write(tmp_path / "data" / "train" / "images", a=200)
    write(tmp_path / "data" / "test" / "pictures", a=2)
    data = load(tmp_path)
    assert (values(data.train), values(data.test), data.label_names) == ([200], [2], None)


def test_one_class_beside_several_is_a_label(tmp_path, caplog):
    write(tmp_path / "train" / "good", a=200)
    write(tmp_path / "test" / "good", a=1)
    write(tmp_path / "test" / "broken", a=2)
    data = load(tmp_path)
    assert data.label_names == ("broken", "good")
    assert (data.train.labels.tolist(), data.test.labels.tolist()) == ([1], [0, 1])
    assert "have 1 of its 2 labels, broken" in caplog.text


def test_a_split_without_another_is_a_label(tmp_path):
    for name in ("bus", "car", "train"):
        write(tmp_path / name, a=200, b=1)
    assert load(tmp_path).label_names == ("bus", "car", "train")


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (["train", "test", "extra"], "received images in test, train, extra"),
        (["train", "test", "."], "received images in test, train, a.png"),
        (["val", "test"], "received images in test, val:"),
        (["train", "training", "test"], "Expected one folder for each split"),
        (["train/cats", "train/dogs", "test"], "test/a.png beside sub-folders"),
        (["train", "test/cats", "test/dogs"], "train/a.png beside sub-folders"),
    ],
)
def test_splits_that_do_not_go_together_are_an_error(tmp_path, folders, expected):
    for folder in folders:
        write(tmp_path / folder, a=200)
    assert expected in error_line(tmp_path)


def test_folders_and_files_are_in_natural_order(tmp_path):
    for label in range(12):
        write(tmp_path / str(label), **{str(number): 20 * label + number for number in range(12)})
    data = load(tmp_path)
    assert data.label_names == tuple(map(str, range(12)))
    every = [20 * label + number for label in range(12) for number in range(12)]
    assert values(data.test) == every[::10]
    del every[::10]
    assert values(data.train) == every
    assert data.train.labels.tolist() == [value // 20 for value in every]


def test_a_class_whose_only_image_is_held_out_is_named(tmp_path, caplog):
    write(tmp_path / "first", a=200)
    write(tmp_path / "second", a=1, b=2)
    load(tmp_path)
    (record,) = caplog.records
    assert "have 1 of its 2 labels, first:" in record.getMessage()
    assert "\n" not in record.getMessage()


names = st.text(alphabet="ab01.é² ", min_size=1, max_size=6)


@light
@given(st.lists(st.integers(0, 10**30), unique=True), names.filter(lambda name: name[-1] > "1"))
def test_numbers_in_names_are_in_their_order(numbers, prefix):
    ordered = sorted((f"{prefix}{number}.png" for number in numbers), key=natural)
    assert ordered == [f"{prefix}{number}.png" for number in sorted(numbers)]


@light
@given(st.lists(names, unique=True).flatmap(lambda n: st.tuples(st.just(n), st.permutations(n))))
def test_natural_order_is_one_whatever_order_was_found(found):
    first, second = found
    assert sorted(first, key=natural) == sorted(second, key=natural)


folder_names = st.sampled_from(["train", "test", "val", "Train", "cats", "dogs", "2", "10"])
trees = st.sets(st.lists(folder_names, max_size=3).map(tuple), min_size=1, max_size=6)


@light
@given(trees, st.integers(1, 12))
def test_no_image_is_in_two_splits_and_none_is_lost(folders, files):
    root = Path("root")
    paths = [root.joinpath(*f, f"{number}.png") for f in folders for number in range(files)]
    try:
        found = layout(root, paths)
    except KgenError:  # folders that do not go together
        return
    assert sorted(found.paths) == sorted(paths)
    assert sum(found.counts) == len(paths)
    assert min(found.counts) > 0
    if found.labels is not None:
        assert np.unique(found.labels).tolist() == list(range(len(found.label_names)))
        named = [found.label_names[label] for label in found.labels]
        assert all(n in path.parts for n, path in zip(named, found.paths, strict=True))
