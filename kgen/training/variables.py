"""Everything that training changes, by name."""

import re

GROUPS = ("model", "optimizer", "mean")


def variable_groups(model):
    """{group: {name: variable}}: the model's own, the optimizer's slots, the epoch's means.

    Names are equal in every process: Keras' counters (`dense_17`) are left out, the position in the
    group makes them unique.
    """
    optimizer = model.optimizer.variables if model.compiled else []
    groups = (model.variables, optimizer, model.terms.variables)
    return {
        group: {
            f"{group}/{index:03d}/{re.sub(r'_[0-9]+(?=[/_]|$)', '', variable.path)}": variable
            for index, variable in enumerate(variables)
        }
        for group, variables in zip(GROUPS, groups, strict=True)
    }


def named_variables(model):
    """{name: variable} of everything that training changes, except the epoch's means."""
    groups = variable_groups(model)
    return {**groups["model"], **groups["optimizer"]}
