"""Choose the backend that Keras will import, if the user has not chosen one."""

import contextlib
import importlib.util
import json
import os
import sys
from pathlib import Path

from kgen.errors import KgenError
from kgen.files import check_regular_file, open_plain

BACKENDS = ("tensorflow", "jax", "torch")  # Keras' own default first; packages of the same names


def choose_backend():
    """Set `KERAS_BACKEND` to an installed backend; does nothing once Keras is imported.

    The order of choice: `KERAS_BACKEND`; the backend in Keras' configuration file, if it is
    installed (Keras writes that file itself, whatever the user chose); Keras' default; the first
    installed one.

    Raises:
        KgenError: if no backend is installed, or `KERAS_BACKEND` names one that is unknown or not
            installed.
    """
    if "keras" in sys.modules:
        return
    _check_configuration()
    installed = [name for name in BACKENDS if _is_installed(name)]
    wish = os.environ.get("KERAS_BACKEND")
    if not wish:
        if not installed:
            raise KgenError(
                "Expected a backend, but none is installed: pip install 'kgen[jax]' (or "
                "tensorflow, torch)."
            )
        configured = _configured()
        os.environ["KERAS_BACKEND"] = configured if configured in installed else installed[0]
    elif wish not in BACKENDS:
        raise KgenError(
            f"Expected KERAS_BACKEND to be one of {', '.join(BACKENDS)}, received {wish!r}: choose "
            "one of these."
        )
    elif wish not in installed:
        raise KgenError(
            f"Expected the backend of KERAS_BACKEND={wish}, but it is not installed: pip install "
            f"'kgen[{wish}]'" + (f", or KERAS_BACKEND={installed[0]}." if installed else ".")
        )


def chosen():
    """The backend that `KERAS_BACKEND` names, after `choose_backend`; None if Keras chose it."""
    return os.environ.get("KERAS_BACKEND")


def _is_installed(package):
    found = importlib.util.find_spec(package)
    return found is not None and found.origin is not None  # not just a folder of that name


def _configuration():
    """The path of Keras' configuration file, found as Keras finds it."""
    home = os.path.expanduser("~")
    default = os.path.join(home if os.access(home, os.W_OK) else "/tmp", ".keras")
    return Path(os.path.expanduser(os.environ.get("KERAS_HOME", default)), "keras.json")


def _check_configuration():
    """Raise KgenError if the file is a pipe: Keras always reads it, and would wait forever."""
    with contextlib.suppress(FileNotFoundError):
        check_regular_file(_configuration(), follow=True)


def _configured():
    """The backend in Keras' configuration file, or None."""
    try:
        with open_plain(_configuration(), follow=True) as file:
            return json.load(file).get("backend")
    except (OSError, ValueError, AttributeError):  # no file, or one that Keras would not accept
        return None
