"""The constructor arguments of a model: listed, read from the command line, checked."""

import ast
import difflib
import inspect
import math
import types
import typing

import keras

from kgen.errors import KgenError


def constructor_parameters(model_class):
    """{name: inspect.Parameter} of a model class, with those of the bases its `**kwargs` reach."""
    parameters = {}
    for base in model_class.__mro__:
        if base is keras.Model:
            break
        signature = inspect.signature(base.__init__).parameters if "__init__" in vars(base) else {}
        for name, parameter in signature.items():
            if name != "self" and parameter.kind is not parameter.VAR_KEYWORD:
                parameters.setdefault(name, parameter)
    return parameters


def checked_arguments(model_class, arguments):
    """Constructor arguments read from a file (lists for tuples), checked against the annotations.

    Raises:
        KgenError: for an unknown name, a value of another type, or a number that is not finite.
    """
    parameters = constructor_parameters(model_class)
    checked = {}
    for name, value in arguments.items():
        if name not in parameters:
            raise KgenError(f"{model_class.__name__} has no argument {name!r}.")
        annotation = parameters[name].annotation
        value = tuple(value) if type(value) is list else value
        if annotation is not inspect.Parameter.empty and not _is_a(value, annotation):
            raise KgenError(
                f"{name}: expected {_in_words(annotation)}, received {str(value)[:60]!r}."
            )
        checked[name] = value
    return checked


def parse_settings(model_class, assignments):
    """`["width=32", "hidden=(200, 200)"]` as {name: value}, checked against the annotations.

    Raises:
        KgenError: for a misspelt name (with the nearest ones), or a value of another type.
    """
    parameters = constructor_parameters(model_class)
    settings = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise KgenError(f"Expected --set key=value, received {assignment!r}.")
        if name not in parameters:
            nearest = difflib.get_close_matches(name, parameters, cutoff=0.5)
            hint = f"did you mean {' or '.join(nearest)}? " if nearest else ""
            raise KgenError(
                f"{model_class.__name__} has no argument {name!r}: {hint}"
                f"Expected one of {', '.join(parameters)}."
            )
        settings[name] = _parse(name, text, parameters[name].annotation)
    return settings


def _parse(name, text, annotation):
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # the last two: deep nesting
        value = text  # an unquoted string
    if annotation is float and type(value) is int:
        value = float(value)
    if typing.get_origin(annotation) is tuple and type(value) in (int, float, list):
        value = tuple(value) if type(value) is list else (value,)
    if not _is_a(value, annotation):
        raise KgenError(f"{name}: expected {_in_words(annotation)}, received {text!r}.")
    return value


def _is_a(value, annotation):
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return value in arguments
    if origin in (typing.Union, types.UnionType):
        return any(_is_a(value, argument) for argument in arguments)
    if origin is tuple:
        return type(value) is tuple and all(_is_a(item, arguments[0]) for item in value)
    if annotation is float:
        return type(value) is float and math.isfinite(value)
    return value is None if annotation is type(None) else type(value) is annotation


def _in_words(annotation):
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " or ".join(map(str, arguments))
    if origin is tuple:
        return f"a tuple of {_in_words(arguments[0])}, such as 500 or (200, 100)"
    words = {int: "a whole number", float: "a finite number", str: "a word", bool: "True or False"}
    return words.get(annotation, str(annotation))
