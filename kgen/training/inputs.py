"""The inputs of `fit` and `evaluate`: arrays, or batches that the user makes.

Arrays are checked completely before anything is computed. For batches (tf.data, PyTorch DataLoader,
PyDataset, generators), dtype and shape are checked as they arrive, and values inside the step
(`loss_components.py`).
"""

import copy
import types

import keras
import numpy as np

from kgen.bounds import Fraction, NoNumber, Number, checked
from kgen.errors import KgenError
from kgen.spaces import (
    check_condition,
    check_names,
    count_of,
    in_words,
    rows_of,
    shape_of,
    texts_of,
)

MAY_BE_0 = ("epochs", "initial_epoch")
KINDS = "{what}, a kgen.data.Split, or batches (tf.data, DataLoader, PyDataset, generator)"


def given(model, x, y=None):
    """Checked arrays `(x, condition)`, or `(batches, None)` whose dtype and shape are checked.

    The condition is None for an unconditional model.

    Args:
        x, y: as `fit` takes them.

    Raises:
        KgenError: for anything else, or arrays of a wrong number, dtype, shape or range.
    """
    kinds = KINDS.format(what=f"{model.space.dtype} {model.space.what}")
    if hasattr(x, "train") and hasattr(x, "test"):
        raise KgenError(
            f"Expected {kinds}, received a whole data set: pass data.train, and data.test as "
            "validation_data."
        )
    if hasattr(x, "x") and hasattr(x, "condition"):  # a `kgen.data.Split`
        x, y = x.x, x.condition if y is None else y
    if are_batches(x):
        if y is not None:
            raise KgenError("Expected conditions within the batches, received y too: leave y out.")
        return checked_batches(model, x), None
    if x is None or isinstance(x, str | bytes | dict | int | float):
        raise KgenError(
            f"Expected {kinds}, received {x if x is None else type(x).__name__}: pass, for "
            "instance, kgen.data.load('digits').train."
        )
    return checked_arrays(model, x, y)


def checked_arrays(model, x, y):
    """Checked arrays (items, condition); the condition of an unconditional model is None."""
    x = model.space.check(x)
    if model.condition_space is not None:
        return x, check_condition(model.condition_space, y, len(x))
    if y is not None and count_of(y) != len(x):
        raise KgenError(
            f"Expected a label for each of {len(x)} {model.space.what}, received {count_of(y)}: "
            "pass as many, or none."
        )
    return x, None


def checked_validation(model, validation_data):
    """`validation_data` of `fit`, checked, in the form Keras' `fit` takes; None for None."""
    if validation_data is None:
        return None
    try:
        x, y, weights = _parts(validation_data)
    except ValueError as error:
        raise KgenError(
            "Expected validation_data (images,), (images, labels) or batches, received a "
            f"{type(validation_data).__name__} of {len(validation_data)}: pass (images,)."
        ) from error
    refuse(sample_weight=weights)
    x, y = given(model, x, y)
    if are_batches(x):
        return x
    return (np.asarray(x),) if y is None else (np.asarray(x), y)


def split_validation(x, condition, fraction):
    """Hold out the last `fraction` of the items for validation, as Keras does.

    Returns:
        (x, condition), (held out x, held out condition).

    Raises:
        KgenError: for a fraction that is none, or if either part would be empty.
    """
    fraction = checked("validation_split", fraction, Fraction)
    kept = len(x) - int(len(x) * fraction)
    if not 0 < kept < len(x):
        raise KgenError(
            f"Expected a validation_split that leaves some for both, received {fraction} of "
            f"{len(x)} items: pass a number between 0 and 1."
        )
    parts = slice(kept), slice(kept, None)
    return tuple((x[part], rows_of(condition, part)) for part in parts)


def refuse(**arguments):
    """Raise KgenError if an argument of Keras is given that kgen does not support."""
    for name, value in arguments.items():
        if value is not None:
            raise KgenError(
                f"Expected no {name}, received one: the loss is a mean over images. Draw more "
                "often what shall count more."
            )


def check_numbers(**arguments):
    """Raise KgenError for numbers of `fit` and `evaluate` that are no whole numbers from 1.

    None stands for what Keras chooses; epochs may be 0.
    """
    for name, value in arguments.items():
        if value is not None:
            checked(name, value, NoNumber if name in MAY_BE_0 else Number)


def refuse_for_batches(**arguments):
    """Raise KgenError if an argument is given that applies to arrays only."""
    for name, value in arguments.items():
        if value:
            raise KgenError(
                f"Expected images as an array for {name}={value}, received batches: they are made "
                "already. Leave it out, or pass arrays."
            )


