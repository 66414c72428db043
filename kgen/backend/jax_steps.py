"""JAX: the functions that Keras' `fit` and `evaluate` call to run one or several steps."""

import itertools
from collections import deque

import jax
import keras
import numpy as np

# Since 3.16, Keras stacks the batches itself for `steps_per_execution` > 1.
KERAS_STACKS_BATCHES = tuple(map(int, keras.__version__.split(".")[:2])) >= (3, 16)


def pure_function(function, variables):
    """The pure form of a function that reads and assigns `variables`.

    Returns a function (values, *args) -> (`function(*args)`, new values).
    """

    def run(values, *args):
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            result = function(*args)
        return result, [scope.get_current_value(variable) for variable in variables]

    return run


def make_train_function(model):
    """The function that Keras' JAX `fit` calls: (state, iterator of batches) -> (logs, state)."""
    groups = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    return _step_function(model, model.train_step, groups)


def make_test_function(model):
    """As `make_train_function`, for `evaluate`, whose state has no optimizer."""
    groups = (model.trainable_variables, model.non_trainable_variables, model.metrics_variables)
    return _step_function(model, model.test_step, groups)


def _step_function(model, step, groups):
    run = pure_function(step, [variable for group in groups for variable in group])

    def one_step(state, batch):
        logs, new = run([value for values in state for value in values], batch)
        new = iter(new)
        return tuple(list(itertools.islice(new, len(group))) for group in groups), logs

    def many_steps(state, batches):
        state, logs = jax.lax.scan(one_step, state, batches)
        return state, jax.tree.map(lambda values: values[-1], logs)

    def compile(steps):
        if model.run_eagerly or not model.jit_compile:
            return steps
        compiled = jax.jit(steps, donate_argnums=0)

        def compiled_step(state, batches):  # a Python frame, for Python profilers
            return compiled(state, batches)

        return compiled_step

    run_one, run_many = compile(one_step), compile(many_steps)

    def function(state, iterator):
        state = tuple(map(list, state))
        try:
            stacked, batches = _next_batches(iterator, model.steps_per_execution)
            if stacked is not None:
                state, logs = run_many(state, stacked)
            for batch in batches:  # a single batch, or the remainder of an epoch
                state, logs = run_one(state, batch)
        except BaseException:
            # Keras has taken the values out of the variables. If the first step of a `fit` fails,
            # it does not put them back.
            for variables, values in zip(groups, state, strict=True):
                for variable, value in zip(variables, values, strict=True):
                    variable.assign(value)
            raise
        # Keras stores each step's state in an attribute. It searches lists for layers to track,
        # value by value (a twentieth of the VAE's step), but not deques.
        return logs, tuple(map(deque, state))

    return function


def _next_batches(iterator, steps):
    """(`steps` batches stacked, or None; a list of batches to run one by one)."""
    if steps > 1 and KERAS_STACKS_BATCHES:
        batch = next(iterator)
        if type(batch).__name__ == "PartialBatchList":  # the remainder of an epoch
            return None, batch
        is_stacked = len(jax.tree.leaves(batch)[0]) == steps  # not so from `train_on_batch`
        return (batch, []) if is_stacked else (None, [batch])
    batches = list(itertools.islice(iterator, steps))
    if not batches:
        raise StopIteration
    if len(batches) == steps > 1 and _same_shapes(batches):
        return jax.tree.map(_stack, *batches), []
    return None, batches


def _stack(*parts):
    on_host = isinstance(parts[0], np.ndarray)
    return np.stack(parts) if on_host else jax.numpy.stack(parts)


def _same_shapes(batches):
    shapes = [jax.tree.map(np.shape, batch) for batch in batches]
    return all(shape == shapes[0] for shape in shapes)
