"""Keras' own callbacks, each on a model with one loss and on one of several players."""

import csv
import importlib.util

import keras
import numpy as np
import pytest
from keras import callbacks

import kgen
from kgen.testing.comparing import array, assert_same, refused, state_of

IMAGES = np.random.default_rng(0).integers(0, 17, (48, 8, 8, 1)).astype("uint8")  # 3 batches
RATES = {"discriminator": 0.004, "generator": 0.001}
TENSORBOARD = ("tensorflow", "tensorboard")


def vae(optimizer):
    model = kgen.VAE((8, 8, 1), levels=17, latent_size=2, hidden=(8,))
    model.compile(optimizer(0.001))
    return model


def gan(optimizer):
    units = {"generator_units": (8,), "discriminator_units": (8,)}
    model = kgen.GAN((8, 8, 1), levels=17, latent_size=2, **units)
    model.compile({player: optimizer(rate) for player, rate in RATES.items()})
    return model


every_kind = pytest.mark.parametrize("create", [vae, gan])


def created(create, optimizer=keras.optimizers.Adam, seed=0):
    kgen.set_seed(seed)
    return create(optimizer)


def fit(model, *callbacks, epochs=2, **settings):
    settings = {"batch_size": 16, "verbose": 0, **settings}
    return model.fit(IMAGES, epochs=epochs, callbacks=list(callbacks), **settings).history


def loss_of(model):
    return model.metric_names[0]


def rates_of(model):
    members = getattr(model.optimizer, "members", {"": model.optimizer})
    return [float(array(member.learning_rate)) for member in members.values()]


class Recording(callbacks.Callback):
    """The weights at each moment: {(hook, epoch): [array]}."""

    def __init__(self):
        super().__init__()
        self.epoch, self.weights = None, {}

    def record(self, hook):
        self.weights[hook, self.epoch] = [array(v.value) for v in self.model.trainable_variables]

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        self.record("epoch")

    def on_train_batch_end(self, batch, logs=None):
        self.record(f"batch {batch}")

    def on_test_begin(self, logs=None):
        self.record("test")

    def on_test_end(self, logs=None):
        self.record("tested")


def weights_of(model):
    return [array(variable.value) for variable in model.trainable_variables]


