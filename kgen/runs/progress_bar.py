"""The progress bar of `kgen.fit`, over all steps of a run."""

import kgen.chosen_backend  # noqa: F401  # before Keras

# isort: split

import logging
import sys
import time

import keras
import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm


class ProgressBar(keras.callbacks.Callback):
    """Keras callback and context manager around `fit`: one bar over all steps of a run.

    It shows the remaining time. kgen's log lines are printed above the bar.

    Args:
        progress: the `kgen.runs.checkpoint.Progress` where `fit` begins.

    Attributes:
        epochs: seconds of each epoch, including validation, without pictures and checkpoints.
    """

    reads_batch_logs = False

    def __init__(self, progress):
        super().__init__()
        self.progress = progress
        self.epochs = []

    def __enter__(self):
        self.bar = None
        self.above_the_bar = logging_redirect_tqdm([logging.getLogger("kgen")])
        self.above_the_bar.__enter__()
        return self

    def __exit__(self, *error):
        self.above_the_bar.__exit__(*error)
        if self.bar is not None:
            self.bar.close()  # before other output

    def on_train_begin(self, logs=None):
        steps = self.params["steps"]
        total, done = self.params["epochs"] * steps, self.progress.epoch * steps
        how = {"unit": "step", "mininterval": 0.2 if sys.stderr.isatty() else 10}
        self.bar = tqdm.tqdm(total=total, initial=done + self.progress.step, **how)

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(time.monotonic() - self.started)
        terms = {name: f"{value:.4g}" for name, value in logs.items() if "val_" not in name}
        self.bar.set_postfix(epoch=epoch + 1, **terms, refresh=False)
