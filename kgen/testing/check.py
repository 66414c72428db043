"""What a check is: a promise under a name, and which models it is asked of.

A check is a function of a `Case`, and of a `folder`, an empty temporary one, if it names that
argument. Its name is the promise.
"""

import contextlib
import functools
import inspect
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kgen.capabilities import log_prob_arguments
from kgen.testing.states import quickly_compiled

CHECKS = []


@dataclass(frozen=True)
class Check:
    """A promise.

    Attributes:
        function: of a `Case`, raises what is wrong.
        needs: (model class) -> whether it is asked of such a model.
        of_base_class: whether it is about code that models inherit and none overrides.
        as_users_run: whether steps are compiled by what `jit_compile="auto"` stands for in kgen.
    """

    function: Callable
    needs: Callable
    of_base_class: bool
    as_users_run: bool

    @property
    def name(self):
        return self.function.__name__

    def __call__(self, case):
        with contextlib.ExitStack() as stack:
            if not self.as_users_run:
                stack.enter_context(quickly_compiled())
            arguments = [case]
            if "folder" in inspect.signature(self.function).parameters:
                arguments.append(Path(stack.enter_context(tempfile.TemporaryDirectory())))
            self.function(*arguments)


def check(
    function=None, *, needs=lambda model_class: True, of_base_class=False, as_users_run=False
):
    """Decorator: the function is a check, see `Check`."""
    if function is None:
        settings = {"needs": needs, "of_base_class": of_base_class, "as_users_run": as_users_run}
        return functools.partial(check, **settings)
    CHECKS.append(Check(function, needs, of_base_class, as_users_run))
    return function


# === Which models a check is asked of ===


def has_likelihood(model_class):
    return model_class.likelihood is not None


def is_seeded(model_class):
    """Whether its likelihood is estimated by draws, from a seed."""
    return has_likelihood(model_class) and bool(log_prob_arguments(model_class, seed=0))


def has_bound(model_class):
    """Whether its likelihood is a bound that rises with the number of samples drawn."""
    return model_class.likelihood == "bound" and bool(log_prob_arguments(model_class, samples=1))


def has_players(model_class):
    return bool(model_class.players)


def has_one_loss(model_class):
    return not model_class.players


def can_sample(model_class):
    return model_class.can_sample


def has_noise(model_class):
    return model_class.can_sample and model_class.stochastic


def has_no_noise(model_class):
    return model_class.can_sample and not model_class.stochastic


def has_sampler(model_class):
    return model_class.has_sampler


def is_conditional(model_class):
    return model_class.conditional


def completes(model_class):
    return model_class.can_complete


def has_latents(model_class):
    return model_class.encodes and model_class.decodes


def decodes(model_class):
    return model_class.decodes
