"""What there is to measure: cases, their budgets, and their identity."""

import hashlib
import importlib.util
import json
from dataclasses import asdict, dataclass

from kgen.errors import KgenError
from kgen.models import REGISTRY

BACKENDS = ("jax", "tensorflow", "torch")


@dataclass(frozen=True)
class Budget:
    """How long a case is measured.

    Attributes:
        rounds: of training, each of `round_seconds` or more, after a round to warm up.
        round_seconds: of one round.
        calls: of sampling, for each batch size.
        warm_ups: calls before these.
        training_seconds: of training before quality is measured.
        images: samples and test images it is measured on.
        timeout: seconds after which a case has failed.
    """

    rounds: int
    round_seconds: float
    calls: int
    warm_ups: int
    training_seconds: float
    images: int
    timeout: float


BUDGETS = {
    "test": Budget(2, 0.01, 3, 1, 0.1, 64, 300),
    "quick": Budget(15, 0.5, 30, 3, 20, 1_000, 600),
    "full": Budget(30, 1.0, 1_000, 10, 600, 10_000, 3_600),
}
SAMPLING_SECONDS = {"test": 0.1, "quick": 5.0, "full": 30.0}  # of a batch size, whatever `calls` is


@dataclass(frozen=True)
class Case:
    """One model on one backend, device and data set."""

    model: str
    backend: str
    data: str = "mnist"
    budget: str = "quick"
    device: str = "auto"
    batch_size: int = 64
    seed: int = 0

    @property
    def hash(self):
        """Sixteen digits that name what is measured: equal cases of two files are comparable."""
        return digest(asdict(self))

    def __str__(self):
        return f"{self.model} on {self.backend}, {self.data}, {self.budget}"


def digest(value):
    """Sixteen digits that name a value made of JSON's types."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def installed_backends():
    """The names of the frameworks that can be imported here."""
    return [name for name in BACKENDS if importlib.util.find_spec(name)]


def plan(models, backends, **settings):
    """The cases of models on backends, in order; None stands for all that there are here.

    Raises:
        KgenError: for a model or a backend that does not exist, or is not installed.
    """
    installed = installed_backends()
    for kind, names, known in (("model", models, REGISTRY), ("backend", backends, installed)):
        unknown = [name for name in names or () if name not in known]
        if unknown:
            remedy = f"install {unknown[0]}" if unknown[0] in BACKENDS else "name one of these"
            raise KgenError(
                f"Expected each {kind} to be one of {', '.join(known)}, received {unknown[0]!r}: "
                f"{remedy}."
            )
    models, backends = (
        dict.fromkeys(names) for names in (models or REGISTRY, backends or installed)
    )
    return [Case(model, backend, **settings) for model in models for backend in backends]
