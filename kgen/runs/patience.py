"""Early stopping: the best epoch on the validation images, and when to wait no longer."""

import kgen.chosen_backend  # noqa: F401  # before Keras

# isort: split

import math

import keras

from kgen.errors import KgenError


class Patience(keras.callbacks.Callback):
    """Keras callback: stops a stage when its validation metric no longer improves.

    It decides by the history alone, so a resumed run stops at the same epoch. It sets
    `progress.best`, whose checkpoint `Checkpoints` keeps. Put it behind `Recorder`, which adds to
    the history, and before `Checkpoints`.

    Args:
        model: the model of the stage; `progress_metric` names what its training lowers.
        epochs: number of epochs without improvement after which training stops.
        progress: the stage's `kgen.runs.checkpoint.Progress`.

    Attributes:
        stopped: whether training has stopped, perhaps before it was resumed here.

    Raises:
        KgenError: for a model without a metric of progress.
    """

    def __init__(self, model, epochs, progress):
        super().__init__()
        check_metric(model)
        self.metric = f"val_{model.progress_metric}"
        self.epochs, self.progress = epochs, progress
        self._decide()

    def _decide(self):
        values = self._values()
        self.progress.best = best_epoch(values)
        self.stopped = len(values) - (self.progress.best or 0) >= self.epochs

    def _values(self):
        return self.progress.history.get(self.metric, [])

    def on_epoch_end(self, epoch, logs=None):
        self._decide()
        if self.stopped:
            self.model.stop_training = True

    def __str__(self):
        """The outcome, once there is a best epoch."""
        values, best = self._values(), self.progress.best
        outcome = f"best epoch: {best} of {len(values)}, {self.metric} {values[best - 1]:.4g}"
        return f"{outcome}{', stopped early' if self.stopped else ''}; its weights are kept"


def best_epoch(values):
    """The epoch, from 1, with the lowest value; the first of equal ones.

    Values that are not finite do not count; None if there are no others.
    """
    finite = [(value, epoch) for epoch, value in enumerate(values, 1) if math.isfinite(value)]
    return min(finite, default=(None, None))[1]


def check_metric(model):
    """Raise KgenError for a model without a metric of progress, such as a game."""
    if model.progress_metric not in model.metric_names:
        raise KgenError(
            f"Expected a model with a metric of progress for --patience, received the "
            f"{type(model).__name__} with {', '.join(model.metric_names)}, none of which is one: "
            "leave it out; --evaluate-every measures samples."
        )
