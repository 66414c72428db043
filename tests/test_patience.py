"""Validation images kept apart, early stopping on them, and the best weights, also when resumed."""

import json
import os
import shutil
import signal
from math import inf, nan

import numpy as np
import pytest
from test_resume import run_and_stop
from toys_of_patience import Passing, PassingTwice

import kgen
from kgen import cli, fit, sample
from kgen.errors import KgenError
from kgen.runs.folder import trained_model
from kgen.runs.patience import best_epoch
from kgen.testing.comparing import array
from kgen.training.callbacks import CallbackList

OWN = ["--model", "toys_of_patience:Passing"]
# 3 steps an epoch, of 32, 32 and 16 images: the best epoch is the third, the last one the fifth.
SIZE = ["--limit", "80", "--batch-size", "32", "--epochs", "9"]
GIVEN = [*SIZE, "--patience", "2", "--checkpoint-every", "2"]

pytestmark = pytest.mark.usefixtures("steps_as_kgen_compiles_them")


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    monkeypatch.setattr(kgen.models, "REGISTRY", dict(kgen.models.REGISTRY))
    for model_class in (Passing, PassingTwice):
        kgen.models.register(f"toys_of_patience:{model_class.__name__}", model_class)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The folder of a run that nobody stopped."""
    folder = tmp_path_factory.mktemp("patience") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kgen.models, "REGISTRY", dict(kgen.models.REGISTRY))
        fit.main([*OWN, *GIVEN, "--out", str(folder)])
    return folder


@pytest.fixture
def run(straight, tmp_path):
    """A run that stopped early, to do things to."""
    shutil.copytree(straight, tmp_path / "run")
    return tmp_path / "run"


def record_of(folder):
    return json.loads((folder / "run.json").read_text())


def change_record(folder, **changes):
    (folder / "run.json").write_text(json.dumps({**record_of(folder), **changes}))


def epochs_of(folder, stage=""):
    return len((folder / f"history{stage}.csv").read_text().splitlines()) - 1


def place(folder):
    return float(array(kgen.load(folder).place.value))


def assert_same(run, other):
    for name in ("history.csv", "model/variables.safetensors"):
        assert (run / name).read_bytes() == (other / name).read_bytes(), name


def refused(arguments, capsys):
    """The one line with which `kgen.fit` refuses."""
    with pytest.raises(SystemExit) as stop:
        cli.run(fit.main, arguments)
    assert stop.value.code == 2
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("kgen: ")]
    return line


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], None), ([nan, inf], None), ([3.0, 1.0, 2.0, 1.0], 2), ([nan, 2.0, -inf], 2)],
)
def test_the_best_epoch_is_the_first_of_the_lowest_finite_values(values, expected):
    assert best_epoch(values) == expected


# === What a run keeps ===


def test_a_run_stops_after_its_patience_and_keeps_its_best_epoch(straight):
    record = record_of(straight)
    assert epochs_of(straight) == 5
    assert (record["status"], record["best_epoch"], record["stopped_early"]) == (
        "finished",
        3,
        True,
    )
    assert place(straight / "model") == pytest.approx(0.9, abs=0.01)
    assert place(straight / "checkpoints/epoch-5-step-0") == pytest.approx(1.5, abs=0.01)
    kept = {path.name for path in (straight / "checkpoints").iterdir()}
    assert kept == {"epoch-3-step-0", "epoch-4-step-1", "epoch-5-step-0"}
    number = {name: record["data"][f"{name}_images"] for name in ("training", "validation", "test")}
    assert number == {"training": 80, "validation": 80, "test": 80}


def test_a_run_that_goes_on_with_another_rate_keeps_its_best_epoch(tmp_path):
    """A constant rate is a variable of the optimizer, a schedule is not."""
    run, size = tmp_path / "run", ["--limit", "80", "--batch-size", "32"]
    fit.main([*size, "--epochs", "2", "--patience", "1", "--set", "hidden=(4,)", "--out", str(run)])
    best = kgen.load(run / "model").get_weights()
    # A rate that ruins the model: the best epoch is of the schedule.
    fit.main(["--resume", str(run), "--epochs", "4", "--learning-rate", "5"])
    record, model = record_of(run), kgen.load(run / "model")
    assert (record["status"], record["best_epoch"], record["trained_epochs"]) == ("finished", 2, 3)
    for weights, expected in zip(model.get_weights(), best, strict=True):
        np.testing.assert_array_equal(weights, expected)
    assert float(array(model.optimizer.learning_rate)) == 5  # the run's own


def test_without_patience_a_run_keeps_its_last_weights(tmp_path):
    fit.main([*OWN, *SIZE, "--epochs", "4", "--out", str(tmp_path / "run")])
    record = record_of(tmp_path / "run")
    assert (record["best_epoch"], record["stopped_early"]) == (None, False)
    assert place(tmp_path / "run/model") == pytest.approx(1.2, abs=0.01)


def test_a_run_says_what_it_keeps_apart_and_how_it_ended(tmp_path, capsys):
    fit.main([*OWN, *GIVEN, "--epochs", "4", "--out", str(tmp_path / "run")])
    output = capsys.readouterr().out
    assert "80 images to train on, 80 for validation" in output
    assert "best epoch: 3 of 4, val_loss 0.00" in output
    assert "stopped early" not in output
    assert f"picture: {tmp_path}/run/samples/epoch-003.png" in output
    sample.main([str(tmp_path / "run"), "-n", "1", "--out", str(tmp_path / "x.npy"), *OWN])
    assert "model, after 4 epochs, the weights of the best epoch, 3" in capsys.readouterr().out


@pytest.mark.parametrize("model", ["pca", "mixture_of_gaussians"])
def test_models_in_closed_form_stop_early(model, tmp_path):
    size = ["--limit", "80", "--batch-size", "32", "--epochs", "30", "--patience", "2"]
    fit.main(["--model", model, *size, "--out", str(tmp_path / "run")])
    table = np.genfromtxt(tmp_path / "run/history.csv", delimiter=",", names=True)
    best = int(np.argmin(table["val_loss"])) + 1
    record = record_of(tmp_path / "run")
    assert (record["best_epoch"], record["stopped_early"]) == (best, True)
    assert len(table) == best + 2
    of_best = tmp_path / f"run/checkpoints/epoch-{best}-step-0/variables.safetensors"
    assert (tmp_path / "run/model/variables.safetensors").read_bytes() == of_best.read_bytes()


# === Stopped and resumed ===


@pytest.mark.parametrize("at", [5, 14])  # steps: before and after the best epoch
def test_killed_and_resumed_a_run_stops_at_the_same_epoch_with_the_same_weights(
    at, straight, tmp_path
):
    given = [*OWN, *GIVEN, "--out", "run"]
    status, line = run_and_stop(tmp_path, given, "on_train_batch_end", at)
    assert status == -signal.SIGKILL, line
    fit.main(["--resume", str(tmp_path / "run"), *OWN])
    assert_same(tmp_path / "run", straight)
    assert record_of(tmp_path / "run")["stopped_early"]


def test_killed_after_its_last_checkpoint_a_run_trains_no_further(run, straight):
    shutil.rmtree(run / "model")
    change_record(run, status="running", stopped_early=False)
    fit.main(["--resume", str(run), *OWN])
    assert_same(run, straight)
    assert record_of(run)["stopped_early"]


def test_interrupted_a_run_saves_the_best_weights_so_far(straight, tmp_path, monkeypatch):
    end_of_batch = CallbackList.on_train_batch_end
    steps = iter(range(1, 100))

    def with_signal(*arguments):
        if next(steps) == 13:  # in the fifth epoch
            os.kill(os.getpid(), signal.SIGTERM)
        end_of_batch(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(CallbackList, "on_train_batch_end", with_signal)
        with pytest.raises(KeyboardInterrupt):
            fit.main([*OWN, *GIVEN, "--out", str(tmp_path / "run")])
    assert (tmp_path / "run/checkpoints/epoch-4-step-1").is_dir()
    assert place(tmp_path / "run/model") == pytest.approx(0.9, abs=0.01)
    shutil.rmtree(tmp_path / "run/model")
    assert trained_model(tmp_path / "run")[0].name == "epoch-3-step-0"
    fit.main(["--resume", str(tmp_path / "run"), *OWN])
    assert_same(tmp_path / "run", straight)


def test_a_run_that_stopped_early_does_not_go_on(run, capsys):
    line = refused(["--resume", str(run), "--epochs", "20", *OWN], capsys)
    assert "stopped early, after 5 epochs" in line


def test_without_its_best_weights_a_run_is_not_continued(run, capsys):
    change_record(run, status="running")
    shutil.rmtree(run / "checkpoints" / "epoch-3-step-0")
    line = refused(["--resume", str(run), *OWN], capsys)
    assert "the weights of the best epoch" in line


def test_each_stage_begins_with_the_best_weights_of_the_one_before(tmp_path):
    given = ["--model", "toys_of_patience:PassingTwice", *GIVEN, "--out"]
    fit.main([*given, str(tmp_path / "straight")])
    checkpoints = tmp_path / "straight/checkpoints"
    assert place(checkpoints / "stage-1-epoch-2-step-0") == pytest.approx(0.9, abs=0.01)
    model = kgen.load(tmp_path / "straight/model")
    assert float(array(model.second.place.value)) == pytest.approx(0.6, abs=0.01)
    assert (epochs_of(tmp_path / "straight"), epochs_of(tmp_path / "straight", "-second")) == (5, 4)
    status, line = run_and_stop(tmp_path, [*given, "run"], "on_train_batch_end", 22)
    assert status == -signal.SIGKILL, line
    assert (tmp_path / "run/checkpoints/stage-1-epoch-2-step-0").is_dir()
    fit.main(["--resume", str(tmp_path / "run"), *given[:2]])
    assert_same(tmp_path / "run", tmp_path / "straight")


# === The validation images ===


def test_the_test_images_change_nothing_in_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (120, 8, 8, 1), "uint8")
    for name, test in (("a", images[80:100]), ("b", images[100:])):
        np.savez(f"{name}.npz", x_train=images[:80], x_test=test)
        given = ["--batch-size", "24", "--epochs", "2", "--patience", "5", "--set", "hidden=(4,)"]
        fit.main(["--data", f"{name}.npz", *given, "--out", name])
    assert record_of(tmp_path / "a")["data"]["training_images"] == 72
    files = [*(path for path in (tmp_path / "a").rglob("*.png")), tmp_path / "a/history.csv"]
    assert len(files) == 4  # two grids, the curves, the numbers
    for path in (*files, tmp_path / "a/model/variables.safetensors"):
        other = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.read_bytes() == other.read_bytes(), path.name


def test_quality_while_training_is_that_of_validation_images():
    def pixels(images):
        return images.reshape(len(images), -1) / 16

    data = kgen.data.load("digits").with_validation(50)
    quality = kgen.evaluation.SampleQuality(data, encoder=pixels)
    np.testing.assert_array_equal(quality.real, pixels(data.validation.images))


def test_with_no_validation_images_a_run_trains_on_everything(tmp_path, capsys):
    everything = [*OWN, "--batch-size", "719", "--epochs", "1", "--validation", "0"]
    fit.main([*everything, "--out", str(tmp_path / "run")])
    assert (tmp_path / "run/history.csv").read_text().splitlines()[0] == "epoch,loss"
    assert record_of(tmp_path / "run")["data"]["training_images"] == 1438
    fit.main(["--resume", str(tmp_path / "run"), "--epochs", "2", *OWN])
    assert epochs_of(tmp_path / "run") == 2
    for flag in ("--patience", "--evaluate-every"):
        line = refused([*everything, flag, "1", "--out", str(tmp_path / "other")], capsys)
        assert f"Expected validation images for {flag}, received none" in line


def test_a_game_has_no_metric_to_stop_by(tmp_path, capsys):
    line = refused(["--model", "dcgan", *GIVEN, "--out", str(tmp_path / "run")], capsys)
    assert "Expected a model with a metric of progress for --patience" in line
    assert not (tmp_path / "run").exists()


def test_a_run_that_validated_on_test_images_is_not_continued(run, capsys):
    data = record_of(run)["data"]
    del data["validation_images"]
    change_record(run, status="running", data=data)
    assert "start anew" in refused(["--resume", str(run), *OWN], capsys)


def test_other_validation_images_are_refused(run):
    record = record_of(run)
    change_record(run, status="running", options={**record["options"], "validation": 40})
    with pytest.raises(KgenError, match="received others"):
        fit.main(["--resume", str(run), *OWN])
