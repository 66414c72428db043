"""Everything that training changes, by name; and a look at variables before they are made."""

import contextlib
import math
import re
from unittest import mock

import keras

from kgen.memory import LARGE, available, check_memory

GROUPS = ("model", "optimizer", "mean")


@contextlib.contextmanager
def looked_at(check):
    """Call `check(shape)` before a Keras variable of that shape takes its memory."""
    create = keras.Variable.__init__

    def checked(variable, initializer, shape=(), *args, **kwargs):
        check(tuple(shape))
        create(variable, initializer, shape, *args, **kwargs)

    with mock.patch.object(keras.Variable, "__init__", checked):
        yield


def within_memory():
    """A context in which variables are made: KgenError before they are more than memory holds."""
    needed, free = 0, None  # bytes; what is free is asked once, for JAX takes its memory later

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
    """{group: {name: variable}}: the model's own, the optimizer's slots, the epoch's means.

    Names are equal in every process: Keras' counters (`dense_17`) are left out, the position in the
    group makes them unique.
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
    """A variable's path without Keras' counters, and with the layers' names of kgen 0.1.0."""
    return re.sub(r"_[0-9]+(?=[/_]|$)", "", path).replace("upsample_conv", "doubling")


def named_variables(model):
    """{name: variable} of everything that training changes, except the epoch's means."""
    groups = variable_groups(model)
    return {**groups["model"], **groups["optimizer"]}
