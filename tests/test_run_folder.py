"""A run's folder: what is somebody else's stays, pipes are never read, the newest state counts."""

import json
import os
import shutil
import signal

import keras
import numpy as np
import pytest

import kgen
from kgen import backend_choice, cli, data, fit, sample
from kgen.data.cache import CachedImages
from kgen.encoders import classifier
from kgen.errors import Interrupted, KgenError
from kgen.files import atomic_folder, kind, open_plain, read_json, remove_partial
from kgen.runs import checkpoint
from kgen.runs import folder as run_folder
from kgen.runs.checkpoint import Progress
from kgen.runs.interruption import Interruption
from kgen.runs.provenance import environment
from kgen.runs.recorder import Recorder
from kgen.runs.stages import stage_of

DIGITS = data.load("digits")
RUN = ["--limit", "64", "--batch-size", "16", "--epochs", "2", "--set", "hidden=(4,)"]  # 4 steps


def everything(folder):
    """Every path below a folder, with what a file holds."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    fit.main([*RUN, "--out", str(folder)])
    return folder


@pytest.fixture
def run(trained, tmp_path):
    """A finished run of 2 epochs, to do things to."""
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def in_time():
    """What waits for the end of a pipe fails."""

    def fail(*_):
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


# === What is somebody else's ===


def test_a_folder_that_is_no_run_is_left_as_it_is(tmp_path):
    mine = tmp_path / "mine"
    (mine / "project" / "empty").mkdir(parents=True)
    (mine / "project" / ".lock").touch()
    (mine / ".lock").write_text("of another program")
    (mine / ".partial-model.abcdefgh" / "model").mkdir(parents=True)
    for record in (None, "{}", '{"options": {"model": "vae"}}'):
        if record:
            (mine / "run.json").write_text(record)
        before = everything(mine)
        with pytest.raises(KgenError, match=r"run\.json"):
            fit.main(["--resume", str(mine)])
        assert everything(mine) == before


def test_a_lock_that_is_somebody_elses_is_neither_emptied_nor_removed(run):
    (run / ".lock").write_text("of another program")
    with pytest.raises(KgenError, match="empty file by which kgen locks"):
        fit.main(["--resume", str(run), "--epochs", "3"])
    assert (run / ".lock").read_text() == "of another program"


def test_a_lock_is_removed_by_the_process_that_made_it_and_refused(run):
    for lock_is_there in (True, False):
        with pytest.raises(KgenError, match="more than the 2 epochs"):
            fit.main(["--resume", str(run)])
        assert (run / ".lock").exists() == lock_is_there
        (run / ".lock").unlink(missing_ok=True)


def test_only_partial_folders_of_kgens_own_naming_are_removed(run):
    own = [".partial-model.abcdefgh/model/x", "checkpoints/.partial-epoch-1-step-2.a_cdefg1/y"]
    own[1] = "checkpoints/.partial-epoch-1-step-2.a_cdefg1/epoch-1-step-2"
    foreign = [
        ".partial-mine/notes",
        ".partial-notes.abcdefgh/notes",  # nothing kgen writes
        ".partial-model.abcdefg1/notes",  # holds something else
        ".partial-run.json.abc/run.json",
        "mine/.partial-model.abcdefgh/model",  # where kgen does not write
    ]
    for name in (*own, *foreign):
        (run / name).parent.mkdir(parents=True)
        (run / name).write_text("x")
    (run / "empty" / "emptier").mkdir(parents=True)
    with run_folder.locked(run):
        pass
    assert [name for name in (*own, *foreign) if (run / name).exists()] == foreign
    assert (run / "empty" / "emptier").is_dir()


def test_a_pipe_with_the_name_of_a_partial_folder_stays(tmp_path, in_time):
    os.mkfifo(tmp_path / ".partial-model.abcdefgh")
    remove_partial(tmp_path, "model")
    assert kind(tmp_path / ".partial-model.abcdefgh") == "other"


def begin(folder, name):
    """A new run that fails once it has written one file."""
    with run_folder.begun(folder, ""):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
        raise KgenError("it failed: try again")


@pytest.mark.parametrize("there_before", [True, False])
def test_a_new_run_that_cannot_begin_leaves_what_was_there_before(there_before, tmp_path):
    if there_before:
        (tmp_path / "out").mkdir()
    with pytest.raises(KgenError, match="it failed"):
        begin(tmp_path / "out", "checkpoints/epoch-0-step-0/model.json")
    assert everything(tmp_path) == ({"out": None} if there_before else {})


def test_a_new_run_that_fails_later_and_files_of_others_in_it_stay(tmp_path):
    for name in ("run.json", "notes"):
        folder = tmp_path / name[:3]
        with pytest.raises(KgenError, match="it failed"):
            begin(folder, name)
        assert everything(folder) == {name: b"x"}


# === Pipes ===


def test_nothing_that_is_no_plain_file_is_read(tmp_path, monkeypatch, in_time):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KGEN_DATA_DIR", str(tmp_path))
    (tmp_path / "mnist").mkdir()
    (tmp_path / "pictures").mkdir()
    names = ["keras.json", "run.json", "x.npz", "weights.npz", "encoder.json", "p"]
    for name in (*names, "mnist/train-images-idx3-ubyte.gz", "pictures/a.png"):
        os.mkfifo(tmp_path / name)
    for path in (tmp_path / "p", "/dev/zero"):
        with pytest.raises(KgenError, match="regular file"):
            open_plain(path)
    with pytest.raises(KgenError, match="regular file"):
        read_json(tmp_path / "run.json")
    with pytest.raises(KgenError, match="regular file"):
        fit.main(["--resume", str(tmp_path)])
    with pytest.raises(KgenError, match="a pipe or a device"):
        data.load(tmp_path / "x.npz")
    with pytest.raises(KgenError, match="Expected image files"):
        data.load(tmp_path / "pictures")
    with pytest.raises(KgenError, match=r"keras\.json to be a regular file"):
        backend_choice._check_configuration()
    assert backend_choice._configured() is None
    assert classifier._cached(tmp_path) is None
    source = data.named.SETS["mnist"].sources[0]
    assert data.sources._missing(source, tmp_path / "mnist") == list(source.files)
    with pytest.raises(KgenError, match="regular file"):
        data.sources._retrieve("nowhere", "0", tmp_path / "mnist" / "train-images-idx3-ubyte.gz")


def test_a_pipe_in_place_of_cached_images_is_no_array(tmp_path, monkeypatch, in_time):
    monkeypatch.setattr("kgen.data.sources.cache_folder", lambda: tmp_path / "cache")
    cached = CachedImages(tmp_path, [])
    cached.folder.mkdir(parents=True)
    os.mkfifo(cached.folder / f"{cached.key}_1_1_x.npy")
    assert cached.read() is None


def test_a_file_exchanged_for_a_pipe_is_not_waited_for(tmp_path, monkeypatch, in_time):
    os.mkfifo(tmp_path / "p")
    monkeypatch.setattr("kgen.files.check_regular_file", lambda *_: None)
    with pytest.raises(KgenError, match="to stay a regular file"):
        open_plain(tmp_path / "p")


# === The newest state ===


def model_of(seed):
    kgen.set_seed(seed)
    return kgen.models.create("vae", DIGITS, latent_size=2, hidden=(4,))


def add_state(run, name, epoch, step=0):
    """A model or a checkpoint of that position; its seed says which it is."""
    progress = Progress(epoch, step, 1.0, {"loss": [0.5] * epoch}, 16)
    model = model_of(100 * epoch + step)
    place = run / "model" if name == "model" else run / f"checkpoints/epoch-{epoch}-step-{step}"
    checkpoint.write(place, progress, lambda folder: kgen.save(model, folder))


def damage(folder):
    path = folder / "variables.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def remove_variables(folder):
    (folder / "variables.safetensors").unlink()


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({"model": 4}, "model, after 4 epochs"),
        ({"model": 4, "checkpoint": (4, 0)}, "model, after 4 epochs"),
        ({"model": 4, "checkpoint": (3, 7)}, "model, after 4 epochs"),  # the disk was full
        ({"model": 4, "checkpoint": (7, 3)}, "checkpoints/epoch-7-step-3, after 7 epochs and 3"),
        ({"checkpoint": (1, 0)}, "checkpoints/epoch-1-step-0, after 1 epoch"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else None,
)
def test_the_newest_state_counts_and_is_named(states, expected, tmp_path, capsys):
    if "model" in states:
        add_state(tmp_path, "model", states["model"])
    if "checkpoint" in states:
        add_state(tmp_path, "checkpoint", *states["checkpoint"])
    sample.main([str(tmp_path), "-n", "3", "--seed", "0", "--out", str(tmp_path / "x.npy")])
    assert f"{tmp_path}: {expected}" in capsys.readouterr().out
    newest = max(states.values(), key=lambda at: at if isinstance(at, tuple) else (at, 0))
    epoch, step = newest if isinstance(newest, tuple) else (newest, 0)
    images = model_of(100 * epoch + step).sample(3, seed=0)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), images)


@pytest.mark.parametrize("harm", [damage, remove_variables, shutil.rmtree])
def test_where_the_model_is_missing_or_damaged_the_newest_checkpoint_counts(
    harm, run, capsys, caplog
):
    harm(run / "model")
    path, described, _ = run_folder.trained_model(run)
    assert path == run / "checkpoints" / "epoch-2-step-0"
    assert described == f"{run}: checkpoints/epoch-2-step-0, after 2 epochs"
    lines = [line for line in caplog.messages if "damaged model" in line]
    assert len(lines) == (harm is not shutil.rmtree)
    harm(run / "checkpoints" / "epoch-2-step-0")
    assert run_folder.trained_model(run)[0] == run / "checkpoints" / "epoch-1-step-0"


def test_a_model_alone_that_does_not_say_how_far_it_is_trained_is_taken(tmp_path):
    kgen.save(model_of(0), tmp_path / "model")
    path, described, _ = run_folder.trained_model(tmp_path)
    assert path == tmp_path / "model"
    assert "does not say how far" in described
    (tmp_path / "other").mkdir()
    with pytest.raises(KgenError, match="no good checkpoint"):
        run_folder.trained_model(tmp_path / "other")


class Killed(BaseException):
    pass


@pytest.mark.parametrize("call", ["fsync", "rename", "replace", "rmtree"])
def test_a_folder_is_replaced_whole_or_not_at_all(call, tmp_path, monkeypatch):
    """At whichever call the process is ended: the old folder, the new one, or one that is whole."""

    def write(content):
        with atomic_folder(tmp_path / "model") as folder:
            for name in ("a", "b"):
                (folder / name).write_text(content)

    ended = 0
    for at in range(9):
        shutil.rmtree(tmp_path / "model", ignore_errors=True)
        write("old")
        calls = iter(range(99))
        function = getattr(shutil if call == "rmtree" else os, call)

        def ending(*arguments, at=at, calls=calls, function=function, **named):
            if next(calls) == at:
                raise Killed
            return function(*arguments, **named)

        with monkeypatch.context() as patch:
            patch.setattr(shutil if call == "rmtree" else os, call, ending)
            try:
                write("new")
            except Killed:
                ended += 1
        found = everything(tmp_path / "model")
        assert found in ({"a": b"old", "b": b"old"}, {"a": b"new", "b": b"new"}), at
        assert call in ("rmtree",) or not list(tmp_path.glob(".partial-*"))
    assert ended


def test_what_somebody_put_beside_a_model_stays_there(tmp_path):
    for content in ("old", "new"):
        with atomic_folder(tmp_path / "model") as folder:
            (folder / "a").write_text(content)
        if content == "old":
            (tmp_path / "model" / "mine").mkdir()
            (tmp_path / "model" / "mine" / "notes").write_text("x")
    assert everything(tmp_path / "model") == {"a": b"new", "mine": None, "mine/notes": b"x"}


def recorder_of(folder, progress, epochs):
    """That of a model of one stage, as `fit` has it among its callbacks."""
    model = model_of(0)
    stage = stage_of(model, DIGITS, 0)
    recorder = Recorder(folder, {}, progress, epochs, model, DIGITS.test, stage)
    recorder.set_model(model)
    return recorder


def test_stopped_in_the_middle_of_a_step_no_model_is_written(tmp_path):
    add_state(tmp_path, "checkpoint", 1)
    for between_steps in (False, True):
        recorder = recorder_of(tmp_path, Progress(1, 2, 0.0, {"loss": [0.5]}), epochs=3)
        with pytest.raises(Interrupted), recorder:
            raise Interrupted("interrupted", signal.SIGINT, between_steps)
        assert (tmp_path / "model").exists() == between_steps
    assert run_folder.trained_model(tmp_path)[1].endswith("model, after 1 epoch and 2 steps")


def test_the_third_signal_and_those_after_it_change_nothing():
    interruption = Interruption("try again")
    interruption._request(signal.SIGINT, None)
    with pytest.raises(Interrupted, match="to continue: try again") as stop:
        interruption._request(signal.SIGTERM, None)
    assert (stop.value.status, stop.value.between_steps) == (128 + signal.SIGINT, False)
    for _ in range(6):
        interruption._request(signal.SIGINT, None)


def test_a_signal_while_the_model_is_written_is_recorded(tmp_path, monkeypatch):
    def interrupted(*_):
        raise Interrupted("interrupted", signal.SIGINT, between_steps=False)

    monkeypatch.setattr(kgen, "save", interrupted, raising=False)
    recorder = recorder_of(tmp_path, Progress(1, 0, 0.0, {"loss": [0.5]}), epochs=1)
    with pytest.raises(Interrupted), recorder:
        pass
    assert not (tmp_path / "model").exists()
    assert read_json(tmp_path / "run.json")["status"] == "stopped: interrupted by SIGINT"


# === Continued in another way than it can be ===


@pytest.fixture
def stopped(run):
    """A run that was stopped after 1 epoch and 2 steps."""
    shutil.rmtree(run / "checkpoints" / "epoch-2-step-0")
    model = kgen.load(run / "model")
    checkpoint.write(
        run / "checkpoints" / "epoch-1-step-2",
        Progress(1, 2, 1.0, {"loss": [0.5]}, 16),
        lambda folder: kgen.save(model, folder),
    )
    change_record(run, status="stopped: interrupted by SIGINT")
    return run


def change_record(run, **changes):
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**record, **changes}))


def test_a_run_is_not_ended_in_the_middle_of_an_epoch(stopped):
    before = everything(stopped)
    with pytest.raises(KgenError, match=r"at least 2 epochs, .* after 1 epoch and 2 steps"):
        fit.main(["--resume", str(stopped), "--epochs", "1"])
    assert everything(stopped) == before


def test_a_run_is_not_ended_before_where_it_stands(run):
    change_record(run, status="running")  # its last step is trained, its model not written
    with pytest.raises(KgenError, match="at least 2 epochs"):
        fit.main(["--resume", str(run), "--epochs", "1"])


def test_batches_of_another_size_are_refused(stopped):
    options = json.loads((stopped / "run.json").read_text())["options"]
    change_record(stopped, options={**options, "batch_size": 17})  # an epoch has 4 steps, too
    with pytest.raises(KgenError, match=r"the batch size 16 .* received 17"):
        fit.main(["--resume", str(stopped)])


# === Rights and names ===


def test_a_folder_that_nobody_may_look_into_is_one_line(run, monkeypatch):
    def refused(path, *_, function=os.lstat, **__):
        if "model" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return function(path)

    monkeypatch.setattr(os, "lstat", refused)
    with pytest.raises(KgenError, match=r"to read .*model, but: Permission denied"):
        run_folder.check(run)
    monkeypatch.setattr(os, "stat", refused)
    with pytest.raises(KgenError, match="Permission denied"):
        data.load(run / "model")


@pytest.mark.parametrize("main", [fit.main, sample.main])
def test_a_path_that_is_none_is_one_short_line(main, capsys):
    for path in ("a" * 5000, "\0"):
        given = [path] if main is sample.main else ["--resume", path]
        with pytest.raises(SystemExit) as stop:
            cli.run(main, given)
        error = capsys.readouterr().err
        assert (stop.value.code, error.count("\n")) == (2, 1)
        assert len(error) < 500
        assert "\0" not in error


def test_versions_are_of_what_is_imported(monkeypatch):
    """Keras' nightly build is no package of the name "keras"."""
    monkeypatch.setattr(keras, "__version__", "9.9.dev0")
    assert environment()["versions"]["keras"] == "9.9.dev0"
