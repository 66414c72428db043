"""The constructor arguments of a model: list, parse and check them."""

import ast
import contextlib
import difflib
import functools
import inspect
import itertools
import types

import keras

from kgen.bounds import checked
from kgen.description.variables import within_memory
from kgen.errors import KgenError

KERAS_ARGUMENTS = ("name", "dtype", "trainable", "autocast", "activity_regularizer")

# Methods whose annotated arguments are checked.
METHODS = ("log_prob", "encode", "decode", "reconstruct", "complete")

# Constructor arguments under the names that earlier versions saved: {old name: name}.
RENAMED = {"width": "base_channels"}


def constructor_parameters(model_class):
    """{name: inspect.Parameter} of a model class and of the base classes its `**kwargs` reach."""
    parameters = {}
    for base in model_class.__mro__:
        if base is keras.Model:
            break
        own = _parameters(base)
        for name, parameter in own.items():
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                parameters.setdefault(name, parameter)
        if own and not _takes_more(own):
            break
    return parameters


def required(model_class):
    """The set of names of constructor arguments without a default."""
    known = constructor_parameters(model_class)
    return {name for name, parameter in known.items() if parameter.default is parameter.empty}


def check_constructor(model_class):
    """Raise KgenError unless a class takes `image_shape`, `levels` and `**kwargs`."""
    taken = constructor_parameters(model_class)
    needed = [name for name in model_class.data_arguments if name not in taken]
    own = next(filter(None, map(_parameters, model_class.__mro__)))
    needed += [] if _takes_more(own) else ["**kwargs"]
    if needed:
        raise KgenError(
            f"Expected {model_class.__name__} to take {', '.join(model_class.data_arguments)} and "
            f"**kwargs, received a constructor without {', '.join(needed)}: add them, for "
            "super().__init__."
        )


def _takes_more(parameters):
    """Whether one of them is `**kwargs`."""
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())


def _parameters(base):
    """The parameters of the class's own `__init__` without `self`; {} if it has none."""
    if "__init__" not in vars(base):
        return {}
    construct = inspect.unwrap(base.__init__)
    _, *parameters = _signature(construct).parameters.values()
    return {parameter.name: parameter for parameter in parameters}


def with_checked_arguments(model_class):
    """Wrap the class's own `__init__`, if it has one, to check its arguments first.

    Each argument is converted by `kgen.bounds.checked` according to its annotation.
    """
    if "__init__" not in vars(model_class):
        return
    construct = model_class.__init__

    @functools.wraps(construct)
    def checked_construct(self, *args, **kwargs):
        own = _parameters(model_class)
        if _takes_more(own):
            known = constructor_parameters(type(self))
            for name in kwargs.keys() - known - set(KERAS_ARGUMENTS):
                raise unknown(type(self), name, known)
        positional = [p for p in own.values() if p.kind is not p.KEYWORD_ONLY]
        args = [
            _checked(parameter, value) for parameter, value in zip(positional, args, strict=False)
        ] + list(args[len(positional) :])  # for too many, Python raises
        kwargs = {
            name: _checked(own[name], value) if name in own else value
            for name, value in kwargs.items()
        }
        outermost = type(self).__init__ is checked_construct
        with within_memory() if outermost else contextlib.nullcontext():
            construct(self, *args, **kwargs)
            if outermost:
                self.constructed()

    # One of the two ways in which Keras inspects the signature does not see through `wraps`.
    checked_construct.__signature__ = inspect.signature(construct)
    model_class.__init__ = checked_construct


def with_checked_methods(model_class):
    """Wrap the methods among `METHODS` to check their annotated arguments first.

    Those of the class and of its mixins, each where it is defined.
    """
    for base in itertools.takewhile(lambda base: base is not keras.Model, model_class.__mro__):
        for name in METHODS:
            method = vars(base).get(name)
            if isinstance(method, types.FunctionType) and not hasattr(method, "__wrapped__"):
                setattr(base, name, _checking(method))


def _checking(method):
    signature = _signature(method)
    annotated = {n: p for n, p in signature.parameters.items() if p.annotation is not p.empty}
    if not annotated:
        return method

    @functools.wraps(method)
    def call(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        for name in annotated.keys() & bound.arguments.keys():
            bound.arguments[name] = _checked(annotated[name], bound.arguments[name])
        return method(*bound.args, **bound.kwargs)

    return call


def _signature(function):
    try:
        return inspect.signature(function, eval_str=True)
    except NameError:  # an annotation that only a type checker can read
        return inspect.signature(function)


def sampling_arguments(model, given):
    """The arguments of `model.sample` other than count, condition and seed: given or default.

    Raises:
        KgenError: for an unknown argument, or a value out of its bounds.
    """
    known = _own_arguments(type(model).sample, leave_out=("self", "count", "condition", "seed"))
    for name in given.keys() - known.keys():
        raise KgenError(
            f"Expected arguments of {type(model).__name__}'s sampling, {', '.join(known) or 'none'}"
            f", received {str(name)[:60]!r}: leave it out."
        )
    defaults = {name: parameter.default for name, parameter in known.items()}
    return defaults | {name: _checked(known[name], value) for name, value in given.items()}


def _own_arguments(function, leave_out):
    parameters = inspect.signature(function, eval_str=True).parameters
    return {name: parameter for name, parameter in parameters.items() if name not in leave_out}


def _checked(parameter, value, received=None):
    if parameter.annotation is parameter.empty:
        return value
    return checked(parameter.name, value, parameter.annotation, received)


def unknown(model_class, name, known):
    """The KgenError for an unknown constructor argument; it suggests the nearest names."""
    renamed = [new for old, new in RENAMED.items() if old == name and new in known]
    nearest = renamed or difflib.get_close_matches(str(name), known, cutoff=0.5)
    hint = f"did you mean {' or '.join(nearest)}? " if nearest else ""
    return KgenError(
        f"{model_class.__name__} has no argument {str(name)[:60]!r}: {hint}"
        f"Expected one of {', '.join(known)}."
    )


def parse_settings(model_class, assignments):
    """Parse `["base_channels=32", "hidden=(200, 200)"]` to checked {name: value}.

    Raises:
        KgenError: for an unknown name (it suggests the nearest), or a value of a wrong type or out
            of its bounds.
    """
    parameters = constructor_parameters(model_class)
    settings = {}
    for name, text in assigned("--set", assignments):
        if name not in parameters:
            raise unknown(model_class, name, parameters)
        settings[name] = _checked(parameters[name], parsed(text), repr(text))
    return settings


def assigned(option, assignments):
    """Split `["beta=4"]` into [("beta", "4")]; KgenError for one without an =."""
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise KgenError(f"Expected {option} key=value, received {assignment!r}: write an =.")
        yield name, text


def parsed(text):
    """A text parsed as a Python literal; the text itself if it is none."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # last two: deep nesting
        return text  # an unquoted string
