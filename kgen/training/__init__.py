"""The training step of all models: base classes, optimizers, loss components and data order."""

import kgen.chosen_backend  # noqa: F401  # before Keras
from kgen.description.lacking import Lacking
from kgen.inference import (  # noqa: F401  # found here in 0.1.0, too
    importance_weighted_bound,
    in_chunks,
    inference,
    iterated,
    keras_sampler,
    repeated,
)
from kgen.training.closed_form import ClosedForm
from kgen.training.given import Given, GivenLabels
from kgen.training.image_model import ImageModel
from kgen.training.learning_rate import set_learning_rate
from kgen.training.loss_components import NonFiniteLossError
from kgen.training.model import GenerativeModel
from kgen.training.optimizers import ClosedFormUpdate, OptimizerGroup
from kgen.training.players import preserve_moving_statistics

__all__ = [
    "ClosedForm",
    "ClosedFormUpdate",
    "GenerativeModel",
    "Given",
    "GivenLabels",
    "ImageModel",
    "Lacking",
    "NonFiniteLossError",
    "OptimizerGroup",
    "preserve_moving_statistics",
    "set_learning_rate",
]
