"""Loops of inference that PyTorch replays from a trace equal those run operation by operation."""

import warnings

import numpy as np
import pytest
from flat_models import model_of

from kgen import backend

if backend.name() != "torch":  # nothing of what is tested here runs on the others
    pytest.skip("loops are compiled, not traced", allow_module_level=True)

import torch

from kgen.backend import torch_loops

ALWAYS, NEVER = 2, 10**9


@pytest.fixture
def length(monkeypatch):
    """Sets how long a loop must be to be traced."""
    return lambda steps: monkeypatch.setattr(torch_loops, "LONG", steps)


@pytest.fixture
def traced(monkeypatch):
    """Of each loop that was to be traced whether it was, in a list that grows."""
    found, trace = [], torch_loops._traced

    def spied(step, tensors):
        result = trace(step, tensors)
        found.append(result is not step)
        return result

    monkeypatch.setattr(torch_loops, "_traced", spied)
    return found


def summed(function, steps=5):
    """The result of a loop in a function of `traced_loops`."""
    entries = torch.arange(float(steps))
    model = model_of("fvsbn")
    run = backend.compiled(model, lambda x: backend.scan(function, x, entries), loop=True)
    return run(np.zeros(3, "float32"))


@pytest.mark.parametrize("name", ["fvsbn", "nade", "made", "image_transformer"])
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_draws_are_equal(name, ema, length, traced):
    model = model_of(name, (4, 3, 1), ema=ema)
    length(NEVER)
    expected = model.sample(5, seed=0)
    assert not traced
    length(ALWAYS)
    assert np.array_equal(model.sample(5, seed=0), expected)
    assert traced == [True]


def test_each_call_reads_the_weights_anew(length):
    length(ALWAYS)
    model = model_of("nade")
    before = model.sample(20, seed=0)
    for variable in model.trainable_variables:
        variable.assign(-variable)
    after = model.sample(20, seed=0)
    length(NEVER)
    assert np.array_equal(model.sample(20, seed=0), after)
    assert not np.array_equal(before, after)


def test_the_carry_and_the_outputs_go_on(length, traced):
    length(ALWAYS)
    carry, outputs = summed(lambda total, entry: (total + entry, {"before": total}))
    assert carry.tolist() == [10.0] * 3
    assert outputs["before"][:, 0].tolist() == [0.0, 0.0, 1.0, 3.0, 6.0]
    assert traced == [True]


def test_what_reads_values_is_not_traced(length, traced):
    length(ALWAYS)

    def step(total, entry):
        return backend.cond(entry > 2, lambda: total + entry, lambda: total), total

    assert summed(step)[0].tolist() == [7.0] * 3
    assert traced == [False]


def test_what_takes_gradients_is_not_traced(length, traced):
    length(ALWAYS)

    def step(total, entry):
        _, slope = backend.value_and_vjp(lambda x: x * entry, total, torch.ones(3))
        return total + slope, total

    assert summed(step)[0].tolist() == [10.0] * 3
    assert traced == [False]


def test_of_loops_in_loops_the_inner_ones_are_traced(length, traced):
    length(ALWAYS)

    def step(total, entry):
        return backend.scan(lambda x, y: (x + y, x), total, torch.arange(4.0))

    assert summed(step)[0].tolist() == [30.0] * 3
    assert traced.count(False) == 1  # the outer one
    assert traced.count(True) == 5


def test_other_functions_are_not_traced(length, traced):
    length(ALWAYS)
    backend.scan(lambda x, y: (x + y, x), torch.zeros(3), torch.arange(4.0))
    assert not traced


def test_no_warning_and_an_error_of_the_first_step(length):
    length(ALWAYS)

    def wrong(total, entry):
        raise ValueError("of the step")

    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*(trace|jit)")
        model_of("nade").sample(2, seed=0)
        with pytest.raises(ValueError, match="of the step"):
            summed(wrong)
