"""The study of codes scores the categories of an InfoGAN against labels."""

import json

import numpy as np
from sklearn.metrics import normalized_mutual_info_score

import kgen
from benchmarks.studies import codes as study


class Encoder:
    """Gives as category the class that each label is mapped to."""

    def __init__(self, categories):
        self.categories = categories

    def encode(self, images):
        return {"category": np.eye(10)[self.categories]}


def scored(monkeypatch, folder, categories):
    (folder / "run.json").write_text(json.dumps({"seed": 3, "trained_epochs": 2}))
    monkeypatch.setattr(study.kgen, "load", lambda path: Encoder(categories))
    return study.scores(folder, kgen.data.load("digits"))


def test_renamed_classes_have_the_best_scores(monkeypatch, tmp_path):
    labels = kgen.data.load("digits").test.labels
    found = scored(monkeypatch, tmp_path, np.roll(np.arange(10), 4)[labels])
    assert found["accuracy"] == 1.0
    assert abs(found["nmi"] - 1.0) < 1e-9
    assert (found["run"], found["seed"], found["epochs"]) == (tmp_path.name, 3, 2)


def test_classes_that_fall_together_are_scored_as_scikit_learn_does(monkeypatch, tmp_path):
    labels = kgen.data.load("digits").test.labels
    found = scored(monkeypatch, tmp_path, labels // 2)
    assert found["accuracy"] < 0.6
    expected = normalized_mutual_info_score(labels, labels // 2)
    assert abs(found["nmi"] - expected) < 1e-6


def test_runs_are_summed_up_by_median_and_best():
    cases = [{"accuracy": a, "nmi": n} for a, n in ((0.5, 0.3), (0.9, 0.2), (0.7, 0.9))]
    assert study.summary(cases) == {
        "median": {"accuracy": 0.7, "nmi": 0.3},
        "best": {"accuracy": 0.9, "nmi": 0.9},
    }