# === Batches ===


def are_batches(x):
    """Whether `x` yields batches, as Keras' `fit` takes them."""
    if isinstance(x, keras.utils.PyDataset | types.GeneratorType):
        return True
    # Strings, lists and arrays are iterable, too.
    array_like = isinstance(x, str | bytes | dict | list | tuple) or hasattr(x, "__array__")
    return hasattr(x, "__iter__") and not array_like and not hasattr(x, "shape")


def checked_batches(model, x):
    """The same batches, each checked as it arrives if it passes through Python."""
    check = BatchCheck(model)
    if isinstance(x, keras.utils.PyDataset):
        if x.num_batches == 0:
            raise KgenError(
                "Expected at least one batch, received a PyDataset of none: add images."
            )
        checked_arrays(model, *check(x[0]))  # Keras reads the first batch, too
        return CheckedBatches(x, check)
    elif hasattr(x, "element_spec"):  # a tf.data.Dataset: dtype and shape are known beforehand
        check(x.element_spec)
    elif isinstance(x, types.GeneratorType):
        return (check.as_tuple(batch) for batch in x)
    elif hasattr(x, "collate_fn"):  # a PyTorch DataLoader
        x = copy.copy(x)
        x.collate_fn = Collate(x.collate_fn, check)
    return x


class BatchCheck:
    """Callable: checks number, dtype and shape of a batch's parts. Strings become tokens.

    It holds spaces, not the model, so that it can be pickled for a DataLoader's workers.
    """

    def __init__(self, model):
        self.space, self.condition_space = model.space, model.condition_space
        self.name = type(model).__name__
        self.warn = True  # of unknown words, in the first batch

    def __call__(self, batch):
        """A batch as (x, condition); the condition of an unconditional model is None."""
        try:
            x, condition, weights = _parts(batch)
        except ValueError as error:
            raise KgenError(
                f"Expected batches {self._forms()}, received {len(batch)} parts: leave the others "
                "out."
            ) from error
        refuse(sample_weight=weights)
        x, given = self._checked_part(self.space, x), None
        if self.condition_space is not None:
            given = self._checked_condition(condition, shape_of(x)[0])
        self.warn = False
        return x, given

    def _forms(self):
        what = self.space.what
        if self.condition_space is None:
            return f"{what}, ({what},) or ({what}, labels)"
        return f"({what}, {in_words(self.condition_space)})"

    def _checked_condition(self, condition, count):
        space = self.condition_space
        if condition is None:
            raise KgenError(
                f"Expected batches {self._forms()} for {self.name}, received {self.space.what} "
                f"alone: pair them with {in_words(space)}."
            )
        if not isinstance(space, dict):
            return self._checked_part(space, condition, count)
        check_names(space, condition)
        return {
            name: self._checked_part(part, condition[name], count) for name, part in space.items()
        }

    def _checked_part(self, space, values, count=None):
        values = _tensor(space.read(values, self.warn))
        space.check_batch(values, count)
        return values

    def as_tuple(self, batch):
        """A checked batch as a tuple (x,) or (x, condition), which every Keras backend takes."""
        x, condition = self(batch)
        return (x,) if condition is None else (x, condition)


class CheckedBatches(keras.utils.PyDataset):
    """The user's PyDataset with checked batches, as tuples of 1 or 2 arrays."""

    def __init__(self, batches, check):
        names = ("workers", "use_multiprocessing", "max_queue_size")
        super().__init__(**{name: getattr(batches, name) for name in names})
        self.batches, self.check = batches, check

    @property
    def num_batches(self):
        return self.batches.num_batches

    def __getitem__(self, index):
        return self.check.as_tuple(self.batches[index])

    def on_epoch_begin(self):
        self.batches.on_epoch_begin()

    def on_epoch_end(self):
        self.batches.on_epoch_end()


class Collate:
    """A DataLoader's `collate_fn` with checked batches, returned as tuples of 1 or 2 tensors."""

    def __init__(self, collate, check):
        self.collate, self.check = collate, check

    def __call__(self, items):
        from kgen.backend.torch_batches import as_tensor  # a DataLoader serves every backend

        return keras.tree.map_structure(as_tensor, self.check.as_tuple(self.collate(items)))


def _parts(batch):
    """(x, y, sample weights), as Keras unpacks a batch; several strings are no parts, but x."""
    return keras.utils.unpack_x_y_sample_weight(batch if texts_of(batch) is None else (batch,))


def _tensor(values):
    return values if hasattr(values, "dtype") else np.asarray(values)
