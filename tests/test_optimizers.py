"""One step of any optimizer is Keras' step, whichever operation computes it."""

import keras
import numpy as np
import pytest

from kgen import backend
from kgen.backend.adam import adam_slots
from kgen.testing.comparing import array

STEPS = 5
SHAPES = [(5, 3), (3,), (2, 3, 1, 4)]


class Halved(keras.optimizers.Adam):
    """An Adam of one's own, which moves half as far."""

    @property
    def learning_rate(self):
        return 0.5 * super().learning_rate


def constrained(variables, optimizer):
    variables[0].constraint = keras.constraints.NonNeg()


def frozen(variables, optimizer):
    variables.pop()


PLAIN = {
    "Adam": lambda: keras.optimizers.Adam(0.01),
    "other constants": lambda: keras.optimizers.Adam(0.02, beta_1=0.5, beta_2=0.9, epsilon=1e-3),
    "schedule": lambda: keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.02, 4)),
    "clipped together": lambda: keras.optimizers.Adam(0.01, global_clipnorm=1.0),
}
FURTHER = {
    "amsgrad": lambda: keras.optimizers.Adam(0.01, amsgrad=True),
    "clipped": lambda: keras.optimizers.Adam(0.01, clipnorm=0.1),
    "decayed": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "averaged": lambda: keras.optimizers.Adam(0.01, use_ema=True),
    "another": lambda: keras.optimizers.RMSprop(0.01),
    "subclass": lambda: Halved(0.01),
}


def made(dtype="float32"):
    generator = np.random.default_rng(0)
    return [keras.Variable(generator.normal(size=shape), dtype=dtype) for shape in SHAPES]


def gradients_of(variables):
    """Of other sizes at every step, and lying in memory in the other order."""
    generator = np.random.default_rng(1)
    for step in range(STEPS):
        arrays = [generator.normal(size=v.shape[::-1], scale=10.0**-step) for v in variables]
        yield [
            keras.ops.transpose(keras.ops.cast(a, "float32"), axes=tuple(range(a.ndim))[::-1])
            for a in arrays
        ]


def trained(create, step, change=None):
    """All numbers of the variables and of the optimizer after some steps of it."""
    variables, optimizer = made(), create()
    optimizer.build(list(variables))
    if change:
        change(variables, optimizer)
    for gradients in gradients_of(variables):
        step(optimizer, gradients, variables)
    return [array(variable) for variable in (*variables, *optimizer.variables)]


def assert_same_steps(create, **settings):
    expected = trained(create, lambda optimizer, *step: optimizer.apply(*step), **settings)
    received = trained(create, backend.apply_gradients, **settings)
    for ours, keras_own in zip(received, expected, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("name", [*PLAIN, *FURTHER])
def test_a_step_is_keras_own(name):
    assert_same_steps({**PLAIN, **FURTHER}[name])


def test_clipping_hides_nothing_infinite():
    """Divided by their norm, finite gradients would become 0."""
    variables, optimizer = made(), PLAIN["clipped together"]()
    optimizer.build(list(variables))
    gradients = [keras.ops.full(shape, np.inf if shape == (3,) else 1.0) for shape in SHAPES]
    backend.apply_gradients(optimizer, gradients, variables)
    assert all(np.isnan(array(variable)).all() for variable in variables)


@pytest.mark.parametrize("change", [constrained, frozen])
def test_constraints_and_frozen_variables_are_respected(change):
    assert_same_steps(PLAIN["Adam"], change=change)


def slots_of(create, dtype="float32"):
    variables, optimizer = made(dtype), create()
    optimizer.build(variables)
    return adam_slots(optimizer, variables)


@pytest.mark.parametrize("name", PLAIN)
def test_the_slots_of_plain_adam_are_found(name):
    momentums, velocities = slots_of(PLAIN[name])
    assert [slot.shape for slot in momentums] == [slot.shape for slot in velocities] == SHAPES
    assert all("momentum" in slot.path for slot in momentums)
    assert all("velocity" in slot.path for slot in velocities)


@pytest.mark.parametrize("name", FURTHER)
def test_what_is_more_than_adam_has_none(name):
    assert slots_of(FURTHER[name]) is None


def test_another_precision_has_none():
    assert slots_of(PLAIN["Adam"], dtype="bfloat16") is None
