"""The Keras callback that writes checkpoints during `fit`."""

import kgen.chosen_backend  # noqa: F401  # before Keras

# isort: split

import logging
import time

import keras
import numpy as np
from keras import ops

from kgen.description.variables import named_variables
from kgen.errors import KgenError
from kgen.training.loss_components import NonFiniteLossError, check_finite

SECONDS_BETWEEN = 600.0  # between checkpoints within a long epoch

logger = logging.getLogger("kgen")


class Checkpoints(keras.callbacks.Callback):
    """Keras callback: writes checkpoints during `fit`.

    A checkpoint that cannot be written is logged once; training goes on, and the last good one
    stays. A non-finite state is never written: training stops. The best epoch so far, by
    `progress.best`, always gets one.

    Args:
        store: a `Store`.
        save: (model, folder) -> None; writes the model into the folder.
        progress: the `Progress` where `fit` begins; updated here, except history and seconds.
        every: steps between checkpoints; None for each epoch's end, and every ten minutes.
        stopping: () -> whether training will stop after this step.

    Raises:
        NonFiniteLossError: names the loss term or the variable that is not finite.
    """

    reads_batch_logs = False

    def __init__(self, store, save, progress, every=None, stopping=lambda: False):
        super().__init__()
        self.store, self.save, self.progress = store, save, progress
        self.every, self.stopping = every, stopping
        self.failed = False
        self.steps = 0  # since the last checkpoint
        self.time = time.monotonic()  # of the last checkpoint

    def on_epoch_begin(self, epoch, logs=None):
        self.progress.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.steps += batch + 1 - self.progress.step
        self.progress.step = batch + 1
        in_time = self.every is None and time.monotonic() >= self.time + SECONDS_BETWEEN
        # After an epoch's last step the checkpoint waits for the validation, see `on_epoch_end`.
        inside = self.progress.step < self.params["steps"]
        if inside and (in_time or self._enough_steps() or self.stopping()):
            check_finite(self.model.loss_components, self.progress.epoch + 1)
            self._write()

    def on_epoch_end(self, epoch, logs=None):
        self.progress.epoch, self.progress.step = epoch + 1, 0
        last = epoch + 1 == self.params["epochs"]
        kept = last or self.progress.best == epoch + 1
        if self.every is None or kept or self._enough_steps() or self.stopping():
            self._write()

    def _enough_steps(self):
        return self.every is not None and self.steps >= self.every

    def _write(self):
        model = self.model  # reading it syncs the state on JAX
        self._check_variables(model)
        self.progress.count_seconds()
        try:
            self.store.write(self.progress, lambda folder: self.save(model, folder))
        except KgenError as error:
            if not self.failed:
                logger.warning("kgen: %s Training goes on; the last checkpoint is kept.", error)
            self.failed = True
        self.steps, self.time = 0, time.monotonic()

    def _check_variables(self, model):
        for name, variable in named_variables(model).items():
            is_float = keras.backend.is_float_dtype(variable.dtype)
            if is_float and not np.isfinite(ops.convert_to_numpy(variable)).all():
                epochs, steps = self.progress.epoch, self.progress.step
                raise NonFiniteLossError(
                    f"{name} became non-finite after {epochs} epochs and {steps} steps: training "
                    "stopped. Try a lower learning rate or clip the gradients."
                )
