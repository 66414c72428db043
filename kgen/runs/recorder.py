"""The Keras callback that writes a run's record: `run.json`, history, pictures and model."""

import kgen.chosen_backend  # before Keras

# isort: split

import csv
import logging
import signal
from pathlib import Path

import keras
import numpy as np

import kgen
from kgen import pictures, saving
from kgen.description.lacking import Lacking
from kgen.errors import Interrupted, KgenError
from kgen.files import atomic_write, write_json
from kgen.runs import checkpoint
from kgen.runs.folder import CHECKPOINTS, MODEL, RECORD
from kgen.spaces import Pixels, count_of, default_condition, rows_of

PICTURES = 20  # sample grids per run, at most
IMAGES_PER_PICTURE = 64
ITEMS_IN_A_ROW = 4  # of samples in stages
LONGEST_REASON = 300  # characters of a warning
SAMPLE_SEED = 0  # all pictures of a run use the same latents, so that they can be compared

logger = logging.getLogger("kgen")


class Recorder(keras.callbacks.Callback):
    """Writes a run's folder; use it as a context manager around `fit`, and as a callback.

    When training ends, or is interrupted between two steps, the model and its progress are saved as
    in a checkpoint; with early stopping, the model first gets back the weights of its best epoch.
    They are not saved after an interruption within a step, or a non-finite loss. `run.json` says
    how training ended. A picture or table that cannot be made is logged once, and training goes on.

    Args:
        folder: an existing folder.
        record: the run's options, for `run.json`; for a resumed run, its whole earlier content.
        progress: the `kgen.runs.checkpoint.Progress` whose history is written here.
        epochs: number of epochs to train.
        model: the run's model, which contains all stages.
        held_out: a `kgen.data.Split` of its items, for validation. Pictures show their
            reconstructions if the model cannot sample, or not before its last stage; or else
            samples of the stage's model.
        stage: the `kgen.runs.stages.Stage` that is trained.

    Attributes:
        picture: path of the last sample grid, or of the best epoch's; None before the first.
    """

    def __init__(self, folder, record, progress, epochs, model, held_out, stage):
        super().__init__()
        self.folder = Path(folder)
        self.record = record
        self.progress = progress
        self.history = progress.history
        self.epochs = epochs
        self.whole_model, self.held_out, self.stage = model, held_out, stage
        self.picture = None
        self.failed = set()

    def __enter__(self):
        self._write_record("running")
        return self

    def __exit__(self, kind, error, traceback):
        ended = kind or self.stage.is_last  # else the next stage begins
        status = _status(kind, error) if ended else "running"
        self.progress.count_seconds()
        try:
            if kind is None or getattr(error, "between_steps", False):
                self._restore_best(draws=kind is None)
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
                name = f"losses{self.stage.suffix}.png"
                self._attempt(name, pictures.save_loss_plot, self.history)
            self._attempt(RECORD, lambda _: self._write_record(status))

    def _restore_best(self, draws):
        """Give the model the weights of the best epoch, if there is one, and draw its samples."""
        if self.progress.best is None:
            return
        best = checkpoint.Store(self.folder / CHECKPOINTS).best(self.progress)
        saving.restore(self._whole(), best)
        if draws:
            self._draw(self.progress.best)

    def on_epoch_end(self, epoch, logs=None):
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))
        self._attempt(f"history{self.stage.suffix}.csv", self._write_history)
        every = -(-self.epochs // PICTURES)
        if (epoch + 1) % every == 0 or epoch + 1 == self.epochs:
            self._draw(epoch + 1)

    def _draw(self, epoch):
        """The pictures of an epoch, from 1."""
        stage = f"{self.stage.name}-" if self.stage.name else ""
        name = f"{stage}epoch-{epoch:03d}{pictures.suffix_of(self.whole_model.space)}"
        self._attempt(f"samples/{name}", self._draw_samples)
        self._attempt("*.png", self._draw_pictures)

    def _whole(self):
        """The run's model; reading `self.model` syncs its state on JAX."""
        return self.model and self.whole_model

    def _save(self, folder):
        kgen.save(self._whole(), folder)

    def _attempt(self, name, write, *arguments):
        try:
            write(self.folder / name, *arguments)
        # Any error of a plotting library or a framework: a picture must not end training.
        except Exception as error:
            kind, reason = write.__name__, " ".join(str(error).split())[:LONGEST_REASON]
            if kind not in self.failed:
                logger.warning("kgen: %s is left out: %s", name, reason or type(error).__name__)
            self.failed.add(kind)

    def _write_history(self, path):
        with atomic_write(path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["epoch", *self.history])
            rows = zip(*self.history.values(), strict=True)
            writer.writerows([number, *row] for number, row in enumerate(rows, 1))

    def _draw_samples(self, path):
        whole, held_out = self._whole(), self.held_out
        first = slice(IMAGES_PER_PICTURE)
        targets, given = np.asarray(held_out.x[first]), rows_of(held_out.condition, first)
        # An earlier stage shows its own samples where the whole model cannot reconstruct.
        model = whole if self.stage.is_last or _reconstructs(whole) else self.stage.model
        if model.can_sample and (self.stage.is_last or model is not whole):
            condition = condition_to_picture(model, given)
            if hasattr(model, "sample_in_stages"):
                self._draw_stages(path, model, condition)
                return
            arguments = model.sampling_arguments(**model.picture_arguments)
            items = model.sample(IMAGES_PER_PICTURE, condition, SAMPLE_SEED, **arguments)
        else:
            items = model.reconstruct(targets, None if model.condition_space is None else given)
        if makes_images_of_images(model):
            pairs = [held_out_rows(images)[: len(items)] for images in (given, targets)]
            spaces = model.condition_space, model.space
            pictures.save_triples(path, pairs[0], items, pairs[1], *spaces)
        else:
            pictures.save_items(path, items, model.space)
        self.picture = path

    def _draw_stages(self, path, model, condition):
        """Samples of a model of images in stages, those of all stages side by side."""
        items = model.sample_in_stages(IMAGES_PER_PICTURE, condition, SAMPLE_SEED)
        columns = ITEMS_IN_A_ROW * items.shape[1]
        pictures.save_grid(path, items.reshape(-1, *items.shape[2:]), model.levels, columns)
        self.picture = path

    def _draw_pictures(self, path):
        """Pictures of the trained model itself, such as filters; they replace earlier ones."""
        whole = self._whole()
        for name, images in whole.pictures().items() if self.stage.is_last else ():
            pictures.save_grid(path.with_name(f"{name}.png"), images, levels=2)

    def _write_record(self, status):
        last = {name: values[-1] for name, values in self.history.items()}
        seconds = round(self.progress.seconds, 1)
        stopped_early = status == "finished" and self.progress.epoch < self.epochs
        outcome = {"status": status, "seconds": seconds, "last_epoch": last}
        outcome |= {"trained_epochs": self.progress.epoch, "best_epoch": self.progress.best}
        outcome |= {"stopped_early": stopped_early}
        record = {**outcome, **self.record, **outcome}  # a resumed run's record has an old outcome
        write_json(self.folder / RECORD, record)


def condition_to_picture(model, held_out):
    """The conditions of a picture's samples: the space's defaults, else held-out conditions."""
    if model.condition_space is None:
        return None
    try:
        return default_condition(model.condition_space, IMAGES_PER_PICTURE)
    except KgenError:
        return held_out_rows(held_out)


def held_out_rows(held_out):
    """Held-out items or conditions for a picture, repeated if there are too few."""
    return rows_of(held_out, np.arange(IMAGES_PER_PICTURE) % count_of(held_out))


def makes_images_of_images(model):
    """Whether both the items and the condition of a model are images."""
    return isinstance(model.condition_space, Pixels) and isinstance(model.space, Pixels)


def _reconstructs(model):
    """Whether a model has a method `reconstruct` of its own."""
    return type(model).reconstruct is not Lacking.reconstruct


def _status(kind, error):
    if kind is None:
        return "finished"
    if kind is Interrupted:
        return f"stopped: interrupted by {signal.Signals(error.status - 128).name}"
    return f"stopped: {str(error) or kind.__name__}"
