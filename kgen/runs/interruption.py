"""Ctrl-C and SIGTERM while a run trains."""

import kgen.chosen_backend  # noqa: F401  # before Keras

# isort: split

import signal

import keras

from kgen.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption(keras.callbacks.Callback):
    """Ctrl-C and SIGTERM end training after the step they come in, a second one at once.

    A context around `fit` and what follows it, and the last of its callbacks. In the middle of a
    step there would be nothing to save on JAX: the old state is given away when the step begins,
    the new one arrives when it ends. Nor at an epoch's last step: what its validation is about to
    reset would be lost.

    Args:
        advice: how to continue, for the one line that is printed.

    Attributes:
        requested: the first signal that came, or None.
        at_once: whether a second one came.
    """

    reads_batch_logs = False

    def __init__(self, advice):
        super().__init__()
        self.advice = advice
        self.requested, self.at_once = None, False

    def __enter__(self):
        self.handlers = {number: signal.getsignal(number) for number in SIGNALS}
        for number, handler in self.handlers.items():
            if handler is not signal.SIG_IGN:  # as Ctrl-C is for a process in the background
                signal.signal(number, self._request)
        return self

    def __exit__(self, *error):
        for number, handler in self.handlers.items():
            signal.signal(number, handler)

    def on_train_batch_end(self, batch, logs=None):
        if self.requested and batch + 1 < self.params["steps"]:
            _ = self.model  # reading it brings the state home on JAX
            self._stop(between_steps=True)

    def on_epoch_end(self, epoch, logs=None):
        if self.requested and epoch + 1 < self.params["epochs"]:
            self._stop(between_steps=True)

    def _request(self, number, frame):
        before, self.requested = self.requested, self.requested or number
        if before and not self.at_once:  # what the second one began, a third would disturb
            self.at_once = True
            self._stop(between_steps=False)

    def _stop(self, between_steps):
        advice = f"interrupted, to continue: {self.advice}"
        raise Interrupted(advice, self.requested, between_steps)
