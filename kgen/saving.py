"""Models on disk as JSON and safetensors. Reading them executes nothing from the files.

`model.json` names the registered model and the arguments of its constructor.
`variables.safetensors` holds every variable: weights, moving statistics and seeds; for a compiled
model also the optimizer's slots and the running means of the epoch. So training continues where it
stopped, on any backend.

Files may come from strangers. The model must be registered. Its arguments are plain values, checked
against the constructor's annotations. The shapes of all arrays are known before any array is read,
and no variable is created that the file does not hold.
"""

import kgen.chosen_backend  # noqa: F401  # before Keras

# isort: split

import itertools
import math
from collections import Counter
from pathlib import Path

import keras
import numpy as np
from keras import ops
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from kgen import backend, models
from kgen.bounds import ImageShape, checked
from kgen.description.parameters import constructor_parameters
from kgen.description.variables import GROUPS, looked_at, variable_groups
from kgen.errors import KgenError
from kgen.files import atomic_write, check_no_hole, check_regular_file, read_json, write_json
from kgen.training.learning_rate import with_learning_rate

CONFIG, VARIABLES = "model.json", "variables.safetensors"
SMALL_VARIABLE = 4096  # elements; variables up to this size may be missing in the file
FURTHER_VARIABLES = 100  # most variables that a model may create beyond those in the file


def save(model, folder):
    """Write a registered model to `folder`, which is created if needed.

    Writes are atomic: each file is complete or does not exist.

    Raises:
        KgenError: for a model that is not registered, or a folder that cannot be written.

    Examples:
        >>> kgen.save(kgen.VAE((8, 8, 1), levels=17), "another-vae")
        >>> kgen.load("another-vae").latent_size
        20
    """
    folder = Path(folder)
    config = {"model": models.name_of(model), "config": model.get_config()}
    groups = variable_groups(model).values()
    variables = itertools.chain.from_iterable(group.items() for group in groups)
    # C order: safetensors would write the bytes of any other order unchanged.
    arrays = {name: np.asarray(ops.convert_to_numpy(v), order="C") for name, v in variables}
    with atomic_write(folder / VARIABLES) as path:
        try:
            save_file(arrays, path)
        except SafetensorError as error:  # raised for a full disk, too
            raise OSError(str(error)) from error
    write_json(folder / CONFIG, config)


def load(folder, continuing=False):
    """The model that `save` wrote to `folder`, on any backend.

    If it was compiled when it was saved, it is compiled again with its recommended optimizer and
    that optimizer's saved slots. To use your own optimizer, call `model.compile(...)`.

    Args:
        folder: a path.
        continuing: whether the optimizer's slots and the running means must be there, too, so that
            training can continue.

    Raises:
        KgenError: if there is no model; if the files are damaged or do not belong together; if they
            contain what kgen does not read: links, unknown classes, other types, or a configuration
            that needs more variables than the file holds.

    Examples:
        >>> model = kgen.VAE((8, 8, 1), levels=17)
        >>> kgen.save(model, "a-vae")
        >>> np.array_equal(kgen.load("a-vae").sample(4, seed=0), model.sample(4, seed=0))
        True
    """
    folder = Path(folder)
    try:
        config = read_json(folder / CONFIG)
        check_regular_file(folder / VARIABLES)
        check_no_hole(folder / VARIABLES)
        with safe_open(folder / VARIABLES, framework="numpy") as file:
            names = file.keys()
            shapes = [tuple(file.get_slice(name).get_shape()) for name in names]
            with backend.recurring_variable_names():
                with _only_variables_of(shapes):
                    model = _built(config, most_layers=len(shapes))
                _compile_as_saved(model, {name for name in names if name.startswith("optimizer/")})
            _assign_variables(model, file, continuing)
    except FileNotFoundError as error:
        raise KgenError(
            f"Expected a saved model in {folder}, but {error.filename or VARIABLES} is not there: "
            "name the folder that kgen.save or kgen.fit wrote it to."
        ) from error
    except KgenError as error:
        raise KgenError(f"{folder}: {error}") from error
    # Any other exception of a constructor or a framework, for arguments that passed the checks.
    except Exception as error:
        raise KgenError(
            f"Expected a model saved by kgen in {folder}, received: {error}. Save it again, or "
            "take another copy of it."
        ) from error
    return model


def restore(model, folder):
    """Assign to a compiled model the variables that `save` wrote to `folder` for the same model.

    Its learning rates stay: a run may have gone on with others since.

    Raises:
        KgenError: if they are those of another model.
    """
    try:
        with safe_open(folder / VARIABLES, framework="numpy") as file:
            _assign_all_but_rates(model, file)
    except KgenError as error:
        raise KgenError(f"{folder}: {error}") from error


