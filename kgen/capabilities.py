"""What a model can do, and which of the registered models can."""

import inspect

from kgen import models
from kgen.errors import KgenError

# {attribute of a model: what one has that has it}
CAPABILITIES = {
    "can_complete": "that completes images",
    "can_sample": "that draws new images",
    "conditional": "that is given labels",
    "decodes": "that decodes latents",
    "encodes": "with latents",
    "has_sampler": "that samples by one pass through a network",
    "likelihood": "with a likelihood",
}


def require(model, *capabilities):
    """Raise a KgenError, which names the registered models that have them, for one that has not.

    Args:
        model: a `GenerativeModel`, its class, or what has the attributes that are used of one.
        capabilities: of `CAPABILITIES`.
    """
    if not all(getattr(model, capability, None) for capability in capabilities):
        expected = " and ".join(CAPABILITIES[capability] for capability in capabilities)
        received = model if isinstance(model, type) else type(model)
        raise KgenError(
            f"Expected a model {expected}, received {received.__name__}: take one of "
            f"{names_with(*capabilities)}."
        )


def log_prob_arguments(model, **given):
    """Of these arguments those that the model's `log_prob` takes: a bound may draw samples or not.

    Args:
        model: a `GenerativeModel`, or its class.
        given: such as samples and seed.
    """
    taken = inspect.signature(model.log_prob).parameters
    return {name: value for name, value in given.items() if name in taken}


def names_with(*capabilities):
    """The names of the registered models that have them all, with commas between them."""
    classes = {name: models.get(name) for name in models.REGISTRY}
    return ", ".join(n for n, c in classes.items() if all(getattr(c, a) for a in capabilities))
