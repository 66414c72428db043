"""Source images for translation from image to image, and what stands behind a colon."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from test_data import error_line, real, some_images

from kgen.data import is_named, load
from kgen.data.pairs import edges, hidden, luma, small
from kgen.errors import KgenError
from kgen.spaces import Labels, Pixels

light = settings(max_examples=25, deadline=None)
sizes = st.tuples(
    st.integers(1, 4), st.integers(2, 11), st.integers(2, 11), st.sampled_from([1, 3])
)


def random_images(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def by_pillow(image):
    return np.asarray(Image.fromarray(image).convert("L"))


@light
@given(sizes, st.integers(0, 1000))
def test_edges_are_scipys_steepest_fifth(shape, seed):
    images = random_images(shape, seed)
    for image, found in zip(images, edges(images), strict=True):
        grey = image[..., 0] if shape[-1] == 1 else by_pillow(image)
        squared = sum(ndimage.sobel(grey.astype(np.int64), axis) ** 2 for axis in (0, 1))
        steepest = np.sort(squared.ravel())[::-1]
        fewest = max(1, int(np.floor(0.2 * (squared.size - 1))))
        assert found.sum() >= min(fewest, np.count_nonzero(squared))
        assert np.array_equal(found[..., 0] == 1, squared >= steepest[found.sum() - 1])


def test_edges_of_a_square_are_its_border():
    image = np.zeros((1, 12, 12, 1), np.uint8)
    image[:, 4:8, 4:8] = 9
    found = edges(image)[0, ..., 0]
    border = np.ones((12, 12), bool)
    border[3:9, 3:9] = False
    border[5:7, 5:7] = True
    assert not found[border].any()
    assert found[3, 5] == found[4, 5] == found[7, 6] == found[8, 6] == 1


def test_flat_images_have_no_edges():
    assert not edges(np.full((2, 6, 6, 3), 77, np.uint8)).any()


def test_gray_is_pillows_luma_at_any_number_of_levels():
    images = random_images((5, 7, 6, 3))
    assert np.array_equal(luma(images)[..., 0], np.stack(list(map(by_pillow, images))))
    assert luma(np.full((1, 1, 1, 3), 4, np.uint8)).ravel().tolist() == [4]


@light
@given(sizes)
def test_small_is_the_mean_of_blocks(shape):
    images = random_images(shape)
    found = small(images)
    assert (found.shape, found.dtype) == (images.shape, images.dtype)
    for row, column in ((0, 0), (shape[1] - 1, shape[2] - 1)):
        rows, columns = (slice(at - at % 4, at - at % 4 + 4) for at in (row, column))
        mean = images[:, rows, columns].mean(axis=(1, 2))
        assert np.abs(found[:, row, column] - mean).max() <= 0.5
        assert (found[:, rows, columns] == found[:, row : row + 1, column : column + 1]).all()


def test_hidden_keeps_the_upper_half():
    images = random_images((3, 5, 4, 1)) | 1
    assert np.array_equal(hidden(images)[:, :3], images[:, :3])
    assert not hidden(images)[:, 3:].any()
    assert images.all()


@pytest.mark.parametrize(
    ("kind", "space"),
    [
        ("edges", Pixels((4, 5, 1), 2)),
        ("gray", Pixels((4, 5, 1))),
        ("small", Pixels((4, 5, 3))),
        ("hidden", Pixels((4, 5, 3))),
    ],
)
def test_pairs_keep_the_images_and_give_their_source(tmp_path, kind, space):
    images = random_images((20, 4, 5, 3))
    np.savez(tmp_path / "own.npz", x_train=images, y_train=np.arange(20) % 2)
    whole, pairs = load(tmp_path / "own.npz"), load(f"{tmp_path}/own.npz:{kind}")
    assert np.array_equal(pairs.train.x, whole.train.x)
    assert (pairs.space, pairs.condition_space) == (Pixels((4, 5, 3)), space)
    assert space.check(pairs.train.condition, 18) is pairs.train.condition
    assert (pairs.label_names, pairs.classes, pairs.train.labels) == (None, 0, None)
    assert pairs.checksum == whole.pairs(kind).checksum != whole.checksum
    assert f"its {kind} as source images" in pairs.source


def test_images_are_brought_to_size_before_they_are_derived():
    data = load("digits:hidden", size=6, mode="rgb")
    assert np.array_equal(data.test.condition[:, :3], data.test.x[:, :3])
    assert data.condition_space == Pixels((6, 6, 3), 17)


@pytest.mark.parametrize("how", ["static", "dynamic"])
def test_binarisation_behind_a_colon_is_that_of_the_argument(how):
    derived, argument = load(f"digits:{how}"), load("digits", binarize=how)
    assert (derived.checksum, derived.source) == (argument.checksum, argument.source)
    assert type(derived.train.x) is type(argument.train.x)
    assert (derived.name, derived.condition_space) == ("digits", Labels(10))


def test_derivations_follow_each_other():
    binary = load("digits:static:edges")
    assert (binary.space.levels, binary.condition_space.levels) == (2, 2)
    assert np.array_equal(binary.train.condition, edges(binary.train.x))


def test_a_path_that_exists_whole_wins(tmp_path):
    for folder, shape in (("photos", (2, 2)), ("photos:edges", (3, 3))):
        (tmp_path / folder).mkdir()
        for name in ("a.png", "b.png"):
            Image.new("L", shape).save(tmp_path / folder / name)
    assert load(tmp_path / "photos:edges").image_shape == (3, 3, 1)
    assert load(f"{tmp_path}/photos:edges:edges").condition_space == Pixels((3, 3, 1), 2)
    assert load(f"{tmp_path}/photos:hidden").image_shape == (2, 2, 1)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("digits:edge", "one of edges, gray, small, hidden, dynamic, static after the colon"),
        ("digits:", "received ''"),
        ("digits:labels", "received 'labels'"),
        ("digit:edges", "did you mean 'digits'"),
        ("digits:gray", "images in colour for pairs of kind gray"),
        ("digits:dynamic:edges", "fixed images"),
        ("digits:static:static", "binary already"),
        ("rings:edges", "Expected images for pairs, received the vectors of rings"),
        ("emoji:large", "labels, edges, gray"),
        ("./digits:edges", "Expected a known set or an existing path, received './digits:edges': "),
    ],
)
def test_what_cannot_be_derived_is_an_error(source, words):
    assert words in error_line(source)


def test_pairs_of_another_kind_are_an_error():
    with pytest.raises(KgenError, match="Expected one of edges, gray, small, hidden for pairs"):
        load(some_images()).pairs("sketch")


def test_a_path_object_is_never_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("digits").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("L", (2, 2)).save(Path("digits", name))
    assert load(Path("digits:hidden")).image_shape == (2, 2, 1)
    assert load("digits:hidden").image_shape == (8, 8, 1)
    assert not is_named(Path("digits"))


def test_named_sets_are_told_from_paths():
    assert all(map(is_named, ("mnist", "mnist:edges", "placed_digits:64:attributes", "emoji:gray")))
    assert not any(map(is_named, ("photos", "./mnist", "mnist:labels", "photos:edges", "mnist:")))


def test_clothes_have_outlines():
    """A fifth of the pixels at most, but for ties, and on the border of what is worn."""
    data = real("fashion_mnist").limit(200).pairs("edges")
    share = data.test.condition.mean(axis=(1, 2, 3))
    assert 0.1 < share.min() <= share.max() < 0.25
