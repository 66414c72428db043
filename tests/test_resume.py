"""Runs that are killed, interrupted or finished, and continued; places that cannot be written."""

import errno
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys

import filelock
import numpy as np
import pytest

import kgen
from kgen import cli, fit, sample
from kgen.errors import KgenError
from kgen.files import cannot_write
from kgen.saving import load
from kgen.training.callbacks import CallbackList

# As in the processes that are killed.
pytestmark = pytest.mark.usefixtures("steps_as_kgen_compiles_them")

SHAPES = {
    "vae": ["hidden=(16,)"],
    "lsgan": [  # two optimizers
        "architecture=dense",
        "latent_size=4",
        "generator_units=(16,)",
        "discriminator_units=(16,)",
    ],
}
EPOCHS, STEPS = 3, 4  # batches of 32, 32, 32 and 4


def arguments(model, epochs=EPOCHS):
    size = ["--limit", "100", "--batch-size", "32", "--epochs", str(epochs)]
    return ["--model", model, *size, "--checkpoint-every", "3", "--set", *SHAPES[model]]


# A process that sends itself a signal in the middle of its work: at the nth call of a function.
DOOMED = """
import os, signal, sys
from kgen import cli, fit
from kgen.saving import load
from kgen.training.callbacks import CallbackList
name, at, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
owner = CallbackList if name == "on_train_batch_end" else os
function, calls = getattr(owner, name), 0
def doomed(*arguments, **named):
    global calls
    calls += 1
    if calls == at:
        os.kill(os.getpid(), number)
    return function(*arguments, **named)
setattr(owner, name, doomed)
cli.run(fit.main, sys.argv[4:])
"""


def run_and_stop(folder, given, name, at, number=signal.SIGKILL):
    """`kgen.fit` in a process that is stopped at call `at` of `name`: (exit status, last line)."""
    result = subprocess.run(
        [sys.executable, "-c", DOOMED, name, str(at), str(int(number)), *given],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), os.path.dirname(__file__)])},
        capture_output=True,
        text=True,
    )
    return result.returncode, (result.stderr.splitlines() or [""])[-1]


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """model -> the folder of a run that nobody stopped."""
    runs = {}

    def run(model, epochs=EPOCHS):
        if (model, epochs) not in runs:
            folder = tmp_path_factory.mktemp(model) / "run"
            fit.main([*arguments(model, epochs), "--out", str(folder)])
            runs[model, epochs] = folder
        return runs[model, epochs]

    return run


def resume(folder, *more):
    fit.main(["--resume", str(folder), *map(str, more)])


def assert_same(run, other):
    """Bitwise: every weight, seed, optimizer slot and mean, and the history."""
    for name in ("history.csv", "model/variables.safetensors"):
        assert (run / name).read_bytes() == (other / name).read_bytes(), name


# === Killed ===


@pytest.mark.parametrize(
    ("model", "name", "at"),
    [("vae", "on_train_batch_end", 8), ("lsgan", "fsync", 43)],  # in the fourth checkpoint
)
def test_killed_and_resumed_a_run_ends_bitwise_as_if_nothing_had_been(
    model, name, at, straight, tmp_path
):
    status, _ = run_and_stop(tmp_path, [*arguments(model), "--out", "run"], name, at)
    assert status == -signal.SIGKILL
    assert not (tmp_path / "run" / "model").exists()
    half_written = list((tmp_path / "run/checkpoints").glob(".partial-*"))
    assert bool(half_written) == (name == "fsync")
    resume(tmp_path / "run")
    assert_same(tmp_path / "run", straight(model))
    assert not list((tmp_path / "run").rglob(".partial-*"))


@pytest.mark.slow
@pytest.mark.parametrize("model", SHAPES)
def test_killed_ten_times_a_run_ends_bitwise_as_if_nothing_had_been(model, straight, tmp_path):
    choose, kills = random.Random(model), 0
    given = [*arguments(model, epochs=20), "--out", "run"]
    while kills < 10:
        name = choose.choice(["on_train_batch_end", "fsync", "replace"])
        at = choose.randint(1, {"on_train_batch_end": 9, "fsync": 60, "replace": 20}[name])
        status, line = run_and_stop(tmp_path, given, name, at)
        assert status == -signal.SIGKILL, line
        kills += 1
        if (tmp_path / "run" / "run.json").exists():
            given = ["--resume", "run"]
        else:  # it had not begun
            shutil.rmtree(tmp_path / "run", ignore_errors=True)
    resume(tmp_path / "run")
    assert_same(tmp_path / "run", straight(model, epochs=20))


