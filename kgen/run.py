"""The record that `kgen.fit` keeps while it trains, and the progress it shows."""

import csv
import json
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
from kgen.files import whole_file

PICTURES = 20  # at most so many sample grids a run
IMAGES_PER_PICTURE = 64
SAMPLE_SEED = 0  # the same latents in every picture of a run, so that one sees them change


class ProgressBar(keras.callbacks.Callback):
    """One bar over all steps of a run, with the time that is left; a context around `fit`.

    What kgen logs meanwhile is printed above the bar.
    """

    reads_batch_logs = False

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
        total = self.params["epochs"] * self.params["steps"]
        terminal = sys.stderr.isatty()
        self.bar = tqdm.tqdm(total=total, unit="step", mininterval=0.2 if terminal else 10)

    def on_train_batch_end(self, batch, logs=None):
        self.bar.update()

    def on_epoch_end(self, epoch, logs=None):
        terms = {name: f"{value:.4g}" for name, value in logs.items() if "val_" not in name}
        self.bar.set_postfix(epoch=epoch + 1, **terms, refresh=False)


class Interruption(keras.callbacks.Callback):
    """Ctrl-C ends training after the step it came in, a second one at once; a context around `fit`.

    In the middle of a step there would be nothing to save on JAX: the old state is given away when
    the step begins, the new one arrives when it ends.
    """

    reads_batch_logs = False

    def __enter__(self):
        self.requested = False
        self.handler = signal.getsignal(signal.SIGINT)
        if self.handler is not signal.SIG_IGN:  # as it is for a process in the background
            signal.signal(signal.SIGINT, self._request)
        return self

    def __exit__(self, *error):
        signal.signal(signal.SIGINT, self.handler)

    def on_train_batch_end(self, batch, logs=None):
        if self.requested:
            _ = self.model  # reading it brings the state home on JAX
            raise KeyboardInterrupt

    def _request(self, *_):
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


class Recorder(keras.callbacks.Callback):
    """Writes a run's folder; used as a context around `fit`, and as one of its callbacks.

    When training ends, or is interrupted by the user, the model is saved as it is; when a loss
    becomes non-finite it is not. `run.json` says which of these happened.

    Args:
        folder: an existing folder.
        configuration: what was asked for, for `run.json`.
        epochs: how many will be trained.
        held_out: a `kgen.data.Split`; a model that cannot sample shows its images reconstructed.

    Attributes:
        picture: path of the last sample grid, None before the first.
    """

    def __init__(self, folder, configuration, epochs, held_out):
        super().__init__()
        self.folder = Path(folder)
        self.configuration = configuration
        self.epochs = epochs
        self.held_out = held_out
        self.history = {}
        self.picture = None

    def __enter__(self):
        self.started = time.monotonic()
        self.record = {**self.configuration, **circumstances()}
        self._write_record("running")
        return self

    def __exit__(self, kind, error, traceback):
        if kind is None or kind is KeyboardInterrupt:
            kgen.save(self.model, self.folder / "model")
        if self.history:
            pictures.save_loss_plot(self.folder / "losses.png", self.history)
        self._write_record(
            "finished" if kind is None else f"stopped: {str(error) or kind.__name__}"
        )

    def on_epoch_end(self, epoch, logs=None):
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)
        with whole_file(self.folder / "history.csv") as path, open(path, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["epoch", *self.history])
            rows = zip(*self.history.values(), strict=True)
            writer.writerows([number, *row] for number, row in enumerate(rows, 1))
        every = -(-self.epochs // PICTURES)
        if (epoch + 1) % every == 0 or epoch + 1 == self.epochs:
            self._draw_samples(epoch + 1)

    def _draw_samples(self, epoch):
        if self.model.can_sample:
            images = self.model.sample(IMAGES_PER_PICTURE, seed=SAMPLE_SEED)
        else:
            images = self.model.reconstruct(np.asarray(self.held_out.images[:IMAGES_PER_PICTURE]))
        self.picture = self.folder / "samples" / f"epoch-{epoch:03d}.png"
        pictures.save_grid(self.picture, images, self.model.levels)

    def _write_record(self, status):
        seconds = round(time.monotonic() - self.started, 1)
        last = {name: values[-1] for name, values in self.history.items()}
        record = {"status": status, "seconds": seconds, "last_epoch": last, **self.record}
        with whole_file(self.folder / "run.json") as path:
            path.write_text(json.dumps(record, indent=2) + "\n")


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
    """The git commit of kgen's source, with "-dirty" if it was changed; None outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    folder = Path(__file__).parent
    try:
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()