def _assign_all_but_rates(model, file):
    groups = variable_groups(model).values()
    variables = {name: variable for group in groups for name, variable in group.items()}
    names, saved = _without_rates(variables), _without_rates(file.keys())
    if list(map(_unnumbered, names)) != list(map(_unnumbered, saved)):
        raise KgenError(
            f"expected the variables of this {type(model).__name__} in {VARIABLES}, received those "
            "of another model: take another copy of the run, or start anew."
        )
    for name, place in zip(names, saved, strict=True):
        variables[name].assign(_fitting(name, file.get_tensor(place), variables[name]))


def _without_rates(names):
    """The names in their groups' order; a constant learning rate is a variable, a schedule not."""
    kept = [name for name in names if not name.endswith("/learning_rate")]
    return sorted(kept, key=lambda name: (name.split("/")[0], int(name.split("/")[1])))


def _unnumbered(name):
    """A variable's name without its position in the group, which a learning rate shifts."""
    group, _, rest = name.split("/", 2)
    return group, rest


def _built(config, most_layers):
    if set(config) != {"model", "config"} or not isinstance(config["config"], dict):
        raise KgenError(
            f"Expected 'model' and 'config' in {CONFIG}, received {list(config)[:9]}: it is none "
            "that kgen.save wrote, save the model again."
        )
    model_class = models.get(config["model"])
    arguments = config["config"]
    if "image_shape" in constructor_parameters(model_class):
        checked("image_shape", arguments.get("image_shape"), ImageShape)
    if any(_is_of_layers(value) and len(value) > most_layers for value in arguments.values()):
        raise KgenError(
            f"Expected {VARIABLES} to have an array for every layer of {CONFIG}, received fewer: "
            "they do not belong together."
        )
    return model_class.from_config(arguments)


def _is_of_layers(value):
    """Whether a value is a list whose entries may each make a layer; a list of words is not."""
    return type(value) is list and not all(type(entry) is str for entry in value)


def _only_variables_of(shapes):
    """Context manager to build a model in: refuses variables that are not among `shapes`.

    It raises KgenError before the variable is created: a configuration of a few bytes could ask for
    more memory than there is.
    """
    left = Counter(shapes)
    made, most = itertools.count(), left.total() + FURTHER_VARIABLES

    def check(shape):
        if math.prod(shape) > SMALL_VARIABLE:
            left[shape] -= 1
        if left[shape] < 0 or next(made) > most:
            raise KgenError(
                f"{CONFIG} asks for a variable of shape {shape} that {VARIABLES} does not hold: "
                "they do not belong together."
            )

    return looked_at(check)


def _compile_as_saved(model, names):
    """Compile as the saved model was; the optimizer's variables tell a schedule from a rate."""
    if not names:
        return
    # The model itself first: perhaps it alone was compiled, or only the first stages.
    stages = sorted((stage for _, stage, _ in model.stages()), key=lambda stage: stage is not model)
    recommended = []
    for stage in stages:
        stage.compile()
        recommended.append(stage.optimizer)
        if names == set(variable_groups(model)["optimizer"]):
            return
    for stage in stages:  # a constant rate is an optimizer variable, a schedule is not
        stage.compile(with_learning_rate(stage.optimizer, 1e-3))
    if names != set(variable_groups(model)["optimizer"]):  # they were the user's own optimizers
        for stage, optimizer in zip(stages, recommended, strict=True):
            stage.compile(optimizer)


def _assign_variables(model, file, continuing):
    received = set(file.keys())
    groups = variable_groups(model)
    whole = [name for name, group in groups.items() if received >= set(group)]
    named = {name: variable for group in whole for name, variable in groups[group].items()}
    unknown = sorted(name for name in received if name.split("/")[0] not in GROUPS)
    needed = list(groups) if continuing else ["model"]
    missing = [name for group in needed for name in groups[group] if name not in received]
    extra = [name for name in received - set(named) if name.split("/")[0] in needed]
    if continuing and not groups["optimizer"]:
        missing.append("optimizer")
    if missing or extra or unknown:
        raise KgenError(
            f"expected {missing[0] if missing else 'nothing else'} in {VARIABLES}, received "
            f"{(*unknown, *extra, 'nothing')[0]!r}: it does not belong to {CONFIG}."
        )
    for name, variable in named.items():
        variable.assign(_fitting(name, file.get_tensor(name), variable))


def _fitting(name, array, variable):
    """The array to assign to a variable; integers are converted to the variable's own width."""
    shape, dtype = tuple(variable.shape), keras.backend.standardize_dtype(variable.dtype)
    if array.dtype.kind in "iu" and keras.backend.is_int_dtype(dtype):
        converted = array.astype(dtype)
        array = converted if np.array_equal(converted, array) else array
    if (array.shape, array.dtype.name) != (shape, dtype):
        raise KgenError(
            f"expected {name} of shape {shape} and {dtype}, received {array.shape} and "
            f"{array.dtype.name}: {VARIABLES} and {CONFIG} do not belong together."
        )
    return array
