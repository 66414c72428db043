"""Everything that training changes, by name; and a memory check before variables are made."""

import contextlib
import math
import re
from unittest import mock

import keras

from kgen.memory import LARGE, available, check_memory

GROUPS = ("model", "optimizer", "mean")


@contextlib.contextmanager
def looked_at(check):
    """Context manager: call `check(shape)` before a Keras variable is allocated."""
    create = keras.Variable.__init__

    def checked(variable, initializer, shape=(), *args, **kwargs):
        check(tuple(shape))
        create(variable, initializer, shape, *args, **kwargs)

    with mock.patch.object(keras.Variable, "__init__", checked):
        yield


def within_memory():
    """Context manager: raise KgenError before the variables made in it exceed free memory."""
    needed, free = 0, None  # bytes; `free` is read once, because JAX allocates its memory later

    def check(shape):
        nonlocal needed, free
        needed += 4 * math.prod(shape)
        if needed >= LARGE:
            free = available() if free is None else free
            check_memory(
                needed, "the variables of a model", "choose smaller arguments of the model", free
            )

    return looked_at(check)


def variable_groups(model):
    """{group: {name: variable}} of the model, the optimizer's slots, and the epoch's means.

    Names are equal in every process: Keras' counters (`dense_17`) are left out, and the position
    in the group makes names unique.
    """
    stages = [stage for _, stage, _ in model.stages()]
    optimizers = [v for stage in stages if stage.compiled for v in stage.optimizer.variables]
    means = [variable for stage in stages for variable in stage.loss_components.variables]
    groups = (model.variables, optimizers, means)
    return {
        group: {
            f"{group}/{index:03d}/{_in_files(variable.path)}": variable
            for index, variable in enumerate(variables)
        }
        for group, variables in zip(GROUPS, groups, strict=True)
    }


def _in_files(path):
    """A variable's path without Keras' counters, with the layer names of kgen 0.1.0's files."""
    return re.sub(r"_[0-9]+(?=[/_]|$)", "", path).replace("upsample_conv", "doubling")


def named_variables(model):
    """{name: variable} of all that training changes, except the epoch's means."""
    groups = variable_groups(model)
    return {**groups["model"], **groups["optimizer"]}
