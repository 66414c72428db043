"""kgen's compiled training step without the `fit` around it."""

import keras
from keras import ops

from kgen import backend


def bare_loop(model):
    """A function that trains `model` on batches, one call of its compiled step for each.

    It returns when they are computed. On JAX the model's variables are of no use from then on:
    their values are in the state that each step hands to the next, as within a `fit`.
    """
    model.make_train_function()
    step = LOOPS[backend.name()](model, model.train_function)

    def train(batches):
        for batch in batches:
            logs = step((batch,))
        backend.synchronise(logs)

    return train


def _jax(model, step):
    groups = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    state = tuple([variable.value for variable in group] for group in groups)

    def call(batch):
        nonlocal state
        logs, state = step(state, iter([batch]))
        return logs

    return call


LOOPS = {
    "jax": _jax,
    "tensorflow": lambda model, step: lambda batch: step(iter([batch])),
    "torch": lambda model, step: (
        lambda batch: step([keras.tree.map_structure(ops.convert_to_tensor, batch)])
    ),
}
