"""Evaluation of trained models: sample quality against real images, and likelihood.

    evaluation = kgen.evaluation.evaluate(model, kgen.data.load("mnist"))

`python -m kgen.evaluate RUN` evaluates runs and prints a table or writes a page. The callback
`kgen.evaluation.SampleQuality` measures samples during training.
"""

import importlib

from kgen.evaluation.likelihood import likelihood
from kgen.evaluation.quality import Reference, images_compared, quality
from kgen.evaluation.whole import Evaluation, check_images_of, evaluate, images_scored

__all__ = [
    "Evaluation",
    "Reference",
    "SampleQuality",
    "check_images_of",
    "evaluate",
    "images_compared",
    "images_scored",
    "likelihood",
    "quality",
]


def __getattr__(name):
    if name != "SampleQuality":
        raise AttributeError(f"module 'kgen.evaluation' has no attribute {name!r}")
    # Imported late: it is a Keras callback, and importing this package must not import Keras.
    return importlib.import_module("kgen.evaluation.sample_quality").SampleQuality