def assert_equal(received, expected):
    for ours, theirs in zip(received, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def assert_near(received, expected):
    """On TensorFlow Keras swaps by adding and subtracting, which rounds."""
    for ours, theirs in zip(received, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def differ(first, second):
    return any(not np.array_equal(*pair) for pair in zip(first, second, strict=True))


# === Learning rates ===


@every_kind
def test_a_scheduled_rate_is_that_of_every_player(create):
    """Half of each one's own, then 0: the second epoch changes no weight."""
    model, recording = created(create), Recording()
    schedule = callbacks.LearningRateScheduler(lambda epoch, rate: 0.0 if epoch else rate / 2)
    history = fit(model, schedule, recording)
    rates = RATES if create is gan else {"": 0.001}
    for player, rate in rates.items():
        name = f"learning_rate_{player}".rstrip("_")
        np.testing.assert_allclose(history[name], [rate / 2, 0.0], rtol=1e-6)
    assert_equal(weights_of(model), recording.weights["epoch", 0])


@every_kind
def test_the_rates_are_reduced_on_a_plateau(create):
    model = created(create)
    before = rates_of(model)
    plateau = callbacks.ReduceLROnPlateau(
        loss_of(model), factor=0.1, patience=1, mode="min", min_delta=1e9
    )
    fit(model, plateau)
    np.testing.assert_allclose(rates_of(model), 0.1 * np.array(before), rtol=1e-6)


@pytest.mark.parametrize("callback", ["LearningRateScheduler", "ReduceLROnPlateau"])
@every_kind
def test_a_rate_that_follows_a_schedule_is_not_set(create, callback):
    falling = keras.optimizers.schedules.CosineDecay(0.01, 10)
    model = created(create, lambda rate: keras.optimizers.SGD(falling))
    made = {
        "LearningRateScheduler": lambda: callbacks.LearningRateScheduler(lambda epoch, rate: rate),
        "ReduceLROnPlateau": callbacks.ReduceLROnPlateau,
    }
    with refused(callback, "schedule", "compile"):
        fit(model, made[callback]())


def test_one_players_rate_is_set_by_its_name():
    class Freezing(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer["generator"].learning_rate = 0.0

    model = created(gan)
    before = {player: state(model, player) for player in RATES}
    fit(model, Freezing(), epochs=1)
    assert_equal(state(model, "generator"), before["generator"])
    assert differ(state(model, "discriminator"), before["discriminator"])


def state(model, player):
    return [array(variable.value) for variable in model.variables_of(player)]


# === Averaged weights ===


def averaging(rate):
    """Averages the generator's weights, those of a model without players, and no others."""
    return keras.optimizers.Adam(rate, use_ema=rate == RATES["generator"], ema_momentum=0.5)


@every_kind
def test_averaged_weights_are_validated(create):
    model, recording = created(create, averaging), Recording()
    fit(model, callbacks.SwapEMAWeights(), recording, epochs=1, validation_data=(IMAGES[:16],))
    trained, validated = (recording.weights[hook, 0] for hook in ("batch 2", "test"))
    averaged = weights_of(model)  # at its end `fit` sets the weights to the averages
    assert_near(validated, averaged)
    assert_near(recording.weights["tested", 0], trained)
    averages = set(map(id, model.variables_of("generator" if create is gan else None)))
    for variable, *values in zip(model.trainable_variables, trained, averaged, strict=True):
        assert np.allclose(*values, atol=1e-6) == (id(variable) not in averages)
    fit(model, epochs=1)  # weights and averages are two buffers again


@every_kind
def test_averaged_weights_that_nobody_keeps_are_not_swapped(create):
    with refused("SwapEMAWeights", "use_ema=True"):
        fit(created(create), callbacks.SwapEMAWeights())


# === Stopping ===


@every_kind
def test_the_best_weights_are_restored(create):
    model, recording = created(create), Recording()
    stopping = callbacks.EarlyStopping(
        loss_of(model), patience=1, mode="min", min_delta=1e9, restore_best_weights=True
    )
    history = fit(model, stopping, recording, epochs=5)
    assert len(history[loss_of(model)]) == 2
    assert_equal(weights_of(model), recording.weights["epoch", 0])


def exploding(rate):
    return keras.optimizers.SGD(1e30)


# The generator plays against a discriminator that has moved already.
FAILS = {vae: "became non-finite in epoch 1, step 2", gan: "became non-finite in epoch 1, step 1"}


@every_kind
def test_a_non_finite_loss_terminates_training(create, caplog):
    model = created(create, exploding)
    history = fit(model, callbacks.TerminateOnNaN(), epochs=5)
    assert len(history[loss_of(model)]) == 1
    messages = [record.getMessage() for record in caplog.records if record.name == "kgen"]
    assert len(messages) == 1
    assert FAILS[create] in messages[0]


@pytest.mark.parametrize("ending", [(), (callbacks.TerminateOnNaN(raise_error=True),)])
@every_kind
def test_a_non_finite_loss_is_raised_otherwise(create, ending):
    with pytest.raises(kgen.NonFiniteLossError, match=FAILS[create]):
        fit(created(create, exploding), *ending, epochs=5)


# === Files ===


class Interrupting(callbacks.Callback):
    """Before some step of the second epoch."""

    def __init__(self, step):
        super().__init__()
        self.step, self.epoch = step, None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == (1, self.step):
            raise InterruptedError


# With a backup after every second step, the last is that of the second epoch's first step, or of
# the first epoch's second.
BACKUPS = [("epoch", 0, 1), (2, 2, 1), (2, 0, 2), (3, 0, 1)]


@pytest.mark.parametrize(("save_freq", "interrupted_at", "epochs"), BACKUPS)
@every_kind
def test_training_goes_on_where_it_was_backed_up(
    create, save_freq, interrupted_at, epochs, tmp_path
):
    """Bit for bit: weights, slots, noise and order of the images, in a model of another seed."""
    whole = created(create)
    expected = fit(whole)

    def backup():
        return callbacks.BackupAndRestore(tmp_path / "backup", save_freq=save_freq)

    with pytest.raises(InterruptedError):
        fit(created(create), backup(), Interrupting(interrupted_at))
    restored = created(create, seed=1)
    history = fit(restored, backup())
    assert {len(values) for values in history.values()} == {epochs}
    if interrupted_at == 0:  # else its means are of what was left of the epoch
        assert {name: values[-1] for name, values in history.items()} == {
            name: values[-1] for name, values in expected.items()
        }
    assert_same(state_of(restored), state_of(whole))


@every_kind
def test_checkpoints_are_written_within_an_epoch(create, tmp_path):
    model, recording = created(create), Recording()
    path = tmp_path / "{epoch}-{batch}.weights.h5"
    saving = callbacks.ModelCheckpoint(path, save_freq=2, save_weights_only=True)
    fit(model, saving, recording, epochs=1)
    (written,) = tmp_path.iterdir()
    other = created(create, seed=1)
    other.load_weights(written)
    assert_equal(weights_of(other), recording.weights["batch 1", 0])


@every_kind
def test_the_logs_are_written(create, tmp_path):
    history = fit(created(create), callbacks.CSVLogger(tmp_path / "log.csv"))
    with open(tmp_path / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for name, values in history.items():
        np.testing.assert_allclose([float(row[name]) for row in rows], values, rtol=1e-6)


@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, TENSORBOARD)),
    reason="Keras writes TensorBoard's files by TensorFlow and TensorBoard, not all installed here",
)
@every_kind
def test_tensorboards_files_are_written(create, tmp_path):
    fit(created(create), callbacks.TensorBoard(tmp_path, histogram_freq=1))
    assert list(tmp_path.glob("train/events*"))


def test_tensorboard_is_refused_where_it_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with refused("TensorBoard", "pip install tensorflow tensorboard"):
        fit(created(vae), callbacks.TensorBoard(tmp_path))
