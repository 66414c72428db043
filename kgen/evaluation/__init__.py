"""How good a trained model is: sample quality against real images, and likelihood.

    evaluation = kgen.evaluation.evaluate(model, kgen.data.load("mnist"))

`python -m kgen.evaluate RUN` does this for runs and prints it as a table or a page.
"""

from kgen.evaluation.likelihood import likelihood
from kgen.evaluation.quality import Reference, images_compared, quality
from kgen.evaluation.whole import Evaluation, check_images_of, evaluate

__all__ = [
    "Evaluation",
    "Reference",
    "check_images_of",
    "evaluate",
    "images_compared",
    "likelihood",
    "quality",
]
