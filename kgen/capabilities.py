"""Capabilities of models, and the registered models that have them."""

import inspect

from kgen import models
from kgen.errors import KgenError

# {attribute of a model: the capability in words}
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
    """Raise KgenError unless a model has all `capabilities`; it names models that do.

    Args:
        model: a `GenerativeModel`, its class, or an object with its attributes.
        capabilities: keys of `CAPABILITIES`.
    """
    if not all(getattr(model, capability, None) for capability in capabilities):
        expected = " and ".join(CAPABILITIES[capability] for capability in capabilities)
        received = model if isinstance(model, type) else type(model)
        raise KgenError(
            f"Expected a model {expected}, received {received.__name__}: take one of "
            f"{names_with(*capabilities)}."
        )


def log_prob_arguments(model, **given):
    """The arguments among `given` that the model's `log_prob` takes; some bounds draw no samples.

    Args:
        model: a `GenerativeModel`, or its class.
        given: arguments such as samples and seed.
    """
    taken = inspect.signature(model.log_prob).parameters
    return {name: value for name, value in given.items() if name in taken}


def names_with(*capabilities):
    """The names of the registered models with all `capabilities`, separated by commas."""
    classes = {name: models.get(name) for name in models.REGISTRY}
    return ", ".join(n for n, c in classes.items() if all(getattr(c, a) for a in capabilities))
