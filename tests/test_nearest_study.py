"""The study of nearest training images tells copies, and their captions, from new images."""

import numpy as np
import pytest

from benchmarks import table
from benchmarks.studies import nearest as study
from kgen.data.dataset import Dataset
from kgen.data.splits import Split
from kgen.spaces import Pixels, Tokens

CAPTIONS = ("a red dot", "a blue dot", "a red bar", "a blue bar")


def captioned():
    """Four training images and three test images of noise, with captions."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (7, 4, 4, 3)).astype("uint8")
    space = Tokens.of(CAPTIONS)
    given = space.encode([*CAPTIONS, *CAPTIONS[:3]])
    parts = {"train": Split(images[:4], given[:4]), "test": Split(images[4:], given[4:])}
    settings = {"name": "dots", "source": "", "licence": "", "condition_space": space}
    return Dataset(space=Pixels((4, 4, 3)), **settings, **parts)


def test_distances_are_root_mean_squares_in_parts_of_the_range():
    black, grey = np.zeros((1, 4, 4, 3), "uint8"), np.full((1, 4, 4, 3), 51, "uint8")
    distance = np.linalg.norm(study.flat(black, 256) - study.flat(grey, 256))
    assert distance == pytest.approx(0.2)


def test_copies_are_found_with_their_captions():
    data = captioned()
    case, nearest = study.case_of("copies", data.train.x, data.train.condition, data)
    assert nearest.tolist() == [0, 1, 2, 3]
    assert (case["distance"], case["copies"], case["named"]) == (0.0, 1.0, 1.0)
    swapped = data.train.condition[[1, 0, 2, 3]]
    assert study.case_of("swapped", data.train.x, swapped, data)[0]["named"] == 0.5


def test_new_images_are_as_far_as_test_images():
    data = captioned()
    case, _ = study.case_of("new", data.test.x, data.test.condition, data)
    assert case["distance"] == case["test_distance"] > 0.0
    assert case["copies"] == pytest.approx(1 / 3)  # one of three lies below their 1st percentile


def test_the_data_of_a_run_have_its_size():
    assert table.loaded_data({"options": {"data": "digits", "size": 4}}).image_shape == (4, 4, 1)
    assert table.loaded_data({"data": {"name": "digits"}}).image_shape == (8, 8, 1)
