"""A model of two stages: `kgen.fit` walks them, and killed in either goes on bit for bit."""

import json
import signal

import numpy as np
import pytest
from test_resume import run_and_stop
from toys_of_stages import TwoStages

import kgen
from kgen import fit, sample
from kgen.runs.checkpoint import Store
from kgen.testing.comparing import array

OWN = ["--model", "toys_of_stages:TwoStages"]
EPOCHS, STEPS = 2, 3  # batches of 32, 32 and 16, in each of the two stages
GIVEN = [*OWN, "--limit", "80", "--batch-size", "32", "--epochs", "2", "--checkpoint-every", "2"]
RECORDS = ("history.csv", "history-prior.csv", "model/variables.safetensors")

pytestmark = pytest.mark.usefixtures("steps_as_kgen_compiles_them")


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    monkeypatch.setattr(kgen.models, "REGISTRY", dict(kgen.models.REGISTRY))


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The folder of a run that nobody stopped."""
    folder = tmp_path_factory.mktemp("stages") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kgen.models, "REGISTRY", dict(kgen.models.REGISTRY))
        fit.main([*GIVEN, "--out", str(folder)])
    return folder


def load(folder):
    kgen.models.register(OWN[1], TwoStages)
    return kgen.load(folder / "model")


def test_each_stage_is_trained_on_what_the_last_one_prepared(straight):
    model = load(straight)
    data = kgen.data.load("digits").with_validation().limit(80)
    assert np.abs(array(model.mean.value)).max() > 0.1
    # The last epoch's loss of the prior is that of binary images above the mean that was learned.
    history = (straight / "history-prior.csv").read_text().splitlines()
    assert len(history) == 1 + EPOCHS
    expected = -model.prior.log_prob(model.latents(data.validation.images)).mean()
    columns = dict(zip(history[0].split(","), history[-1].split(","), strict=True))
    assert float(columns["val_loss"]) == pytest.approx(expected, rel=1e-4)
    assert int(model.optimizer.iterations) == int(model.prior.optimizer.iterations) == 6
    assert set(np.unique(model.latents(data.train.images))) == {0, 1}


def test_a_run_says_what_its_stages_are(straight, capsys):
    record = json.loads((straight / "run.json").read_text())
    assert record["status"] == "finished"
    pictures = {path.name for path in (straight / "samples").iterdir()}
    assert pictures == {f"{stage}-epoch-00{n}.png" for stage in ("mean", "prior") for n in (1, 2)}
    sample.main([str(straight), "-n", "3", "--out", str(straight / "three.npy"), *OWN])
    assert np.load(straight / "three.npy").shape == (3, 8, 8, 1)


def assert_same(run, other):
    """Bitwise: weights, seeds, slots and means of both stages, and their histories."""
    for name in RECORDS:
        assert (run / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.parametrize("at", [5, 11])  # steps: each stage in its second epoch
def test_killed_in_a_stage_and_resumed_a_run_ends_bitwise_as_if_nothing_had_been(
    at, straight, tmp_path
):
    status, line = run_and_stop(tmp_path, [*GIVEN, "--out", "run"], "on_train_batch_end", at)
    assert status == -signal.SIGKILL, line
    stage = "stage-1-" if at > EPOCHS * STEPS else ""
    checkpoints = sorted(path.name for path in (tmp_path / "run/checkpoints").iterdir())
    assert f"{stage}epoch-1-step-1" in checkpoints
    fit.main(["--resume", str(tmp_path / "run"), *OWN])
    assert_same(tmp_path / "run", straight)


def test_stopped_between_two_stages_a_run_goes_on_with_the_second(straight, tmp_path, monkeypatch):
    write = Store.write

    def stopping(self, progress, save):
        if progress.position == (1, 0, 0):
            raise KeyboardInterrupt
        write(self, progress, save)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write", stopping)
        with pytest.raises(KeyboardInterrupt):
            fit.main([*GIVEN, "--out", str(tmp_path / "run")])
    assert json.loads((tmp_path / "run/run.json").read_text())["status"] != "finished"
    fit.main(["--resume", str(tmp_path / "run"), *OWN])
    assert_same(tmp_path / "run", straight)
