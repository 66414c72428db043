"""The checks of a model class, one by one or all at once."""

import contextlib
import functools
import importlib
import traceback
from unittest import mock

from kgen import models
from kgen.errors import KgenError
from kgen.testing.case import Case
from kgen.testing.check import CHECKS
from kgen.training import GenerativeModel

SUBJECTS = (
    "arguments",
    "learning",
    "games",
    "determinism",
    "sampling",
    "execution",
    "mixed_precision",
    "saved",
    "likelihoods",
    "latents",
    "completion",
    "conditioning",
    "capability",
    "mistakes",
)
for subject in SUBJECTS:
    importlib.import_module(f"kgen.testing.{subject}")


def checks(model_class, of_base_class=False):
    """The checks that apply to a model class, as pytest parametrizes over them.

    They share trained models, so that all together take less time than each in a process.

    Args:
        model_class: a `kgen.GenerativeModel`, defined at the top level of a module. Its attribute
            `small_arguments`, if it has one, is a dictionary of arguments that make it small.
        of_base_class: whether to add those of code that every model inherits, such as that images
            of a wrong shape are refused. kgen's own tests run them on two small models.

    Returns:
        [(name, function without arguments)]; the function raises what is wrong.

    Raises:
        KgenError: for a class that is no model or that no module holds, or without assertions.

    Examples:
        >>> names = [name for name, check in kgen.testing.checks(kgen.VAE)]
        >>> "samples_of_equal_seeds_are_equal" in names
        True
        >>> dict(kgen.testing.checks(kgen.VAE))["is_rebuilt_from_its_config"]()
    """
    _check_class(model_class)
    case = Case(model_class)
    return [
        (check.name, functools.partial(_run, check, case))
        for check in CHECKS
        if check.needs(model_class) and (of_base_class or not check.of_base_class)
    ]


def check_model(model_class, expected_failures=None):
    """Run every check that applies to a model class.

    Args:
        model_class: as of `checks`.
        expected_failures: {name of a check: reason why this model fails it}.

    Returns:
        The names of the checks that passed.

    Raises:
        AssertionError: if a check fails, or passes that is expected to fail; names each, with the
            first line of what is wrong. Its cause is the first failure.
        KgenError: as `checks`; for an expected failure that is no check of this model.
    """
    expected, functions = dict(expected_failures or {}), dict(checks(model_class))
    unknown = ", ".join(sorted(expected.keys() - functions))
    if unknown:
        raise KgenError(
            f"Expected names of checks of {model_class.__name__}, received {unknown}: take those "
            "of kgen.testing.checks."
        )
    errors = {name: _error_of(function) for name, function in functions.items()}
    failures = {
        name: _first_line(error) for name, error in errors.items() if error and name not in expected
    }
    failures |= {
        name: f"passes, and was expected to fail: {reason}"
        for name, reason in expected.items()
        if errors[name] is None
    }
    if failures:
        lines = [f"{name}: {reason}" for name, reason in failures.items()]
        cause = next((errors[name] for name in failures if errors[name]), None)
        raise AssertionError(
            f"{model_class.__name__} fails {len(failures)} of {len(functions)} checks:\n"
            + "\n".join(lines)
        ) from cause
    return [name for name, error in errors.items() if error is None]


def _run(check, case):
    """Run a check; an assertion without a message says what was asserted."""
    with _registered(case.model_class):
        try:
            check(case)
        except AssertionError as error:
            error.args = error.args or (traceback.extract_tb(error.__traceback__)[-1].line,)
            raise


@contextlib.contextmanager
def _registered(model_class):
    """Within, the class has a name: a saved model is loaded by its name."""
    home = (model_class.__module__, model_class.__name__)
    with mock.patch.dict(models.REGISTRY):
        if home not in {entry.home for entry in models.REGISTRY.values()}:
            models.register(":".join(home), model_class)
        yield


def _check_class(model_class):
    """Raise KgenError for what cannot be checked."""
    if not __debug__:
        raise KgenError("Expected assertions, received Python's option -O: start it without.")
    if not (isinstance(model_class, type) and issubclass(model_class, GenerativeModel)):
        raise KgenError(
            f"Expected a class of kgen.GenerativeModel, received {model_class!r}: pass the class "
            "itself, no model of it."
        )
    name, module = model_class.__name__, importlib.import_module(model_class.__module__)
    if getattr(module, name, None) is not model_class:
        raise KgenError(
            f"Expected a class at the top level of a module, received {name}, which "
            f"{model_class.__module__} does not hold: define it there, or it cannot be loaded."
        )


def _error_of(function):
    """What a check raises, None if it passes."""
    try:
        function()
    except Exception as error:
        return error
    return None


def _first_line(error):
    """The first line of what is wrong, with the error's class unless it is an assertion."""
    line, *_ = str(error).splitlines() or ["no message"]
    return line if isinstance(error, AssertionError) else f"{type(error).__name__}: {line}"
