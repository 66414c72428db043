"""Every model against a record of its own numbers, made once and equal on every backend.

Weights and noise come from NumPy, so that the three backends compute the same function; only their
arithmetic differs. `python tests/test_golden.py` writes the records anew: do so only for a change
of a model's mathematics, and say in the commit what changed and why.
"""

import functools
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import kgen
from kgen.spaces import Pixels, Tokens
from kgen.testing.case import Case
from kgen.testing.comparing import array, trainable
from kgen.testing.recorded import Recorded
from kgen.testing.states import BATCH_SIZE
from kgen.training import ClosedFormUpdate

FOLDER = Path(__file__).parent / "golden"
STEPS = 20
GRADIENTS, LOSSES = 1e-4, 1e-3  # the largest relative deviations from the record
ROUNDING = 1e-5  # of a move's largest gradient: float32's 1e-7, summed over 64 pixels


@functools.cache
def case_of(name):
    return Case(kgen.models.get(name))


def release(name):
    """Let go of what the tests of a model have built."""
    case_of.cache_clear()


class Noise:
    """Stands for a model's noise, from NumPy: for each draw of a step, a table of all steps."""

    def begin(self, step):
        """The next draws are the first ones of that step, a tensor."""
        self.step, self.generator = step, np.random.default_rng(1)

    def normal(self, shape):
        return self._drawn(self.generator.standard_normal((STEPS, *map(int, shape)), "float32"))

    def uniform(self, shape):
        return self._drawn(self.generator.random((STEPS, *map(int, shape)), "float32"))

    def _drawn(self, table):
        return keras.ops.take(keras.ops.convert_to_tensor(table), self.step, axis=0)


def prepared(name):
    """A model with weights and noise from NumPy, whose batches come with the step's number."""
    model = case_of(name).compiled()
    if isinstance(model.optimizer, ClosedFormUpdate):
        model.compile(keras.optimizers.Adam(0.01))
    generator = np.random.default_rng(0)
    for variable in model.trainable_variables:
        shape = tuple(variable.shape)
        drawn = generator.standard_normal(shape)
        fan_in = np.prod(shape[:-1]) if len(shape) > 1 else 100  # vectors: a tenth
        start = 0 if len(shape) > 1 else array(variable.value)
        variable.assign((start + drawn / np.sqrt(fan_in)).astype("float32"))
    noise, train_step = Noise(), model.train_step
    for draw in ("normal", "uniform"):
        if hasattr(model, draw):
            setattr(model, draw, getattr(noise, draw))

    def numbered_step(data):
        (step, images), labels, _ = data
        noise.begin(step)
        return train_step((images, labels))

    model.train_step = numbered_step
    return model


def batches_of(name):
    """STEPS times ((number, images), condition): labels in turn, or source images or texts."""
    case, count = case_of(name), STEPS * BATCH_SIZE
    items = case.all_items[:count]
    items = items.reshape(STEPS, BATCH_SIZE, *items.shape[1:])
    condition = np.arange(count) % 10
    if isinstance(case.condition_space, Pixels | Tokens):
        condition = case.all_conditions[:count]
    batches = condition.reshape(STEPS, BATCH_SIZE, *condition.shape[1:])
    return zip(enumerate(items), batches, strict=True)


@functools.cache
def computed(name):
    """The numbers of a model on the running backend, as they stand in a record."""
    recorded, losses = Recorded(prepared(name)), []
    for (step, images), labels in batches_of(name):
        moves, logs = recorded.step((np.int32(step), images), labels)
        losses.append([logs[term] for term in recorded.model.metric_names])
        if step == 0:
            first = moves
    record = {"losses": np.array(losses, "float32")}
    for number, move in enumerate(first):
        record[f"move {number} loss"] = move.loss
        record.update({f"move {number} term {term}": v for term, v in move.terms.items()})
        record.update({f"move {number} gradient {v}": g for v, g in move.gradients.items()})
    return record


@functools.cache
def recorded(name):
    with np.load(FOLDER / f"{name}.npz") as record:
        return dict(record)


every_case = pytest.mark.parametrize("name", kgen.models.REGISTRY)


def far(name, keys, tolerance):
    """{key: deviation} where it exceeds `tolerance`, relative to the record's largest entry."""
    deviations = {}
    for key in keys:
        expected, received = recorded(name)[key], computed(name)[key]
        deviations[key] = float(np.max(np.abs(expected - received))) / scale_of(name, key)
    return {key: deviation for key, deviation in deviations.items() if not deviation <= tolerance}


def scale_of(name, key):
    """What deviations are relative to: the record's largest entry.

    But an actnorm fitted to this very batch has, as the last layer, gradients of zero, of which
    rounding leaves something: they need only be as small again.
    """
    largest = float(np.max(np.abs(recorded(name)[key])))
    if " gradient " in key:
        move = key.split(" gradient ")[0]
        gradients = [g for k, g in recorded(name).items() if k.startswith(f"{move} gradient ")]
        zero = ROUNDING * max(float(np.max(np.abs(gradient))) for gradient in gradients)
        if largest < zero:
            return zero / GRADIENTS
    return largest or 1.0  # a penalty that is off is zero everywhere


@every_case
def test_the_record_is_of_this_model(name):
    shapes = {key: np.shape(value) for key, value in computed(name).items()}
    assert shapes == {key: value.shape for key, value in recorded(name).items()}


@every_case
def test_the_record_has_a_gradient_of_every_trainable_variable(name):
    expected = set(trainable(case_of(name).create()))
    assert expected == {key.split(" gradient ")[1] for key in recorded(name) if " gradient " in key}


@every_case
def test_loss_terms_of_the_first_step(name):
    keys = [key for key in recorded(name) if " loss" in key or " term " in key]
    assert far(name, keys, GRADIENTS) == {}


@every_case
def test_gradients_of_the_first_step(name):
    keys = [key for key in recorded(name) if " gradient " in key]
    assert far(name, keys, GRADIENTS) == {}


@every_case
def test_losses_of_twenty_steps(name):
    expected, received = recorded(name)["losses"], computed(name)["losses"]
    # An accuracy counts images: rounding may put one on the other side of the boundary.
    counts = np.array(["accuracy" in term for term in kgen.models.get(name).metric_names])
    tolerance = np.where(counts, 1.01 / BATCH_SIZE, LOSSES * np.abs(expected))
    assert (np.abs(received - expected) <= tolerance).all()


def write(names):
    """The records of these models; of all without names."""
    FOLDER.mkdir(exist_ok=True)
    for name in names or kgen.models.REGISTRY:
        np.savez_compressed(FOLDER / f"{name}.npz", **computed(name))
        print(FOLDER / f"{name}.npz")


if __name__ == "__main__":
    sys.exit(write(sys.argv[1:]))
