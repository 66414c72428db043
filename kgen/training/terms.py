"""The means that `fit` prints, and the first step at which one was no longer a number."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("kgen")
class Term(keras.metrics.Mean):
    """Mean of one loss term over the images of an epoch, each batch weighted by its size.

    Besides the sum and the number of images it counts the steps whose running sum was finite. A sum
    that is once infinite or NaN stays so: after a failure at step s the count says s - 1, whenever
    somebody looks, and no step has to wait for the host.
    """

    def __init__(self, name, dtype="float32"):
        super().__init__(name=name, dtype=dtype)
        self.finite_steps = self.add_variable((), initializer="zeros", name="finite_steps")

    def update_state(self, value, images):
        """Add a batch: `value` the term's mean over its images, `images` their number."""
        images = ops.cast(images, "float32")
        self.total.assign_add(ops.cast(value, "float32") * images)
        self.count.assign_add(images)
        self.finite_steps.assign_add(ops.cast(ops.isfinite(self.total.value), "float32"))

    def reset_state(self):
        super().reset_state()
        self.finite_steps.assign(0)

    def result(self):
        return self.total / ops.maximum(self.count, 1.0)


class NonFiniteLossError(FloatingPointError):
    """A loss term became infinite or NaN; training has stopped."""


def check_finite(terms, epoch):
    """Raise `NonFiniteLossError` that names the first term, epoch (from 1) and step (from 1)."""
    failed = [term for term in terms if not np.isfinite(float(term.total))]
    if failed:
        first = min(failed, key=lambda term: float(term.finite_steps))
        raise NonFiniteLossError(
            f"{first.name} became non-finite in epoch {epoch}, step {int(first.finite_steps) + 1}: "
            "training stopped. Try a lower learning rate or clip the gradients."
        )
