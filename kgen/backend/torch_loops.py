"""PyTorch: `scan`, whose body is traced once in loops of inference, and replayed.

In eager mode Keras looks up scopes, dtypes and devices around every operation. A model that draws
an image value by value repeats a few small operations for each, and looked up three times as long
as it computed. `torch.jit.trace` records the operations of one step in milliseconds. They are the
same ones in the same order, so all results are equal, bit for bit.

PyTorch calls `torch.jit` deprecated. What it recommends compiles for seconds before the first draw;
`make_fx`, which records training steps, saves a quarter of the time instead of two thirds.
"""

import contextvars
import warnings

import keras
import torch

from kgen.backend.averaged import by_averages

LONG = 100  # steps; tracing one takes as long as some 20 of them
_traces = contextvars.ContextVar("the loops of this function are traced", default=False)


def scan(function, carry, inputs):
    """Loop `carry, output = function(carry, input)` over the inputs; returns (carry, outputs).

    See `kgen.backend.jax.scan`. In a function of `traced_loops` the second step of a long loop is
    traced, but none that holds a loop itself: a trace of many operations takes long.
    """
    refuse_tracing()
    body = _Body(function, carry, inputs)
    entries = list(zip(*map(torch.unbind, keras.tree.flatten(inputs)), strict=True))
    traces = _traces.get() and len(entries) >= LONG
    state, step, outputs = keras.tree.flatten(carry), body.step, []
    for number, entry in enumerate(entries):
        # The first step runs as it is written: an error keeps its traceback.
        if number == 1 and traces:
            step = _traced(body.step, (*state, *entry))
        state, output = body.parted(step(*state, *entry))
        outputs.append(output)
    stacked = [torch.stack(parts) for parts in zip(*outputs, strict=True)]
    return keras.tree.pack_sequence_as(carry, state), body.output_like(stacked)


class _Body:
    """The function of a loop, from a list of tensors to a list of tensors."""

    def __init__(self, function, carry, inputs):
        self.function, self.carry, self.inputs = function, carry, inputs
        self.kept = len(keras.tree.flatten(carry))
        self.output = None  # an output, once there is one, for its structure

    def step(self, *tensors):
        carry = keras.tree.pack_sequence_as(self.carry, list(tensors[: self.kept]))
        entry = keras.tree.pack_sequence_as(self.inputs, list(tensors[self.kept :]))
        carry, self.output = self.function(carry, entry)
        return (*keras.tree.flatten(carry), *keras.tree.flatten(self.output))

    def parted(self, tensors):
        """The carry and the output of a step, each as a list."""
        return list(tensors[: self.kept]), list(tensors[self.kept :])

    def output_like(self, tensors):
        """A list of tensors in the structure of an output."""
        return keras.tree.pack_sequence_as(self.output, tensors)


def _traced(step, tensors):
    """The operations of a step, or the step itself if it calls `refuse_tracing`.

    Nothing else in a step may depend on values: `jax.lax.scan` traces the same one, and says so.
    PyTorch's warnings are of sizes, which are the same in each step.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        try:
            return torch.jit.trace(step, tensors, check_trace=False)
        except UntraceableError:
            return step


def traced_loops(model, function):
    """`function` with the model's (averaged) weights, where `scan` traces; no gradient flows."""

    def call(*args):
        before = _traces.set(True)
        try:
            # A tensor that requires gradients cannot be a constant of a trace.
            values = [(variable, variable.value.detach()) for variable in model.variables]
            with keras.StatelessScope(values):
                return function(*args)
        finally:
            _traces.reset(before)

    return by_averages(model, call)


class UntraceableError(Exception):
    """A loop cannot be traced."""


def refuse_tracing():
    """Called by what reads values or takes gradients: in a trace it would stay as it was once."""
    if torch.jit.is_tracing():
        raise UntraceableError
