"""The study of the GANs' options compares runs by what `--set` said, seed by seed."""

import json
import types

import pytest

import kgen
from benchmarks.studies import gan_options as study


def case(option, seed, distance, precision=0.5, recall=0.5):
    return {
        **{"run": f"{option}-{seed}", "option": option, "seed": seed},
        "frechet_distance": distance,
        **{"precision": precision, "recall": recall},
    }


def test_an_option_is_what_the_plain_run_was_not_told():
    plain = {"base_channels": 16, "ema": 0.999}
    assert study.option_of(plain, plain) == "plain"
    assert study.option_of(plain | {"r1_weight": 1.0}, plain) == "r1_weight=1.0"


def test_ratios_are_of_equal_seeds():
    cases = [
        *(case("plain", seed, distance) for seed, distance in enumerate((10.0, 20.0, 40.0))),
        *(case("r1", seed, distance, recall=0.7) for seed, distance in enumerate((5.0, 5.0, 30.0))),
    ]
    plain, r1 = study.rows_of(cases)
    assert plain["frechet_distance"] == [20.0, 10.0, 40.0]  # median and range
    assert plain["ratio"] == 1.0
    assert r1["ratio"] == pytest.approx(0.5)  # the median of 0.5, 0.25 and 0.75
    assert (r1["runs"], r1["recall"]) == (["r1-0", "r1-1", "r1-2"], 0.7)
    assert study.as_text(r1).split() == ["r1", "3", "5.0", "[5.0,", "30.0]", "0.50", "0.50", "0.70"]


def run_of(**changes):
    data = {"name": "mnist", "training_images": 54_000}
    plain = {"model": "dcgan", "data": data, "trained_epochs": 8, "seed": 0}
    return plain | {"settings": {}, "options": {"data": "mnist"}} | changes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trained_epochs": 7}, "runs of one number of epochs are compared; received 7, 8"),
        ({"model": "wgan"}, "runs of one model are compared; received dcgan, wgan"),
        (
            {"options": {"data": "mnist", "learning_rate": 1e-3}},
            "runs of one learning rate are compared; received 0.001, None",
        ),
        (
            {"data": {"name": "mnist", "training_images": 10}},
            "runs of one number of training images are compared; received 10, 54000",
        ),
        ({"seed": 2}, "each seed needs a plain run; seeds without one: 2"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(changes, said):
    option = run_of(settings={"r1_weight": 1.0})
    assert study.mistake_in([run_of(), option]) is None
    assert study.mistake_in([run_of(), option | changes]) == said


def test_a_study_of_few_images_has_a_name_of_its_own():
    assert study.name_of(run_of()) == "gan_options-mnist"
    assert study.name_of(run_of(options={"limit": 250})) == "gan_options-mnist-250"


def test_a_run_is_measured_by_its_samples(monkeypatch, tmp_path):
    data = kgen.data.load("digits")
    encoder, count = kgen.encoders.for_data(data), len(data.test)
    reference = kgen.evaluation.Reference(data, encoder, count)
    known = {"settings": {"r1_weight": 1.0}, "seed": 3, "trained_epochs": 5}
    known["data"] = {"training_images": 250}
    (tmp_path / "run.json").write_text(json.dumps(known))
    perfect = types.SimpleNamespace(sample=lambda count, seed: data.test.images[:count])
    monkeypatch.setattr(study.kgen, "load", lambda path: perfect)
    found = study.case_of(tmp_path, {"settings": {}}, reference)
    assert (found["option"], found["seed"], found["trained_epochs"]) == ("r1_weight=1.0", 3, 5)
    assert found["training_images"] == 250
    assert found["frechet_distance"] < 1.0
    assert (found["precision"], found["recall"]) == (1.0, 1.0)
