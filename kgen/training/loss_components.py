"""The means that `fit` prints, and the first step at which one was no longer a number."""

import keras
import numpy as np
from keras import ops


class LossComponents(keras.metrics.Metric):
    """Means of the loss and its terms over an epoch's images, each batch weighted by its size.

    They stand in one vector: a dozen operations on a number for each of them took a twentieth of
    the vae's step on TensorFlow.

    Besides the sums and the number of images it counts, for each term, the steps whose running sum
    was finite. A sum that is once infinite or NaN stays so: after a failure at step s the count
    says s - 1, whenever somebody looks, and no step has to wait for the host.

    Batches that nobody could check before they came are checked in the same way: `see` notes the
    range of their values, and from the first one outside of what the model knows all means are NaN.

    Args:
        names: of the terms.
        spaces: of what a batch consists of, its items first.

    Attributes:
        seen: (largest, - smallest) value of each space whose values have limits, 0 at first.
        looked_at: whether a batch came that nobody could check before.
    """

    def __init__(self, names, spaces=(), dtype="float32"):
        super().__init__(name="terms", dtype=dtype)
        self.names = tuple(names)
        self.limited = tuple(space for space in spaces if space.limits)
        shape = (len(self.names),)
        self.total = self.add_variable(shape, initializer="zeros", name="total")
        self.count = self.add_variable((), initializer="zeros", name="count")
        self.finite_steps = self.add_variable(shape, initializer="zeros", name="finite_steps")
        self.looked_at = False
        if self.limited:
            shape = (len(self.limited), 2)
            self.seen = self.add_variable(shape, initializer="zeros", name="ranges")

    def see(self, spaces, parts):
        """Note the ranges of a batch's values; returns the parts, as what the model computes with.

        Whole numbers beyond their limits are moved into them: an embedding fails on others, on each
        backend in its own words.

        Args:
            spaces: of the parts, as at construction.
            parts: tensors, one of each space.
        """
        if self.limited:
            limited = [part for space, part in zip(spaces, parts, strict=True) if space.limits]
            # As floats: TensorFlow takes 170 us for the largest of 50,000 uint8 values, 10 for
            # these.
            floats = [ops.cast(part, "float32") for part in limited]
            seen = ops.stack([ops.stack([ops.max(part), -ops.min(part)]) for part in floats])
            self.seen.assign(ops.maximum(self.seen, seen))
            self.looked_at = True
        return [_computed_with(space, part) for space, part in zip(spaces, parts, strict=True)]

    def check_seen(self):
        """Raise KgenError if a value was none that the model knows."""
        if not self.looked_at:
            return
        for space, seen in zip(self.limited, ops.convert_to_numpy(self.seen), strict=True):
            largest, negated = seen.tolist()
            if space.is_discrete:
                largest, negated = int(largest), int(negated)
            space.check_range(-negated, largest)

    def update_state(self, values, images):
        """Add a batch: `values` {name: mean over its images}, `images` their number."""
        images = ops.cast(images, "float32")
        means = ops.stack([ops.cast(values[name], "float32") for name in self.names])
        if self.looked_at:
            most = np.float32([(high, -low) for low, high in (s.limits for s in self.limited)])
            means = ops.where(ops.all(self.seen <= most), means, float("nan"))
        total = self.total + means * images
        self.total.assign(total)
        self.count.assign_add(images)
        self.finite_steps.assign_add(ops.cast(ops.isfinite(total), "float32"))

    def result(self):
        """{name: mean}."""
        means = ops.unstack(self.total / ops.maximum(self.count, 1.0), len(self.names))
        return dict(zip(self.names, means, strict=True))


def _computed_with(space, part):
    """A tensor in the dtype of its space, tokens and labels within their limits."""
    if space.dtype == "int32":
        return ops.clip(ops.cast(part, "int32"), *space.limits)
    return ops.cast(part, "float32") if space.dtype == "float32" else part


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
