"""Checkpoints: whole, verified, the last two; and training continued from them bit for bit."""

import errno
import json
import math
import os

import keras
import numpy as np
import pytest
from toys import Failing, Quadratic

import kgen
from kgen import fit as verb
from kgen.description.variables import named_variables, variable_groups
from kgen.errors import KgenError
from kgen.files import as_json
from kgen.runs.checkpoint import Progress, Store
from kgen.runs.checkpoints import Checkpoints
from kgen.saving import load

DIGITS = kgen.data.load("digits")
IMAGES, HELD_OUT = DIGITS.train.images[:100], (DIGITS.test.images[:40],)
HOW = {"batch_size": 32, "epochs": 3, "verbose": 0, "validation_data": HELD_OUT}  # 4 steps an epoch


def new_model(name):
    kgen.set_seed(3)
    model = kgen.models.create(name, DIGITS, **kgen.models.get(name).small_arguments)
    model.compile()
    return model


def values(model):
    groups = variable_groups(model).values()
    named = [(name, variable) for group in groups for name, variable in group.items()]
    return {name: np.array(keras.ops.convert_to_numpy(variable)) for name, variable in named}


class StopAt(keras.callbacks.Callback):
    """Raises after a step, as Ctrl-C does."""

    reads_batch_logs = False

    def __init__(self, epoch, step):
        super().__init__()
        self.at = epoch, step

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch + 1) == self.at:
            _ = self.model
            raise KeyboardInterrupt


def test_continued_inside_an_epoch_training_ends_bitwise_equal(tmp_path):
    name = "gan"  # two players with slots of their own, averaged weights, spectral norms
    straight = new_model(name)
    history = straight.fit(IMAGES, **HOW).history
    store, interrupted = Store(tmp_path), new_model(name)
    callbacks = [Checkpoints(store, kgen.save, Progress(), every=1), StopAt(1, 3)]
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(IMAGES, **HOW, callbacks=callbacks)
    folder, progress = store.newest()
    assert (progress.epoch, progress.step) == (1, 3)
    continued = load(folder, continuing=True)
    place = {"initial_epoch": progress.epoch, "initial_step": progress.step}
    batches = []
    seen = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, _: batches.append(batch))
    rest = continued.fit(IMAGES, **HOW, **place, callbacks=[seen]).history
    assert batches == [3, 0, 1, 2, 3]
    assert rest == {term: means[1:] for term, means in history.items()}
    expected, received = values(straight), values(continued)
    assert list(expected) == list(received)
    differing = [name for name in expected if not np.array_equal(expected[name], received[name])]
    assert differing == []


def test_other_data_than_arrays_cannot_be_continued_inside_an_epoch():
    batches = ((IMAGES,) for _ in range(2))
    with pytest.raises(KgenError, match="Expected images as an array"):
        new_model("vae").fit(batches, initial_step=1, verbose=0)


# === The store ===


def write_text(folder):
    (folder / "weights").write_text("some weights")


def filled(tmp_path, *positions):
    store = Store(tmp_path / "checkpoints")
    for epoch, step in positions:
        store.write(Progress(epoch, step, 1.5, {"loss": [0.1] * epoch}), write_text)
    return store


def names(store):
    return sorted(path.name for path in store.folder.iterdir())


def test_what_was_written_is_read(tmp_path):
    folder, progress = filled(tmp_path, (2, 7)).newest()
    assert (folder / "weights").read_text() == "some weights"
    assert progress.content() == {
        "epoch": 2,
        "step": 7,
        "seconds": 1.5,
        "history": {"loss": [0.1, 0.1]},
        "batch_size": None,
        "stage": 0,
        "best": None,
    }


def test_the_last_two_are_kept(tmp_path):
    store = filled(tmp_path, (0, 0), (0, 9), (0, 10), (1, 0))
    assert names(store) == ["epoch-0-step-10", "epoch-1-step-0"]
    assert store.newest()[1].epoch == 1


