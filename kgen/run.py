"""The record that `kgen.fit` keeps while it trains, and the progress it shows."""

import kgen.chosen_backend  # before Keras

# isort: split

import csv
import logging
import os
import platform
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import keras
import numpy as np
import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

import kgen
from kgen import backend, pictures
from kgen.errors import Interrupted, KgenError
from kgen.files import whole_file, write_json
from kgen.run_folder import MODEL, RECORD
from kgen.training import checkpoint

PICTURES = 20  # at most so many sample grids a run
IMAGES_PER_PICTURE = 64
SIGNALS = (signal.SIGINT, signal.SIGTERM)
LONGEST_REASON = 300  # characters of a warning
SAMPLE_SEED = 0  # the same latents in every picture of a run, so that one sees them change

logger = logging.getLogger("kgen")


class ProgressBar(keras.callbacks.Callback):
    """One bar over all steps of a run, with the time that is left; a context around `fit`.

    What kgen logs meanwhile is printed above the bar.

    Args:
        progress: `kgen.training.checkpoint.Progress` where `fit` begins.

    Attributes:
        epochs: seconds of each epoch, with its validation, without what is drawn and saved after.
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
            self.bar.close()  # before anything is printed below it

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


class Recorder(keras.callbacks.Callback):
    """Writes a run's folder; used as a context around `fit`, and as one of its callbacks.

    When training ends, or is interrupted between two steps, the model is saved as it is, with how
    far it is trained, as in a checkpoint; in the middle of a step, or when a loss becomes
    non-finite, it is not. `run.json` says which of these happened. A picture or a table that cannot
    be made is reported once; training goes on.

    Args:
        folder: an existing folder.
        record: what was asked for, for `run.json`; of a run that is continued all that it said.
        progress: `kgen.training.checkpoint.Progress`, whose history is written here.
        epochs: how many will be trained.
        held_out: a `kgen.data.Split`; a model that cannot sample shows its images reconstructed.

    Attributes:
        picture: path of the last sample grid, None before the first.
    """

    def __init__(self, folder, record, progress, epochs, held_out):
        super().__init__()
        self.folder = Path(folder)
        self.record = record
        self.progress = progress
        self.history = progress.history
        self.epochs = epochs
        self.held_out = held_out
        self.picture = None
        self.failed = set()

    def __enter__(self):
        self._write_record("running")
        return self

    def __exit__(self, kind, error, traceback):
        status = _status(kind, error)
        self.progress.count_seconds()
        try:
            if kind is None or getattr(error, "between_steps", False):
                checkpoint.write(self.folder / MODEL, self.progress, self._save)
        except KeyboardInterrupt as interruption:
            status = _status(type(interruption), interruption)
            raise
        except KgenError as failure:
            status = _status(KgenError, failure)
            advice = f"Then save it: python -m kgen.fit --resume {self.folder}"
            raise KgenError(f"{failure} {advice}") from failure
        finally:
            if self.history:
                self._attempt("losses.png", pictures.save_loss_plot, self.history)
            self._attempt(RECORD, lambda _: self._write_record(status))

    def on_epoch_end(self, epoch, logs=None):
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))
        self._attempt("history.csv", self._write_history)
        every = -(-self.epochs // PICTURES)
        if (epoch + 1) % every == 0 or epoch + 1 == self.epochs:
            self._attempt(f"samples/epoch-{epoch + 1:03d}.png", self._draw_samples)

    def _save(self, folder):
        kgen.save(self.model, folder)

    def _attempt(self, name, write, *arguments):
        try:
            write(self.folder / name, *arguments)
        # Whatever a plotting library or a framework raises: no picture is worth a training.
        except Exception as error:
            kind, reason = write.__name__, " ".join(str(error).split())[:LONGEST_REASON]
            if kind not in self.failed:
                logger.warning("kgen: %s is left out: %s", name, reason or type(error).__name__)
            self.failed.add(kind)

    def _write_history(self, path):
        with whole_file(path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["epoch", *self.history])
            rows = zip(*self.history.values(), strict=True)
            writer.writerows([number, *row] for number, row in enumerate(rows, 1))

    def _draw_samples(self, path):
        if self.model.can_sample:
            images = self.model.sample(IMAGES_PER_PICTURE, seed=SAMPLE_SEED)
        else:
            images = self.model.reconstruct(np.asarray(self.held_out.images[:IMAGES_PER_PICTURE]))
        pictures.save_grid(path, images, self.model.levels)
        self.picture = path

    def _write_record(self, status):
        last = {name: values[-1] for name, values in self.history.items()}
        seconds = round(self.progress.seconds, 1)
        outcome = {"status": status, "seconds": seconds, "last_epoch": last}
        record = {**outcome, **self.record, **outcome}  # a continued run's has an earlier outcome
        write_json(self.folder / RECORD, record)


def _status(kind, error):
    if kind is None:
        return "finished"
    if kind is Interrupted:
        return f"stopped: interrupted by {signal.Signals(error.status - 128).name}"
    return f"stopped: {str(error) or kind.__name__}"


def circumstances():
    """Versions, commit, machine and time: what a figure of this run depends on."""
    packages = ("keras", "numpy")
    versions = {package: metadata.version(package) for package in packages}
    versions[backend.name()] = backend.version()
    return {
        "command": " ".join(["python", *sys.orig_argv[1:]]),
        "backend": backend.name(),
        "device": backend.device(),
        "versions": {"kgen": kgen.__version__, "python": platform.python_version(), **versions},
        "commit": commit(),
        "machine": {"system": platform.platform(), "processors": os.cpu_count()},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def commit():
    """The git commit of kgen's source, with "-dirty" if its files differ; None outside git.

    Other files do not count: a results file that a measurement appends to, for one.
    """

    def git(*arguments):
        folder = Path(__file__).parent
        return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)

    try:
        head, difference = git("rev-parse", "HEAD"), git("diff", "--quiet", "HEAD", "--", ".")
    except OSError:
        return None
    if head.returncode:
        return None
    return head.stdout.strip() + ("-dirty" if difference.returncode else "")
