"""The means that `fit` prints, and the first step at which one was no longer a number."""

import keras
import numpy as np
from keras import ops


class Terms(keras.metrics.Metric):
    """Means of the loss and its terms over an epoch's images, each batch weighted by its size.

    They stand in one vector: a dozen operations on a number for each of them took a twentieth of
    the vae's step on TensorFlow.

    Besides the sums and the number of images it counts, for each term, the steps whose running sum
    was finite. A sum that is once infinite or NaN stays so: after a failure at step s the count
    says s - 1, whenever somebody looks, and no step has to wait for the host.
    """

    def __init__(self, names, dtype="float32"):
        super().__init__(name="terms", dtype=dtype)
        self.names = tuple(names)
        shape = (len(self.names),)
        self.total = self.add_variable(shape, initializer="zeros", name="total")
        self.count = self.add_variable((), initializer="zeros", name="count")
        self.finite_steps = self.add_variable(shape, initializer="zeros", name="finite_steps")

    def update_state(self, values, images):
        """Add a batch: `values` {name: mean over its images}, `images` their number."""
        images = ops.cast(images, "float32")
        means = ops.stack([ops.cast(values[name], "float32") for name in self.names])
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
    """Raise `NonFiniteLossError` that names the first term, epoch (from 1) and step (from 1)."""
    totals, steps = (ops.convert_to_numpy(v) for v in (terms.total, terms.finite_steps))
    failed = ~np.isfinite(totals)
    if failed.any():
        first = np.argmin(np.where(failed, steps, np.inf))
        raise NonFiniteLossError(
            f"{terms.names[first]} became non-finite in epoch {epoch}, step {int(steps[first]) + 1}"
            ": training stopped. Try a lower learning rate or clip the gradients."
        )