def test_the_best_one_is_kept_until_two_newer_ones_know_a_better(tmp_path):
    store = Store(tmp_path / "checkpoints")
    for epoch, best in enumerate((1, 1, 1, 4), 1):
        progress = Progress(epoch, history={"val_loss": [0.1] * epoch}, best=best)
        store.write(progress, write_text)
    assert names(store) == [f"epoch-{epoch}-step-0" for epoch in (1, 3, 4)]
    store.write(Progress(5, history={"val_loss": [0.1] * 5}, best=4), write_text)
    assert names(store) == ["epoch-4-step-0", "epoch-5-step-0"]
    assert store.best(progress).name == "epoch-4-step-0"
    truncate(store.folder / "epoch-4-step-0")
    with pytest.raises(KgenError, match="the weights of the best epoch"):
        store.best(progress)


def truncate(folder):
    (folder / "weights").write_text("some wei")


def flip_a_bit(folder):
    (folder / "weights").write_text("some weighds")


def change_the_record(folder):
    path = folder / "checkpoint.json"
    path.write_text(path.read_text().replace("0.1", "0.2"))


def truncate_the_record(folder):
    path = folder / "checkpoint.json"
    path.write_text(path.read_text()[:100])


def remove_a_file(folder):
    (folder / "weights").unlink()


def remove_the_record(folder):
    (folder / "checkpoint.json").unlink()


DAMAGE = [
    truncate,
    flip_a_bit,
    change_the_record,
    truncate_the_record,
    remove_a_file,
    remove_the_record,
]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_a_damaged_one_is_reported_and_the_one_before_is_used(damage, tmp_path, caplog):
    store = filled(tmp_path, (1, 0), (2, 0))
    damage(store.folder / "epoch-2-step-0")
    assert store.newest()[1].epoch == 1
    (line,) = caplog.messages
    assert "damaged checkpoint" in line
    assert "epoch-2-step-0" in line
    assert "\n" not in line


def test_a_damaged_one_does_not_stay_in_place_of_a_good_one(tmp_path):
    store = filled(tmp_path, (1, 0), (2, 0))
    truncate(store.folder / "epoch-2-step-0")
    store.write(Progress(1, 5, history={"loss": [0.1]}), write_text)
    assert names(store) == ["epoch-1-step-0", "epoch-1-step-5"]


def test_without_a_good_one_there_is_an_error(tmp_path):
    store = filled(tmp_path, (1, 0), (2, 0))
    for folder in store.folder.iterdir():
        truncate(folder)
    with pytest.raises(KgenError, match="received 2 damaged ones"):
        store.newest()
    with pytest.raises(KgenError, match="received none"):
        Store(tmp_path / "nowhere").newest()


def full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_last_good_one(call, tmp_path, monkeypatch):
    store = filled(tmp_path, (1, 0))
    with monkeypatch.context() as patched:
        patched.setattr(os, call, full_disk)
        with pytest.raises(KgenError, match="No space left on device"):
            store.write(Progress(2, 0), write_text)
    assert names(store) == ["epoch-1-step-0"]
    assert store.newest()[1].epoch == 1


# === The callback ===


def small_model(made=Quadratic, **settings):
    kgen.set_seed(0)
    model = made(**settings)
    model.compile()
    return model


def save_weights(model, folder):
    arrays = {name: keras.ops.convert_to_numpy(v) for name, v in named_variables(model).items()}
    np.savez(folder / "weights.npz", **{name.replace("/", "."): a for name, a in arrays.items()})


def fit(model, store, before=(), save=save_weights, **settings):
    callback = Checkpoints(store, save, Progress(), **settings)
    how = {"batch_size": 32, "epochs": 3, "verbose": 0}
    model.fit(IMAGES, **how, callbacks=[*before, callback])


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        (None, [(1, 0), (2, 0), (3, 0)]),
        (3, [(0, 3), (1, 2), (2, 1), (3, 0)]),
        (100, [(3, 0)]),
    ],
)
def test_checkpoints_are_written_every_so_many_steps_and_at_the_end(every, expected, monkeypatch):
    written = []
    monkeypatch.setattr(Store, "write", lambda _, at, save: written.append((at.epoch, at.step)))
    fit(small_model(), Store("nowhere"), every=every)
    assert written == expected


