"""`kgen.fit --model module:Class`: runs of a model of the user's own, whose code only they name."""

import json
import shutil
import sys

import pytest

import kgen
from kgen import cli, evaluate, fit, sample
from kgen.models import REGISTRY

MODULE = '''
from pathlib import Path

import keras
import numpy as np
from keras import ops

import kgen

Path("was-imported").write_text("")


class Mean(kgen.ImageModel):
    """The mean image."""

    def __init__(self, image_shape, levels, start: float = 0.0, **kwargs):
        super().__init__(image_shape, levels, **kwargs)
        self.start = start
        self.mean = self.add_weight(shape=self.image_shape, initializer="zeros", name="mean")

    def recommended_optimizer(self):
        return keras.optimizers.SGD(0.1)

    def objective(self, images, condition, training):
        difference = self.mean - ops.mean(self.scale(images), axis=0)
        return ops.sum(difference**2), {}

    def sample(self, count=None, condition=None, seed=None):
        image = ops.convert_to_numpy(self.to_levels(self.mean[None]))
        return np.repeat(image, count, axis=0)


class Shapeless(kgen.ImageModel):
    def __init__(self, units=8):
        super().__init__((8, 8, 1), 17)


class Closed(kgen.ImageModel):
    def __init__(self, image_shape, levels):
        super().__init__(image_shape, levels)


class NoModel:
    pass
'''
START = ["--limit", "64", "--batch-size", "32", "--epochs", "1"]
OWN = ["--model", "own_models:Mean"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The user's: its modules can be imported, as `python -m` would, and no other process did."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_models.py").write_text(MODULE)
    monkeypatch.setattr("kgen.models.REGISTRY", dict(REGISTRY))
    yield tmp_path
    sys.modules.pop("own_models", None)


def forget(folder, monkeypatch):
    """As in a new process."""
    sys.modules.pop("own_models", None)
    monkeypatch.setattr("kgen.models.REGISTRY", dict(REGISTRY))
    (folder / "was-imported").unlink()


def refused(main, arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.run(main, arguments)
    assert stop.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("kgen: ")
    return error


def test_a_run_is_continued_sampled_and_evaluated_by_who_names_its_class(
    folder, monkeypatch, capsys
):
    fit.main([*START, *OWN, "--set", "start=1"])
    assert "--out runs/Mean-digits/grid.png --model own_models:Mean" in capsys.readouterr().out
    record = json.loads((folder / "runs/Mean-digits/run.json").read_text())
    assert (record["model"], record["settings"]) == ("own_models:Mean", {"start": 1.0})

    forget(folder, monkeypatch)
    fit.main(["--resume", "runs/Mean-digits", "--epochs", "2", *OWN])
    assert "own_models:Mean on digits: 2 epochs" in capsys.readouterr().out
    assert len((folder / "runs/Mean-digits/history.csv").read_text().splitlines()) == 3

    forget(folder, monkeypatch)
    sample.main(["runs/Mean-digits", "-n", "2", "--out", "two.npy", *OWN])
    assert (folder / "two.npy").is_file()

    forget(folder, monkeypatch)
    evaluate.main(["runs/Mean-digits", "--samples", "12", "--json", "figures.json", *OWN])
    assert json.loads((folder / "figures.json").read_text())["runs/Mean-digits"]["rows"]["samples"]


def test_a_file_that_names_code_runs_none(folder, monkeypatch, capsys):
    fit.main([*START, *OWN])
    forget(folder, monkeypatch)
    run = "runs/Mean-digits"
    for main, arguments in ((fit.main, ["--resume", run]), (sample.main, [run])):
        error = refused(main, arguments, capsys)
        assert "--model own_models:Mean" in error
    assert "--model own_models:Mean" in refused(evaluate.main, [run], capsys)
    with pytest.raises(kgen.KgenError, match=r"kgen.models.register\('own_models:Mean'"):
        kgen.load(f"{run}/model")
    # Nor does naming one class run, or load, another that the file names.
    (folder / "other_models.py").write_text(MODULE)
    path = folder / run / "model" / "model.json"
    path.write_text(path.read_text().replace("own_models:Mean", "other_models:Mean"))
    (path.parent / "checkpoint.json").unlink()  # which knows its checksum
    shutil.rmtree(folder / run / "checkpoints")
    assert "other_models:Mean" in refused(sample.main, [run, *OWN], capsys)
    assert "other_models" not in sys.modules
    (folder / "was-imported").unlink()
    again = ["--resume", run, "--epochs", "2", "--model", "other_models:Mean"]
    assert "own_models:Mean that runs/Mean-digits began with" in refused(fit.main, again, capsys)
    assert not (folder / "was-imported").exists()


def test_naming_a_class_that_no_run_is_of_is_refused(folder, capsys):
    fit.main([*START, "--set", "hidden=(8,)"])
    error = refused(sample.main, ["runs/vae-digits", *OWN], capsys)
    assert "leave --model out" in error
    error = refused(sample.main, ["runs/vae-digits", "--model", "vae"], capsys)
    assert "a run knows which model" in error
    error = refused(fit.main, ["--resume", "runs/vae-digits", "--epochs", "2", *OWN], capsys)
    assert "the model vae" in error


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("own_model:Mean", "write own_model.py"),
        ("own_models:Meen", "name one of Mean, Shapeless, Closed"),
        ("own_models:NoModel", "to be a kgen.GenerativeModel"),
        ("own_models:Shapeless", "without image_shape, levels, **kwargs: add them"),
        ("own_models:Closed", "without **kwargs: add them"),
        (":Mean", "as module:Class"),
        ("own_models:", "as module:Class"),
        ("own_models:Mean()", "as module:Class"),
    ],
)
def test_what_cannot_be_had_is_one_line_and_no_run(folder, place, words, capsys):
    assert words in refused(fit.main, [*START, "--model", place], capsys)
    assert not (folder / "runs").exists()


def test_what_a_module_of_ones_own_lacks_is_shown_as_it_is(folder):
    (folder / "own_models.py").write_text("import nowhere_to_be_found")
    with pytest.raises(ModuleNotFoundError, match="nowhere_to_be_found"):
        fit.main([*START, *OWN])
