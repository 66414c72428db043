"""Models fitted from sums over the items of an epoch: closed forms, and EM."""

import keras
import numpy as np
from keras import ops

from kgen.errors import KgenError
from kgen.training.optimizers import ClosedFormUpdate


class ClosedForm:
    """Mixin of a `GenerativeModel` whose variables follow from sums over all training items.

    `compile()` takes a `ClosedFormUpdate` from `recommended_optimizer`. A training step then adds
    the sums of its batch and changes no other variable. After the last step of an epoch, before
    validation, `maximise` computes the variables from the epoch's sums, in NumPy and float64. The
    result depends neither on the batch size nor on the order of the items, up to rounding. The
    sums are variables: a run that is resumed within an epoch ends as it would have.

    An epoch's loss is that of the variables before its update, its validation loss that after it.
    `train_on_batch` adds to the sums; call `end_epoch` to update the variables from them.

    With another optimizer, `compile(keras.optimizers.Adam())`, the model is trained by gradient
    steps on `objective`, as every other model.

    A subclass calls `add_sums` in its constructor, and defines

    - `expectations(x, condition) -> (loss, {term: value}, {name: sum over the batch})`,
    - `maximise(sums)`, which assigns the variables; `sums` are {name: float64 array}.
    """

    closed_form_epochs = 30  # of EM, unless `kgen.fit` is told otherwise

    def add_sums(self, **shapes):
        """Create the sums, {name: shape}."""
        self.sums = Sums(shapes)

    def expectations(self, x, condition):
        """(loss, {term: value}, {name: sum over the batch's items}); the loss is a mean."""
        raise NotImplementedError(f"{type(self).__name__} defines no expectations.")

    def maximise(self, sums):
        """Assign the variables that follow from an epoch's sums, {name: float64 array}."""
        raise NotImplementedError(f"{type(self).__name__} defines no maximise.")

    def constructed(self):
        if self.ema:
            raise KgenError(
                f"Expected ema=0 for {type(self).__name__}, which is fitted in closed form and has "
                f"no steps to average, received {self.ema:g}: leave it out."
            )
        super().constructed()

    def recommended_optimizer(self):
        return ClosedFormUpdate()

    @property
    def is_fitted_in_closed_form(self):
        """Whether the model was compiled for closed-form updates, not for gradient steps."""
        return isinstance(self.optimizer, ClosedFormUpdate)

    @property
    def short_run_epochs(self):
        return self.closed_form_epochs if self.is_fitted_in_closed_form else None

    def train_step(self, data):
        if not self.is_fitted_in_closed_form:
            return super().train_step(data)
        x, condition = self.unpack(data)
        loss, terms, sums = self.expectations(x, condition)
        self.sums.add(sums)
        self.optimizer.iterations.assign_add(1)
        return self.track(x, loss=loss, **terms)

    def begin_epoch(self):
        self.sums.reset()  # an earlier `fit` may have ended within an epoch

    def end_epoch(self):
        if not self.is_fitted_in_closed_form:
            return
        self.maximise(self.sums.totals())
        self.sums.reset()


class Sums(keras.layers.Layer):
    """Sums of tensors over many steps, without float32's rounding; JAX has no float64.

    Each sum is a pair of float32 variables. The second one holds what rounding takes from the first
    (Donald Knuth: The Art of Computer Programming 2, section 4.2.2, theorem B). So a sum of a
    million numbers has a relative error of about 1e-9, in float32 alone 1e-4.

    Args:
        shapes: {name: shape}.
    """

    def __init__(self, shapes):
        super().__init__(trainable=False)
        self.pairs = {
            name: [self._zeros(shape, name), self._zeros(shape, f"{name}_rest")]
            for name, shape in shapes.items()
        }
        self.built = True

    def _zeros(self, shape, name):
        settings = {"trainable": False, "dtype": "float32", "autocast": False}
        return self.add_weight(shape=shape, initializer="zeros", name=name, **settings)

    def add(self, values):
        """Add {name: tensor}, one of every name."""
        for name, (total, rest) in self.pairs.items():
            before, value = total.value, ops.cast(values[name], "float32")
            after = before + value
            added = after - before
            lost = (before - (after - added)) + (value - added)
            total.assign(after)
            rest.assign(rest.value + lost)

    def totals(self):
        """{name: float64 array}."""
        return {
            name: sum(np.asarray(ops.convert_to_numpy(part), "float64") for part in pair)
            for name, pair in self.pairs.items()
        }

    def reset(self):
        """Set all sums to 0."""
        for pair in self.pairs.values():
            for part in pair:
                part.assign(ops.zeros_like(part.value))
