"""What every model shares: the training step, its optimizers, terms, data order and checkpoints."""

import kgen.chosen_backend  # noqa: F401  # before Keras
from kgen.training.inference import (
    in_chunks,
    inference,
    iterated,
    keras_sampler,
    repeated,
    sample_bound,
)
from kgen.training.lacking import Lacking
from kgen.training.learning_rate import set_learning_rate
from kgen.training.model import GenerativeModel, ImageModel
from kgen.training.optimizers import OptimizerGroup
from kgen.training.players import statistics_kept
from kgen.training.seeds import set_seed
from kgen.training.terms import NonFiniteLossError

__all__ = [
    "GenerativeModel",
    "ImageModel",
    "Lacking",
    "NonFiniteLossError",
    "OptimizerGroup",
    "in_chunks",
    "inference",
    "iterated",
    "keras_sampler",
    "repeated",
    "sample_bound",
    "set_learning_rate",
    "set_seed",
    "statistics_kept",
]