def test_inside_of_long_epochs_checkpoints_are_written_in_time(monkeypatch):
    monkeypatch.setattr("kgen.runs.checkpoints.SECONDS_BETWEEN", 0.0)
    written = []
    monkeypatch.setattr(Store, "write", lambda _, at, save: written.append((at.epoch, at.step)))
    fit(small_model(), Store("nowhere"))
    assert written[:5] == [(0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]


def test_one_that_cannot_be_written_is_reported_once_and_training_goes_on(tmp_path, caplog):
    model = small_model()
    fit(model, Store(tmp_path), save=full_disk)
    assert int(model.optimizer.iterations) == 12
    (line,) = caplog.messages
    assert "No space left on device" in line
    assert "Training goes on" in line


def test_a_loss_that_is_not_finite_leaves_the_last_finite_checkpoint(tmp_path):
    model = small_model(Failing, fails_at=7)  # step 3 of epoch 2, where only a term is no number
    with pytest.raises(
        kgen.NonFiniteLossError, match="second became non-finite in epoch 2, step 3"
    ):
        fit(model, Store(tmp_path), every=1)
    _, progress = Store(tmp_path).newest()
    assert (progress.epoch, progress.step) == (1, 2)


def test_weights_that_are_not_finite_leave_the_last_finite_checkpoint(tmp_path):
    model = small_model()

    def spoil(epoch, logs):
        if epoch == 1:
            model.mean.assign(model.mean * float("nan"))

    spoiler = keras.callbacks.LambdaCallback(on_epoch_end=spoil)
    with pytest.raises(kgen.NonFiniteLossError, match="quadratic/mean became non-finite"):
        fit(model, Store(tmp_path), before=[spoiler])
    folder, progress = Store(tmp_path).newest()
    assert (progress.epoch, progress.step) == (1, 0)
    with np.load(folder / "weights.npz") as weights:
        assert all(np.isfinite(weights[name]).all() for name in weights)


def test_a_mean_that_was_not_measured_is_null_and_comes_back(tmp_path):
    store = Store(tmp_path)
    history = {"loss": [1.0, 2.0], "frechet_distance": [math.nan, 3.0], "other": [math.inf, 1.0]}
    store.write(Progress(2, 0, 1.0, history), write_text)
    strict_json(next(tmp_path.rglob("checkpoint.json")))
    _, progress = store.newest()
    assert progress.history["frechet_distance"][1] == 3.0
    assert math.isnan(progress.history["frechet_distance"][0])
    assert math.isnan(progress.history["other"][0])


def strict_json(path):
    """As other readers than Python's take it: without NaN and Infinity."""

    def refuse(name):
        raise ValueError(f"{path} holds {name}")

    return json.loads(path.read_text(), parse_constant=refuse)


def test_a_run_that_is_measured_now_and_then_writes_json_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kgen.encoders.for_data", lambda data: lambda x: x.reshape(len(x), -1) / 16)
    run = ["--limit", "64", "--batch-size", "32", "--set", "hidden=(8,)", "--evaluate-every", "2"]
    verb.main([*run, "--epochs", "1", "--out", "run"])
    record = strict_json(tmp_path / "run" / "run.json")
    assert record["last_epoch"]["frechet_distance"] is None
    verb.main(["--resume", "run", "--epochs", "2"])
    written = list((tmp_path / "run").rglob("*.json"))
    assert len(written) == 7
    records = {path.name: strict_json(path) for path in written}
    assert records["run.json"]["last_epoch"]["frechet_distance"] > 0
    rows = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert "nan" in rows[1]
    assert "nan" not in rows[2]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_json_has_null_for_what_is_no_number(value):
    text = as_json({"a": [value, (1.5, {"b": value})], "c": np.float64(2.0)})
    assert json.loads(text) == {"a": [None, [1.5, {"b": None}]], "c": 2.0}


def test_checkpoint_json_says_what_it_holds(tmp_path):
    store = filled(tmp_path, (1, 2))
    content = json.loads((store.folder / "epoch-1-step-2" / "checkpoint.json").read_text())
    assert set(content) == {"content", "checksum"}
    assert set(content["content"]["files"]) == {"weights"}
