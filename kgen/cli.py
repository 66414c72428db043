"""What the verbs (`python -m kgen.fit`, ...) share: choosing a backend, and reporting mistakes."""

import argparse
import importlib.util
import os
import sys
from pathlib import Path

from kgen.errors import KgenError

PACKAGES = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}


def run(main, arguments=None):
    """Run a verb; a user's mistake becomes one line on standard error and exit status 2."""
    # A name in any script is shown, by escapes where the terminal has no letters for it.
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        sys.exit(main(arguments))
    except KgenError as error:
        fail(error, 2)
    except FloatingPointError as error:  # a non-finite loss
        fail(error, 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt as interruption:  # Interrupted, or Ctrl-C anywhere else
        fail(str(interruption) or "interrupted", getattr(interruption, "status", 130))


def fail(message, status):
    print(f"kgen: {' '.join(str(message).split())}", file=sys.stderr)
    sys.exit(status)


class Parser(argparse.ArgumentParser):
    """Reports a wrong argument as the verbs report every mistake: in one line."""

    def error(self, message):
        raise KgenError(f"{message} (--help lists the options)")


def whole_number(least):
    """An argparse type: an int of at least `least`."""

    def parse(text):
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or value < least:
            raise argparse.ArgumentTypeError(
                f"expected a whole number of at least {least}, received {text!r}"
            )
        return value

    return parse


def choose_backend():
    """Make sure that the backend Keras is about to import is installed; return its name.

    Without KERAS_BACKEND (and a Keras configuration file), the installed one; Keras' own default
    where there are several.

    Raises:
        KgenError: for an unknown backend, or one that is not installed.
    """
    installed = [name for name, package in PACKAGES.items() if importlib.util.find_spec(package)]
    backend = os.environ.get("KERAS_BACKEND")
    if not backend:
        if not installed:
            raise KgenError(
                "No backend is installed: pip install 'kgen[jax]' (or tensorflow, torch)."
            )
        if (Path.home() / ".keras" / "keras.json").exists():
            return None  # the user's choice, which Keras reads
        backend = os.environ["KERAS_BACKEND"] = installed[0]
    if backend not in PACKAGES:
        raise KgenError(
            f"Expected KERAS_BACKEND to be one of {', '.join(PACKAGES)}, received {backend!r}."
        )
    if backend not in installed:
        raise KgenError(
            f"KERAS_BACKEND={backend}, but it is not installed: pip install 'kgen[{backend}]'"
            + (f", or KERAS_BACKEND={installed[0]}." if installed else ".")
        )
    quieten()
    return backend


def quieten():
    """Settings that must stand before a framework is imported; the user's own are kept."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # no start-up notes of TensorFlow and XLA
    # PyTorch runs two teams of threads, which on few cores spin against each other: 10x slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
