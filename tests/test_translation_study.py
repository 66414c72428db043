"""The study of translation scores a Fader network by a classifier, a probe and its error."""

import json
import types

import numpy as np
import pytest

import kgen
from benchmarks.studies import translation as study
from kgen import encoders

DATA = kgen.data.load("digits")


class Translator:
    """Shows an image of the asked class, or leaves images as they are."""

    classes, adversarial_weight = 10, 0.01

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


def test_the_error_is_that_of_values_from_minus_1_to_1():
    black, white = np.zeros((2, 4, 4, 1), "uint8"), np.full((2, 4, 4, 1), 16, "uint8")
    assert study.squared_error(black, white, 17) == pytest.approx(4.0)
    assert study.squared_error(white, white, 17) == 0.0


def test_the_picture_shows_each_image_and_its_translations():
    assert study.picture(Translator(obeys=True), DATA).shape == (8, 11, 8, 8, 1)
