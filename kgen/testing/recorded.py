"""A training step that also returns what each of its `minimize` calls did."""

from typing import NamedTuple
from unittest import mock

import keras
from keras import ops

from kgen import backend
from kgen.testing.comparing import array, names_of, same


class Update(NamedTuple):
    """One `minimize` of a training step."""

    player: str | None
    loss: float
    terms: dict
    gradients: dict  # {name: array}
    before: dict  # {name: array} of the model's variables, but for seeds
    after: dict

    @property
    def changed(self):
        """Names of the variables that it changed."""
        return {name for name, value in self.after.items() if not same(self.before[name], value)}


class Recorded:
    """A compiled model whose training step, compiled as ever, also returns its updates."""

    def __init__(self, model):
        self.model, self.players = model, []
        self.names = names_of(model)
        self.train_step, self.differentiate = model.train_step, backend.value_and_grad
        model.train_step = self._train_step

    def step(self, *batch):
        """One training step: its updates, and {term: value}."""
        # Keras' own: a golden record's batches are none that kgen's would take.
        logs = keras.Model.train_on_batch(self.model, *batch, return_dict=True)
        arrays = keras.tree.map_structure(array, logs.pop("updates"))
        return [Update(*update) for update in zip(self.players, *arrays, strict=True)], logs

    def _train_step(self, data):
        """What is compiled."""
        self.players, updates = [], {name: [] for name in Update._fields[1:]}
        minimize = type(self.model).minimize

        def differentiate(model, function, variables):
            result = self.differentiate(model, function, variables)
            gradients = map(ops.copy, result[1])  # PyTorch clips them where they are
            named = zip((self.names[id(v)] for v in variables), gradients, strict=True)
            updates["gradients"].append(dict(named))
            return result

        def recording(model, loss_function, player=None, *args):
            self.players.append(player)
            updates["before"].append(self._floats())
            loss, terms = minimize(model, loss_function, player, *args)
            updates["after"].append(self._floats())
            updates["loss"].append(loss)
            updates["terms"].append(terms)
            return loss, terms

        with (
            mock.patch.object(backend, "value_and_grad", differentiate),
            mock.patch.object(type(self.model), "minimize", recording),
        ):
            logs = self.train_step(data)
        return {**logs, "updates": list(updates.values())}

    def _floats(self):
        """{name: value} of the model's variables, but for seeds, at this point of the step."""
        return {
            self.names[id(v)]: ops.stop_gradient(ops.copy(v.value))
            for v in self.model.variables
            if id(v) in self.names and keras.backend.is_float_dtype(v.dtype)
        }
