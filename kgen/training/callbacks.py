"""Keras' callback list without a wait for the device after every batch."""

import time

import keras
from keras import ops

from kgen.training.terms import check_finite

SECONDS_BETWEEN_READS = 0.25


class CallbackList(keras.callbacks.CallbackList):
    """Calls the callbacks of a `fit` or `evaluate`; fetches a batch's logs only if they are read.

    Keras converts every log of every batch to a Python float, which waits for the device. Here a
    batch's logs are fetched every batch only if a callback other than the progress bar has a batch
    hook; otherwise now and then, and callbacks see `logs=None` in between. A callback whose batch
    hook needs no logs says so by the attribute `reads_batch_logs = False`.

    It also tells the data which epoch begins, and stops training at a non-finite loss.

    Args:
        callbacks: list of callbacks, as `fit` takes it.
        batches: `kgen.training.order.Batches` to tell the epoch, or None.
        params: as of `keras.callbacks.CallbackList`.
    """

    def __init__(self, callbacks, batches=None, **params):
        super().__init__(callbacks, **params)
        self.batches = batches
        self.epoch = None  # the epoch that is being trained, from 1
        self.next_read = 0.0
        self.at_batch_begin = [c for c in self.callbacks if _has(c, "batch_begin")]
        self.at_batch_end = [c for c in self.callbacks if _has(c, "batch_end")]
        self.read_every_batch = any(_reads_batch_logs(c) for c in self.at_batch_end)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch + 1
        if self.batches is not None:
            self.batches.epoch = epoch
        super().on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch, logs=None):
        self._check_finite()
        super().on_epoch_end(epoch, logs)

    def on_test_begin(self, logs=None):
        self._check_finite()  # validation is about to reset the terms
        self.epoch = None
        super().on_test_begin(logs)

    def on_train_batch_begin(self, batch, logs=None):
        for callback in self.at_batch_begin:
            callback.on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        logs = self._read(logs)
        for callback in self.at_batch_end:
            callback.on_train_batch_end(batch, logs)

    def on_test_batch_end(self, batch, logs=None):
        logs = self._read(logs)
        for callback in self.callbacks:
            callback.on_test_batch_end(batch, logs)

    def _read(self, logs):
        if not self.read_every_batch and time.monotonic() < self.next_read:
            return None
        logs = {name: float(ops.convert_to_numpy(value)) for name, value in logs.items()}
        if any(value - value != 0 for value in logs.values()):  # infinite or NaN
            self._check_finite()
        self.next_read = time.monotonic() + SECONDS_BETWEEN_READS
        return logs

    def _check_finite(self):
        if self.epoch is not None:
            check_finite(self.model.metrics, self.epoch)


def _has(callback, hook):
    """Whether a callback defines `on_<hook>` or one of its kinds, such as `on_train_<hook>`."""
    names = (f"on_{hook}", f"on_train_{hook}", f"on_test_{hook}")
    default = keras.callbacks.Callback
    return any(
        getattr(getattr(callback, name), "__func__", None) is not getattr(default, name)
        for name in names
    )


def _reads_batch_logs(callback):
    is_progress_bar = isinstance(callback, keras.callbacks.ProgbarLogger)
    return getattr(callback, "reads_batch_logs", not is_progress_bar)
