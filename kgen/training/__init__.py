"""The training step of all models: base classes, optimizers, loss terms and data order."""

import kgen.chosen_backend  # noqa: F401  # before Keras
from kgen.training.given import Given, GivenLabels
from kgen.training.image_model import ImageModel
from kgen.training.inference import (
    importance_weighted_bound,
    in_chunks,
    inference,
    iterated,
    keras_sampler,
    repeated,
)
from kgen.training.lacking import Lacking
from kgen.training.learning_rate import set_learning_rate
from kgen.training.loss_components import NonFiniteLossError
from kgen.training.model import GenerativeModel
from kgen.training.optimizers import OptimizerGroup
from kgen.training.players import preserve_moving_statistics
from kgen.training.seeds import set_seed

__all__ = [
    "GenerativeModel",
    "Given",
    "GivenLabels",
    "ImageModel",
    "Lacking",
    "NonFiniteLossError",
    "OptimizerGroup",
    "importance_weighted_bound",
    "in_chunks",
    "inference",
    "iterated",
    "keras_sampler",
    "preserve_moving_statistics",
    "repeated",
    "set_learning_rate",
    "set_seed",
]
