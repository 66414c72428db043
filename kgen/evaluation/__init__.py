"""How good a trained model is: sample quality against real images, and likelihood.

    evaluation = kgen.evaluation.evaluate(model, kgen.data.load("mnist"))

`python -m kgen.evaluate RUN` does this for runs and prints it as a table or a page, and the
callback `kgen.evaluation.SampleQuality` while a model trains.
"""

import importlib

from kgen.evaluation.likelihood import likelihood
from kgen.evaluation.quality import Reference, images_compared, quality
from kgen.evaluation.whole import Evaluation, check_images_of, evaluate

__all__ = [
    "Evaluation",
    "Reference",
    "SampleQuality",
    "check_images_of",
    "evaluate",
    "images_compared",
    "likelihood",
    "quality",
]


def __getattr__(name):
    if name != "SampleQuality":
        raise AttributeError(f"module 'kgen.evaluation' has no attribute {name!r}")
    # A Keras callback, and Keras is imported when it is needed.
    return importlib.import_module("kgen.evaluation.sample_quality").SampleQuality
