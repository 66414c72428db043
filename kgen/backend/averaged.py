"""Inference by averaged weights: in a model with `ema`, each weight is read from its average."""

import keras


def inference_sources(model, variables):
    """Of each variable the one whose value inference reads: its average, or itself."""
    if not getattr(model, "ema", 0.0):
        return variables
    return [model.averages.of(variable) for variable in variables]


def by_averages(model, function):
    """`function`, which assigns no variable, as it is when weights are read from their averages."""
    if not getattr(model, "ema", 0.0):
        return function

    def call(*args):
        pairs = zip(model.averages.weights, model.averages.values, strict=True)
        with keras.StatelessScope([(weight, average.value) for weight, average in pairs]):
            return function(*args)

    return call
