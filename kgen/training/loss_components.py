"""Epoch means of the loss and its terms, and the first step at which one became non-finite."""

import keras
import numpy as np
from keras import ops


class LossComponents(keras.metrics.Metric):
    """Keras metric: epoch means of the loss and its terms, each batch weighted by its size.

    All terms are one vector: a dozen scalar operations per term took a twentieth of the VAE's step
    on TensorFlow.

    It also counts, per term, the steps with a finite running sum. NaN and infinity persist in a
    sum, so after a failure at step s the count is s - 1 and gives the first bad step without a
    device sync per step.

    Batches that could not be checked beforehand are checked in the same way: `see` records the
    range of their values. From the first value outside of a space, all means are NaN.

    Args:
        names: names of the terms.
        spaces: the spaces of a batch's parts, the items first.

    Attributes:
        seen: (largest, -smallest) value of each space with limits, 0 at first.
        looked_at: whether a batch arrived that could not be checked beforehand.
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
        """Record the ranges of a batch's values; return the parts in the model's dtypes.

        Integers (labels, tokens) are clipped to their limits: an embedding fails on others, with
        another error on each backend.

        Args:
            spaces: the spaces of the parts, as at construction.
            parts: tensors, one of each space.
        """
        if self.limited:
            limited = [part for space, part in zip(spaces, parts, strict=True) if space.limits]
            # TensorFlow's maximum of 50,000 values takes 170 us in uint8, 10 us in float32.
            floats = [ops.cast(part, "float32") for part in limited]
            seen = ops.stack([ops.stack([ops.max(part), -ops.min(part)]) for part in floats])
            self.seen.assign(ops.maximum(self.seen, seen))
            self.looked_at = True
        return [_computed_with(space, part) for space, part in zip(spaces, parts, strict=True)]

    def check_seen(self):
        """Raise KgenError if a recorded value was outside of its space."""
        if not self.looked_at:
            return
        for space, seen in zip(self.limited, ops.convert_to_numpy(self.seen), strict=True):
            largest, negated = seen.tolist()
            if space.is_discrete:
                largest, negated = int(largest), int(negated)
            space.check_range(-negated, largest)

    def update_state(self, values, images):
        """Add a batch: `values` is {name: mean over its images}, `images` their number."""
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
        """{name: mean over the images so far}."""
        means = ops.unstack(self.total / ops.maximum(self.count, 1.0), len(self.names))
        return dict(zip(self.names, means, strict=True))


def _computed_with(space, part):
    """A tensor in the dtype of its space; tokens and labels are clipped to their limits."""
    if space.dtype == "int32":
        return ops.clip(ops.cast(part, "int32"), *space.limits)
    return ops.cast(part, "float32") if space.dtype == "float32" else part


class NonFiniteLossError(FloatingPointError):
    """A loss term became infinite or NaN; training has stopped."""


def check_finite(terms, epoch):
    """Raise `NonFiniteLossError` if a term is non-finite; it names term, epoch and step (from 1).

    Raises:
        KgenError: if the cause is a value of the images or labels outside of its space.
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