@pytest.fixture
def interruptible():
    """Where the tests run in the background, SIGINT is ignored, and that is inherited."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_step_and_says_how_to_continue(
    number, straight, tmp_path, monkeypatch, capsys
):
    end_of_batch, calls = CallbackList.on_train_batch_end, itertools.count(1)

    def with_signal(*arguments):
        if next(calls) == 6:
            os.kill(os.getpid(), number)
        end_of_batch(*arguments)

    monkeypatch.setattr(CallbackList, "on_train_batch_end", with_signal)
    with pytest.raises(SystemExit) as stop:
        cli.run(fit.main, [*arguments("vae"), "--out", str(tmp_path / "run")])
    assert stop.value.code == 128 + number
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == f"kgen: interrupted, to continue: python -m kgen.fit --resume {tmp_path}/run"
    status = json.loads((tmp_path / "run/run.json").read_text())["status"]
    assert status == f"stopped: interrupted by {number.name}"
    assert (tmp_path / "run/checkpoints/epoch-1-step-2").is_dir()
    resume(tmp_path / "run")
    assert_same(tmp_path / "run", straight("vae"))


def test_an_exploding_model_stops_and_leaves_its_last_finite_checkpoint(
    tmp_path, capsys, monkeypatch
):
    def exploding(self, images, condition, training):
        _, terms = kgen.VAE.objective(self, images, condition, training)
        return terms["kl"] * float("inf"), terms

    monkeypatch.setattr(kgen.BetaVAE, "objective", exploding)
    given = ["--model", "beta_vae", "--limit", "100", "--batch-size", "32", "--epochs", "2"]
    settings = ["--set", "hidden=(16,)", "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as stop:
        cli.run(fit.main, [*given, *settings])
    assert stop.value.code == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("kgen: loss became non-finite in epoch 1, step 1")
    assert json.loads((tmp_path / "run/run.json").read_text())["status"].startswith("stopped: loss")
    assert not (tmp_path / "run/model").exists()
    (last,) = (tmp_path / "run/checkpoints").iterdir()
    model = load(last, continuing=True)
    assert all(np.isfinite(array).all() for array in model.get_weights())


# === Finished, damaged, sampled ===


@pytest.fixture
def run(straight, tmp_path):
    """A finished run of a VAE, to do things to."""
    shutil.copytree(straight("vae"), tmp_path / "run")
    return tmp_path / "run"


def test_a_finished_run_goes_on_to_more_epochs_and_says_so(run, straight):
    with pytest.raises(KgenError, match="more than the 3 epochs"):
        resume(run)
    before = json.loads((run / "run.json").read_text())
    resume(run, "--epochs", 5)
    assert_same(run, straight("vae", epochs=5))
    record = json.loads((run / "run.json").read_text())
    assert record["started"] == before["started"]
    assert record["seconds"] > before["seconds"]
    assert record["epochs"] == record["options"]["epochs"] == 5
    (part,) = record["resumed"]
    assert part["from"] == {"epoch": 3, "step": 0}
    assert {"command", "backend", "versions", "commit", "machine", "started"} <= set(part)


def test_killed_after_its_last_checkpoint_a_run_still_ends(run, straight):
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, "status": "running"}))
    shutil.rmtree(run / "model")
    resume(run)
    assert_same(run, straight("vae"))
    assert json.loads((run / "run.json").read_text())["status"] == "finished"


def test_a_damaged_checkpoint_is_reported_and_the_one_before_used(run, straight, caplog):
    *_, last = sorted((run / "checkpoints").iterdir())
    assert last.name == "epoch-3-step-0"
    weights = last / "variables.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    resume(run)
    assert "damaged checkpoint" in caplog.text
    assert_same(run, straight("vae"))


def test_a_run_without_its_end_is_sampled_from_its_last_checkpoint(run, tmp_path):
    made = []
    for name in ("end.npy", "checkpoint.npy"):
        sample.main([str(run), "-n", "3", "--seed", "0", "--out", str(tmp_path / name)])
        made.append(np.load(tmp_path / name))
        shutil.rmtree(run / "model", ignore_errors=True)
    np.testing.assert_array_equal(*made)


def test_what_a_run_began_with_cannot_be_changed(run):
    with pytest.raises(KgenError, match="as it began, received --batch-size, --seed"):
        resume(run, "--epochs", 9, "--seed", 1, "--batch-size", 8)


@pytest.mark.parametrize(
    "option",
    ["--seed=0", "--seed=3", "--limit=1", "--batch-size=32", "--grayscale", "--list", "--out=x"],
)
def test_an_option_is_refused_whatever_its_value(option, run, capsys):
    argument = ["--resume", str(run), "--epochs", "9", option]
    if option == "--list":
        fit.main(argument)
        assert "models (--model)" in capsys.readouterr().out
        return
    with pytest.raises(KgenError, match=f"received {option.partition('=')[0]}: leave it out"):
        fit.main(argument)


def test_a_folder_that_is_no_run_is_an_error(tmp_path):
    with pytest.raises(KgenError, match="no such folder"):
        resume(tmp_path / "nowhere")
    with pytest.raises(KgenError, match=r"no run\.json"):
        resume(tmp_path)
    assert list(tmp_path.iterdir()) == []


# === Images of one's own ===


def test_a_path_of_ones_own_is_named_again_and_its_content_compared(tmp_path):
    images = kgen.data.load("digits").train.images
    np.savez(tmp_path / "mine.npz", images=images[:111])  # 90 to train on
    given = ["--batch-size", "30", "--set", "hidden=(4,)", "--out", str(tmp_path / "run")]
    fit.main(["--data", str(tmp_path / "mine.npz"), "--epochs", "1", *given])
    with pytest.raises(KgenError, match="--data PATH"):
        resume(tmp_path / "run", "--epochs", 2)
    assert "mine.npz" not in json.dumps(
        json.loads((tmp_path / "run/run.json").read_text())["options"]
    )
    (tmp_path / "mine.npz").rename(tmp_path / "moved.npz")
    with pytest.raises(KgenError, match=r"mine\.npz"):
        resume(tmp_path / "run", "--epochs", 2, "--data", tmp_path / "mine.npz")
    np.savez(tmp_path / "others.npz", images=images[100:211])
    with pytest.raises(KgenError, match="received others"):
        resume(tmp_path / "run", "--epochs", 2, "--data", tmp_path / "others.npz")
    resume(tmp_path / "run", "--epochs", 2, "--data", tmp_path / "moved.npz")
    assert len((tmp_path / "run/history.csv").read_text().splitlines()) == 3


# === Places that fail ===


def test_a_run_in_use_is_an_error(run):
    with (
        filelock.FileLock(run / ".lock"),
        pytest.raises(KgenError, match="another one is training in it"),
    ):
        resume(run, "--epochs", 5)


def raising(number):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_run_that_cannot_be_written_is_an_error(number, run, monkeypatch):
    monkeypatch.setattr(filelock.FileLock, "acquire", raising(number))
    with pytest.raises(KgenError, match=f"Expected to write .*: {os.strerror(number)}"):
        resume(run, "--epochs", 5)


def test_pictures_and_tables_that_fail_are_reported_once_and_training_goes_on(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr("kgen.pictures.save_grid", raising(errno.ENOSPC))
    monkeypatch.setattr("kgen.pictures.save_loss_plot", raising(errno.ENOSPC))
    monkeypatch.setattr("csv.writer", raising(errno.ENOSPC))
    fit.main([*arguments("vae", epochs=2), "--out", str(tmp_path / "run")])
    assert json.loads((tmp_path / "run/run.json").read_text())["status"] == "finished"
    assert (tmp_path / "run/model/variables.safetensors").is_file()
    lines = [record.message for record in caplog.records if record.name == "kgen"]
    assert [line.split(" is left out")[0] for line in lines] == [
        "kgen: history.csv",
        "kgen: samples/epoch-001.png",
        "kgen: losses.png",
    ]


def test_a_disk_that_is_full_at_the_end_leaves_a_checkpoint_to_save_it_from(
    straight, tmp_path, monkeypatch
):
    expected, save = straight("vae"), kgen.save

    def full_at_the_end(model, folder):
        if folder.name == "model":
            raise cannot_write(folder, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        save(model, folder)

    with monkeypatch.context() as patched:
        patched.setattr(kgen, "save", full_at_the_end, raising=False)
        with pytest.raises(KgenError, match=r"No space left .* --resume .*run"):
            fit.main([*arguments("vae"), "--out", str(tmp_path / "run")])
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert "No space left" in record["status"]
    resume(tmp_path / "run")
    assert_same(tmp_path / "run", expected)
