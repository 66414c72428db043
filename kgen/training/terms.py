"""The means that `fit` prints, and the first step at which one was no longer a number."""

import keras
import numpy as np
from keras import ops

from kgen.training.images import check_label_range, check_levels


class Terms(keras.metrics.Metric):
    """Means of the loss and its terms over an epoch's images, each batch weighted by its size.

    They stand in one vector: a dozen operations on a number for each of them took a twentieth of
    the vae's step on TensorFlow.

    Besides the sums and the number of images it counts, for each term, the steps whose running sum
    was finite. A sum that is once infinite or NaN stays so: after a failure at step s the count
    says s - 1, whenever somebody looks, and no step has to wait for the host.

    Batches that nobody could check before they came are checked in the same way: `see` notes the
    range of their values, and from the first one outside of what the model knows all means are NaN.

    Attributes:
        seen: (largest level, - smallest label, largest label), 0 where none was looked at.
        most: what these may be at most; None where nothing is looked at.
    """

    def __init__(self, names, dtype="float32"):
        super().__init__(name="terms", dtype=dtype)
        self.names = tuple(names)
        shape = (len(self.names),)
        self.total = self.add_variable(shape, initializer="zeros", name="total")
        self.count = self.add_variable((), initializer="zeros", name="count")
        self.finite_steps = self.add_variable(shape, initializer="zeros", name="finite_steps")
        self.seen = self.add_variable((3,), initializer="zeros", name="seen")
        self.most = None

    def see(self, images, labels, levels, classes):
        """Note the range of a batch's values; returns the labels, those beyond it moved into it.

        (An embedding fails on them, on each backend in its own words.) All 256 levels of uint8
        images need no look; `labels` None: none enter the model.
        """
        looks_at_levels = levels < 256
        if not looks_at_levels and labels is None:
            return None
        # As floats: TensorFlow takes 170 us for the largest of 50,000 uint8 values, 10 for these.
        seen = [ops.max(ops.cast(images, "float32")) if looks_at_levels else 0]
        if labels is not None:
            numbers = ops.cast(labels, "float32")  # of unsigned ones there is no negative
            seen += [-ops.min(numbers), ops.max(numbers)]
        seen = ops.stack([ops.cast(value, "float32") for value in [*seen, 0, 0][:3]])
        self.seen.assign(ops.maximum(self.seen, seen))
        self.most = (levels - 1, 0, max(classes - 1, 0))
        return None if labels is None else ops.clip(ops.cast(labels, "int32"), 0, classes - 1)

    def check_seen(self):
        """Raise KgenError if a value was none that the model knows."""
        if self.most is not None:
            level, negated, label = ops.convert_to_numpy(self.seen).astype(int).tolist()
            check_levels(level, self.most[0] + 1)
            check_label_range(-negated, label, self.most[2] + 1)

    def update_state(self, values, images):
        """Add a batch: `values` {name: mean over its images}, `images` their number."""
        images = ops.cast(images, "float32")
        means = ops.stack([ops.cast(values[name], "float32") for name in self.names])
        if self.most is not None:
            known = ops.all(self.seen <= np.float32(self.most))
            means = ops.where(known, means, float("nan"))
        total = self.total + means * images
        self.total.assign(total)
        self.count.assign_add(images)
        self.finite_steps.assign_add(ops.cast(ops.isfinite(total), "float32"))

    def result(self):
        """{name: mean}."""
        means = ops.unstack(self.total / ops.maximum(self.count, 1.0), len(self.names))
        return dict(zip(self.names, means, strict=True))


class NonFiniteLossError(FloatingPointError):
    """A loss term became infinite or NaN; training has stopped."""


def check_finite(terms, epoch):
    """Raise `NonFiniteLossError` that names the first term, epoch (from 1) and step (from 1).

    Raises:
        KgenError: if values of the images or labels are what the terms became non-finite of.
    """
    terms.check_seen()
    totals, steps = (ops.convert_to_numpy(v) for v in (terms.total, terms.finite_steps))
    failed = ~np.isfinite(totals)
    if failed.any():
        first = np.argmin(np.where(failed, steps, np.inf))
        raise NonFiniteLossError(
            f"{terms.names[first]} became non-finite in epoch {epoch}, step {int(steps[first]) + 1}"
            ": training stopped. Try a lower learning rate or clip the gradients."
        )
