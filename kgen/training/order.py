"""Data order: batch i of epoch e is a pure function of (seed, e, i), equal on every backend."""

import keras
import numpy as np

from kgen.errors import KgenError
from kgen.spaces import rows_of


class Batches(keras.utils.PyDataset):
    """Batches of arrays, reshuffled every pass over the data.

    Each pass is a permutation drawn from (seed, pass). An epoch of `fit` is the next
    `steps_per_epoch` batches of these passes, one after the other. The last batch of a pass may be
    smaller.

    Args:
        x: array (n, ...), or an array-like whose method `at_epoch(e)` returns the array of pass e
            (dynamic binarisation).
        condition: array (n, ...), a dict of arrays, or None.
        batch_size: items per batch.
        seed: non-negative int.
        shuffle: False keeps the order of the arrays.
        steps_per_epoch: batches per epoch of `fit`; None for one pass over the data.
        trained: number of epochs trained before epoch 0 of this `fit`.
    """

    def __init__(
        self, x, condition, batch_size, seed, shuffle=True, steps_per_epoch=None, trained=0
    ):
        super().__init__()
        self.x, self.condition = x, condition
        self.batch_size, self.seed, self.shuffle = batch_size, seed, shuffle
        self.batches_per_pass = -(-len(x) // batch_size)
        self.steps_per_epoch = steps_per_epoch or self.batches_per_pass
        self.trained = trained
        self.epoch = 0
        self.first = 0  # first batch of this epoch; the ones before it are trained already
        self._drawn = None

    @property
    def num_batches(self):
        return self.steps_per_epoch - self.first

    def __getitem__(self, index):
        return self.batch(self.epoch, self.first + index)

    def batch(self, epoch, index):
        """Batch `index` of epoch `epoch` (both from 0) as (x,) or (x, condition)."""
        index += (self.trained + epoch) * self.steps_per_epoch
        passes, index = divmod(index, self.batches_per_pass)
        x, order = self._draw(passes)
        chosen = order[index * self.batch_size : (index + 1) * self.batch_size]
        if self.condition is None:
            return (x[chosen],)
        return x[chosen], rows_of(self.condition, chosen)

    def _draw(self, passes):
        # One attribute, replaced at once: TensorFlow's prefetching thread may still ask for the
        # previous epoch while the next one begins.
        drawn, place = self._drawn, (self.seed, passes)
        if drawn is None or drawn[0] != place:
            at_epoch = getattr(self.x, "at_epoch", None)
            x = self.x if at_epoch is None else at_epoch(passes)
            order = np.arange(len(x))
            if self.shuffle:
                order = np.random.default_rng([self.seed, passes]).permutation(order)
            drawn = self._drawn = (place, x, order)
        return drawn[1:]


def check_number(x, at_least):
    """Raise KgenError if there are fewer than `at_least` items, one batch."""
    if len(x) < at_least:
        raise KgenError(
            f"Expected at least one batch of {at_least} items, received {len(x)}: "
            "pass a smaller batch_size."
        )


def number_of_batches(data, batch_size=None):
    """Number of batches in one pass over arrays or user-made batches; None if unknown."""
    if hasattr(data, "shape"):
        return -(-len(data) // (batch_size or 32))
    try:
        return getattr(data, "num_batches", None) or len(data)
    except TypeError:  # a tf.data pipeline of unknown length, a generator
        return None
