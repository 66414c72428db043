"""The study of translation scores a Fader network by a classifier, a probe and its error."""

import json
import types

import numpy as np
import pytest

import kgen
from benchmarks.studies import translation as study
from kgen import encoders
from kgen.data.placed_digits import ATTRIBUTES as PLACED_ATTRIBUTES

DATA = kgen.data.load("digits")


class Translator:
    """Shows an image of the asked class, or leaves images as they are."""

    classes, attributes, adversarial_weight = 10, (), 0.01

    def __init__(self, obeys):
        self.obeys = obeys

    def translate(self, images, labels):
        first = [np.flatnonzero(DATA.train.labels == label)[0] for label in range(10)]
        return DATA.train.images[first][labels] if self.obeys else images

    def reconstruct(self, images, labels):
        return np.clip(np.asarray(images).astype("int32") + 1, 0, 16).astype("uint8")


def scored(monkeypatch, folder, model):
    (folder / "run.json").write_text(json.dumps({"trained_epochs": 2}))
    monkeypatch.setattr(study.kgen, "load", lambda path: model)
    probe = types.SimpleNamespace(accuracy=0.25)
    monkeypatch.setattr(study, "linear_probe", lambda model, train, test: probe)
    return study.scores(folder, DATA, 200, encoders.frozen_classifier(DATA))


def test_a_model_that_obeys_is_told_from_one_that_does_not(monkeypatch, tmp_path):
    obeying = scored(monkeypatch, tmp_path, Translator(obeys=True))
    assert obeying["asked"] > 0.9
    assert (obeying["probe"], obeying["epochs"]) == (0.25, 2)
    assert scored(monkeypatch, tmp_path, Translator(obeys=False))["asked"] < 0.05


class AttributeTranslator:
    """Draws whatever attributes ask for: an image of the set that has them."""

    attributes, adversarial_weight = PLACED_ATTRIBUTES, 0.01

    def __init__(self, split):
        self.images = {one.tobytes(): x for x, one in zip(split.x, split.condition, strict=True)}

    def translate(self, images, attributes):
        return np.stack([self.images[one.tobytes()] for one in attributes])


def test_attributes_are_read_back_kind_by_kind():
    data = kgen.data.load("placed_digits:attributes")
    test = data.test.limit(100)
    digits = study.said_by(study.others_of(test))["digit"]
    knowing = types.SimpleNamespace(probabilities=lambda images: np.eye(10)[digits])
    obeying = AttributeTranslator(test)
    found = study.of_attributes(obeying, data, test, knowing, seed=0)
    assert set(found) == {"asked", "colour", "size", "place", "background"}
    assert min(found.values()) > 0.98
    obeying.translate = lambda images, attributes: images
    found = study.of_attributes(obeying, data, test, knowing, seed=0)
    assert max(found[name] for name in ("colour", "place", "background")) < 0.5


def test_the_error_is_that_of_values_from_minus_1_to_1():
    black, white = np.zeros((2, 4, 4, 1), "uint8"), np.full((2, 4, 4, 1), 16, "uint8")
    assert study.squared_error(black, white, 17) == pytest.approx(4.0)
    assert study.squared_error(white, white, 17) == 0.0


def test_the_picture_shows_each_image_and_its_translations():
    assert study.picture(Translator(obeys=True), DATA).shape == (8, 11, 8, 8, 1)
