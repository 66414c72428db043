"""Exponential moving average (EMA) of a model's weights, used for inference.

Yasin Yazici et al.: The Unusual Effectiveness of Averaging in GAN Training. 2018, arXiv:1806.04498.
"""

import contextlib

import keras
from keras import ops

WARM_UP = 10.0  # steps until the decay, steps / (steps + WARM_UP), reaches a half


class Averages:
    """Averages of the float weights of some networks; seeds and integer tables are left out.

    Args:
        model: the model that owns the averages, as non-trainable weights.
        networks: the networks whose weights are averaged.
        decay: fraction of the average that a step keeps, below 1. A warm-up lowers it in the first
            steps, so that initial weights do not linger.
    """

    def __init__(self, model, networks, decay):
        self.decay = decay
        weights = [weight for network in networks for weight in network.variables]
        self.weights = [w for w in weights if keras.backend.is_float_dtype(w.dtype)]
        self.values = [_copy(weight) for weight in self.weights]
        holder = keras.layers.Layer(trainable=False)
        holder.values, holder.built = self.values, True
        model.averaged_weights = holder  # the last layer, so the order of other variables stays
        # A separate step count: an optimizer's restarts at each `compile`.
        self.steps = model.add_weight(
            shape=(), initializer="zeros", trainable=False, dtype="float32", autocast=False
        )
        self.averaged = dict(zip(map(id, self.weights), self.values, strict=True))

    def of(self, weight):
        """The average of a weight, or the weight itself if it is not averaged."""
        return self.averaged.get(id(weight), weight)

    def update(self):
        """Update after a step: average <- kept * average + (1 - kept) * weight."""
        steps = self.steps.value  # 0, 1, ...
        kept = ops.minimum(self.decay, steps / (steps + WARM_UP))
        self.steps.assign(steps + 1.0)
        for average, weight in zip(self.values, self.weights, strict=True):
            average.assign(kept * average + (1.0 - kept) * weight)


def _copy(weight):
    """A variable of the same path, with its own buffer: JAX donates buffers to the step."""
    *scopes, name = weight.path.split("/")
    with contextlib.ExitStack() as stack:
        for scope in scopes:
            stack.enter_context(keras.name_scope(scope))
        return keras.Variable(
            ops.copy(weight.value), trainable=False, dtype=weight.dtype, autocast=False, name=name
        )
