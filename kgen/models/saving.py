"""Models on disk as JSON and safetensors: nothing in the files is executed when they are read.

`model.json` says which registered model it is and with which arguments it was made;
`variables.safetensors` holds every variable: weights, moving statistics, seeds and, of a compiled
model, the optimizer's slots, so that training continues where it stopped, on any backend.
"""

import json
import re
from pathlib import Path

import keras
from keras import ops
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from kgen import models
from kgen.errors import KgenError
from kgen.files import whole_file

CONFIG, VARIABLES = "model.json", "variables.safetensors"


def save(model, folder):
    """Write a registered model to `folder`, made if need be; each file is whole or not there.

    Raises:
        KgenError: for a model that is not registered, or a folder that cannot be written.
    """
    folder = Path(folder)
    config = {"model": models.name_of(model), "config": model.get_config()}
    arrays = {name: ops.convert_to_numpy(v) for name, v in named_variables(model).items()}
    with whole_file(folder / VARIABLES) as path:
        save_file(arrays, path)
    with whole_file(folder / CONFIG) as path:
        path.write_text(json.dumps(config, indent=2) + "\n")


def load(folder):
    """The model that `save` wrote to `folder`, on whichever backend.

    If it was compiled when it was saved it is compiled again, with its recommended optimizer and
    that optimizer's saved slots; one of your own is yours to give: `model.compile(...)`.

    Raises:
        KgenError: if there is no model, or the files are damaged or do not belong together.
    """
    folder = Path(folder)
    try:
        config = json.loads((folder / CONFIG).read_text())
        arrays = load_file(folder / VARIABLES)
        model = models.get(config["model"]).from_config(config["config"])
    except FileNotFoundError as error:
        raise KgenError(
            f"Expected a saved model in {folder}, but {error.filename or VARIABLES} is not there."
        ) from error
    except KgenError:
        raise
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise KgenError(f"Expected a model saved by kgen in {folder}, received: {error}") from error
    _assign_variables(model, arrays, folder)
    return model


def _assign_variables(model, arrays, folder):
    named = named_variables(model)
    if any(name.startswith("optimizer/") for name in arrays):
        model.compile()
        compiled = named_variables(model)
        if set(compiled) == set(arrays):
            named = compiled
    for name, variable in named.items():
        if name not in arrays or arrays[name].shape != tuple(variable.shape):
            received = arrays[name].shape if name in arrays else "nothing"
            raise KgenError(
                f"{folder}: expected {name} of shape {tuple(variable.shape)}, received {received}: "
                f"{VARIABLES} and {CONFIG} do not belong together."
            )
        variable.assign(arrays[name].astype(keras.backend.standardize_dtype(variable.dtype)))


def named_variables(model):
    """{name: variable} of everything that training changes, except the epoch's means.

    Names are equal in every process: Keras' counters (`dense_17`) are left out, the position in the
    model makes them unique.
    """
    groups = {"model": model.variables}
    if model.compiled:
        groups["optimizer"] = model.optimizer.variables
    return {
        f"{group}/{index:03d}/{re.sub(r'_[0-9]+(?=[/_]|$)', '', variable.path)}": variable
        for group, variables in groups.items()
        for index, variable in enumerate(variables)
    }
