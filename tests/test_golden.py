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
from contract import BATCH_SIZE, array, case_of, cases, class_of, names_of, recorded_moves

FOLDER = Path(__file__).parent / "golden"
STEPS = 20
GRADIENTS, LOSSES = 1e-4, 1e-3  # the largest relative deviations from the record
ROUNDING = 1e-5  # of a move's largest gradient: float32's 1e-7, summed over 64 pixels


class Noise:
    """Stands for a model's noise, from NumPy."""

    def __init__(self):
        self.generator = np.random.default_rng(1)

    def normal(self, shape):
        return self._tensor(self.generator.standard_normal(tuple(map(int, shape)), "float32"))

    def uniform(self, shape):
        return self._tensor(self.generator.random(tuple(map(int, shape)), "float32"))

    @staticmethod
    def _tensor(values):
        return keras.ops.convert_to_tensor(values)


def prepared(name):
    """A model that runs eagerly, its weights and noise from NumPy, and its fixed batches."""
    case = case_of(name)
    model = case.compiled(run_eagerly=True)
    generator = np.random.default_rng(0)
    for variable in model.trainable_variables:
        shape = tuple(variable.shape)
        drawn = generator.standard_normal(shape)
        fan_in = np.prod(shape[:-1]) if len(shape) > 1 else 100  # vectors: a tenth
        start = 0 if len(shape) > 1 else array(variable.value)
        variable.assign((start + drawn / np.sqrt(fan_in)).astype("float32"))
    noise = Noise()
    for draw in ("normal", "uniform"):
        if hasattr(model, draw):
            setattr(model, draw, getattr(noise, draw))
    batches = case.all_images[: STEPS * BATCH_SIZE].reshape(STEPS, BATCH_SIZE, 8, 8, 1)
    labels = np.arange(STEPS * BATCH_SIZE).reshape(STEPS, BATCH_SIZE) % 10
    return model, batches, labels


@functools.cache
def computed(name):
    """The numbers of a model on the running backend, as they stand in a record."""
    model, batches, labels = prepared(name)
    record = {}
    for number, move in enumerate(recorded_moves(model, batches[0], labels[0])):
        record[f"move {number} loss"] = move.loss
        record.update({f"move {number} term {term}": v for term, v in move.terms.items()})
        record.update({f"move {number} gradient {v}": g for v, g in move.gradients.items()})
    losses = [[float(array(mean)) for mean in model.get_metrics_result().values()]]
    for images, label in zip(batches[1:], labels[1:], strict=True):
        model.reset_metrics()
        logs = model.train_on_batch(images, label, return_dict=True)
        losses.append([logs[term] for term in model.tracked])
    return {**record, "losses": np.array(losses, "float32")}


@functools.cache
def recorded(name):
    with np.load(FOLDER / f"{name}.npz") as record:
        return dict(record)


every_case = pytest.mark.parametrize("name", cases())


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
    model = case_of(name).create()
    names = names_of(model)
    expected = {names[id(variable)] for variable in model.trainable_variables}
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
    counts = np.array(["accuracy" in term for term in class_of(name).tracked])
    tolerance = np.where(counts, 1.01 / BATCH_SIZE, LOSSES * np.abs(expected))
    assert (np.abs(received - expected) <= tolerance).all()


def write():
    FOLDER.mkdir(exist_ok=True)
    for name in cases():
        np.savez_compressed(FOLDER / f"{name}.npz", **computed(name))
        print(FOLDER / f"{name}.npz")


if __name__ == "__main__":
    sys.exit(write())
