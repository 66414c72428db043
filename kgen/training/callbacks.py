"""Keras' callback list, without a device sync after every batch."""

import importlib.util
import logging
import time
from pathlib import Path

import keras
import numpy as np
from keras import ops

from kgen.errors import KgenError
from kgen.files import kind, read_json
from kgen.training.loss_components import NonFiniteLossError, check_finite
from kgen.training.optimizers import members_of

SECONDS_BETWEEN_READS = 0.25

logger = logging.getLogger("kgen")


class CallbackList(keras.callbacks.CallbackList):
    """The callback list of a `fit` or `evaluate`; fetches a batch's logs only if they are read.

    Keras converts every log of every batch to a Python float, which waits for the device. Here,
    logs are fetched every batch only if a callback other than the progress bar has a batch hook.
    Otherwise the previous batch's logs are fetched every 0.25 s, and callbacks get `logs=None` in
    between. A callback whose batch hook needs no logs, or older ones, sets the attribute
    `reads_batch_logs = False`.

    The list also tells the data which epoch begins, and the model when an epoch begins and when its
    training steps have ended. It stops training at a non-finite loss. After a resume within an
    epoch it continues the numbers of the batches and the epoch's means.

    A non-finite loss raises `NonFiniteLossError`. If `keras.callbacks.TerminateOnNaN` is among the
    callbacks, the message is logged instead, and training ends as after
    `model.stop_training = True`.

    Args:
        callbacks: list of callbacks, as `fit` takes it.
        batches: the `kgen.training.order.Batches` to tell the epoch, or None.
        initial_step: number of batches of the first epoch that are trained already.
        params: arguments of `keras.callbacks.CallbackList`.

    Raises:
        KgenError: for a callback that cannot work with this model's optimizer or installation.
    """

    def __init__(self, callbacks, batches=None, initial_step=0, **params):
        check_callbacks(keras.tree.flatten(callbacks or []), params["model"])
        super().__init__(callbacks, **params)
        self.batches = batches
        self.first = 0  # first batch of this epoch that is trained here
        self.initial_step = initial_step
        self.means = [ops.convert_to_numpy(v).copy() for v in params["model"].metrics_variables]
        self.epoch = None  # current epoch, from 1
        self.check_trainable = params["model"].check_trainable
        self.next_read = 0.0
        self.earlier = None  # logs of the previous batch, not fetched
        self.at_batch_begin = [c for c in self.callbacks if _has(c, "batch_begin")]
        self.at_batch_end = [c for c in self.callbacks if _has(c, "batch_end")]

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        if self.batches is not None:
            self._go_on_from_backup()

    def _go_on_from_backup(self):
        """Restore what `BackupAndRestore` leaves out: data order, and place within an epoch.

        The means of that epoch cover only its remaining batches, because the file holds none.
        """
        self.batches.seed = self.model.seed
        for callback in self.callbacks:
            if isinstance(callback, keras.callbacks.BackupAndRestore):
                place = _place_within_epoch(callback)
                if place is not None:
                    epoch, self.initial_step = divmod(place, self.batches.steps_per_epoch)
                    self.model._initial_epoch += epoch  # as the callback sets it
                    self.means = list(map(np.zeros_like, self.means))

    def on_train_end(self, logs=None):
        model = self.model
        if any(member.use_ema for member in members_of(model.optimizer)):
            # Keras has set the weights to their averages. On JAX both share one buffer, which
            # cannot be donated twice to the next step.
            for variable in model.optimizer.variables:
                variable.assign(ops.copy(variable))
        super().on_train_end(logs)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.earlier = epoch + 1, None
        self.first, self.initial_step = self.initial_step, 0
        if self.first:  # Keras has just reset the means
            for variable, value in zip(self.model.metrics_variables, self.means, strict=True):
                variable.assign(value)
        if self.batches is not None:
            self.batches.epoch, self.batches.first = epoch, self.first
        if not self.first:
            self.model.begin_epoch()
        super().on_epoch_begin(epoch, logs)
        self.check_trainable()  # a callback may have frozen layers, now or at the last epoch's end

    def on_epoch_end(self, epoch, logs=None):
        self._end_steps()
        super().on_epoch_end(epoch, logs)

    def on_test_begin(self, logs=None):
        self._end_steps()
        super().on_test_begin(logs)

    def _end_steps(self):
        """After an epoch's last training step, and before its validation, which resets the terms.

        Does nothing in an `evaluate`, and at the epoch's end if there was validation.
        """
        self._check_finite()
        if self.epoch is not None:
            self.model.end_epoch()
        self.epoch = self.earlier = None

    def on_test_end(self, logs=None):
        self.model.loss_components.check_seen()
        super().on_test_end(logs)

    def on_train_batch_begin(self, batch, logs=None):
        # The rest of a resumed epoch is shorter than Keras expects. On TensorFlow a step too many
        # would advance seeds and optimizers before it finds no batch.
        if self.first and self.first + batch >= self.batches.steps_per_epoch:
            raise StopIteration
        for callback in self.at_batch_begin:
            callback.on_train_batch_begin(self.first + batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        logs = self._read(logs)
        for callback in self.at_batch_end:
            callback.on_train_batch_end(self.first + batch, logs)

    def on_test_batch_end(self, batch, logs=None):
        logs = self._read(logs)
        for callback in self.callbacks:
            callback.on_test_batch_end(batch, logs)

    def _read(self, logs):
        earlier, self.earlier = self.earlier, logs
        if not any(_reads_batch_logs(callback) for callback in self.at_batch_end):
            if earlier is None or time.monotonic() < self.next_read:
                return None
            logs = earlier
        logs = {name: float(ops.convert_to_numpy(value)) for name, value in logs.items()}
        if any(value - value != 0 for value in logs.values()):  # infinite or NaN
            self._check_finite()
        self.next_read = time.monotonic() + SECONDS_BETWEEN_READS
        return logs

    def _check_finite(self):
        if self.epoch is None:
            return
        try:
            check_finite(self.model.loss_components, self.epoch)
        except NonFiniteLossError as error:
            if not any(_ends_at_nan(callback) for callback in self.callbacks):
                raise
            logger.warning("kgen: %s", error)
            self.model.stop_training = True
            self.epoch = None  # log it once


def check_callbacks(callbacks, model):
    """Raise KgenError for a Keras callback that would fail during training."""
    for callback in callbacks:
        name, members = type(callback).__name__, members_of(model.optimizer)
        rates = keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau
        if isinstance(callback, rates) and any(map(_has_no_constant_rate, members)):
            raise KgenError(
                f"Expected a learning rate that {name} can set, received a schedule or "
                "none: compile with a number, as in keras.optimizers.Adam(0.001)."
            )
        ema = keras.callbacks.SwapEMAWeights
        if isinstance(callback, ema) and not any(member.use_ema for member in members):
            raise KgenError(
                f"Expected an optimizer that averages weights for {name}, received none: compile "
                "with use_ema=True, as in keras.optimizers.Adam(0.001, use_ema=True)."
            )
        if isinstance(callback, keras.callbacks.TensorBoard):
            _check_installed(name, "tensorflow", "tensorboard")


def _check_installed(name, *packages):
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise KgenError(
            f"Expected {' and '.join(packages)} for Keras' {name} on every backend, received none "
            f"of {', '.join(missing)}: pip install {' '.join(missing)}, or use "
            "keras.callbacks.CSVLogger."
        )


def _has_no_constant_rate(optimizer):
    return not isinstance(optimizer.get_config().get("learning_rate"), float)


def _place_within_epoch(backup):
    """Number of steps after which `BackupAndRestore` wrote; None for whole epochs or no file."""
    path = Path(backup.backup_dir, "training_metadata.json")  # a private name of Keras
    if backup.save_freq == "epoch" or kind(path) is None:
        return None
    return read_json(path)["batch"] + 1


def _ends_at_nan(callback):
    return isinstance(callback, keras.callbacks.TerminateOnNaN) and not callback.raise_error


def _has(callback, hook):
    """Whether a callback defines `on_<hook>`, `on_train_<hook>` or `on_test_<hook>`."""
    names = (f"on_{hook}", f"on_train_{hook}", f"on_test_{hook}")
    default = keras.callbacks.Callback
    return any(
        getattr(getattr(callback, name), "__func__", None) is not getattr(default, name)
        for name in names
    )


def _reads_batch_logs(callback):
    is_progress_bar = isinstance(callback, keras.callbacks.ProgbarLogger)
    return getattr(callback, "reads_batch_logs", not is_progress_bar)
