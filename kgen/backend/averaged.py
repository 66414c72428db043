"""Inference by averaged weights: in a model with `ema`, each weight is read from its average."""

import contextlib

import keras


def inference_sources(model, variables):
    """Of each variable the one whose value inference reads: its average, or itself."""
    if not getattr(model, "ema", 0.0):
        return variables
    return [model.averages.of(variable) for variable in variables]


def averaged(model):
    """Context: weights are read from their averages; nothing may be assigned."""
    if not getattr(model, "ema", 0.0):
        return contextlib.nullcontext()
    pairs = zip(model.averages.weights, model.averages.values, strict=True)
    return keras.StatelessScope([(weight, average.value) for weight, average in pairs])
