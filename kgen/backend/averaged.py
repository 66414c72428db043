"""Inference with averaged weights: in a model with `ema`, weights are read from their averages."""

import keras


def inference_sources(model, variables):
    """For each variable, the one that inference reads: its average, or itself."""
    if not getattr(model, "ema", 0.0):
        return variables
    return [model.averages.of(variable) for variable in variables]


def by_averages(model, function):
    """`function` with weights read from their averages; it must assign no variable."""
    if not getattr(model, "ema", 0.0):
        return function

    def call(*args):
        pairs = zip(model.averages.weights, model.averages.values, strict=True)
        with keras.StatelessScope([(weight, average.value) for weight, average in pairs]):
            return function(*args)

    return call
