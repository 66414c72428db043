"""Ctrl-C and SIGTERM while a run trains."""

import kgen.chosen_backend  # noqa: F401  # before Keras

# isort: split

import signal

import keras

from kgen.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption(keras.callbacks.Callback):
    """Ctrl-C and SIGTERM end training after the current step; a second signal ends it at once.

    Use it as a context manager around `fit` and what follows, and as the last callback. On JAX
    there is no state to save within a step: the old state is donated when the step begins, and the
    new one arrives when it ends. Training does not stop after an epoch's last step, but after its
    validation, which resets the epoch's means.

    Args:
        advice: how to continue, for the line that is printed.

    Attributes:
        requested: the first signal received, or None.
        at_once: whether a second one was received.
    """

    reads_batch_logs = False

    def __init__(self, advice):
        super().__init__()
        self.advice = advice
        self.requested, self.at_once = None, False

    def __enter__(self):
        self.handlers = {number: signal.getsignal(number) for number in SIGNALS}
        for number, handler in self.handlers.items():
            if handler is not signal.SIG_IGN:  # background processes ignore Ctrl-C
                signal.signal(number, self._request)
        return self

    def __exit__(self, *error):
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    def on_train_batch_end(self, batch, logs=None):
        if self.requested and batch + 1 < self.params["steps"]:
            _ = self.model  # reading it syncs the state on JAX
            self._stop(between_steps=True)

    def on_epoch_end(self, epoch, logs=None):
        if self.requested and epoch + 1 < self.params["epochs"]:
            self._stop(between_steps=True)

    def _request(self, number, frame):
        before, self.requested = self.requested, self.requested or number
        if before and not self.at_once:  # a third signal must not disturb the second one's exit
            self.at_once = True
            self._stop(between_steps=False)

    def _stop(self, between_steps):
        advice = f"interrupted, to continue: {self.advice}"
        raise Interrupted(advice, self.requested, between_steps)
