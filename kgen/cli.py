"""What the verbs (`python -m kgen.fit`, ...) share: choosing a backend, and reporting mistakes."""

import argparse
import os
import sys
import typing

from kgen import backend_choice, run_folder
from kgen.bounds import LONGEST, Gigabytes, checked, in_words
from kgen.errors import KgenError


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
        raise KgenError(f"{message}: --help lists the options")


def number(annotation):
    """An argparse type: a number within the bounds of an annotation, such as `kgen.bounds.Seed`."""
    kind, *_ = typing.get_args(annotation)

    def parse(text):
        try:
            return checked("it", kind(text), annotation)
        except ValueError as error:  # no number, or a KgenError: one out of its bounds
            raise argparse.ArgumentTypeError(
                f"expected {in_words(annotation)}, received {text[:LONGEST]!r}"
            ) from error

    return parse


def add_own_models(parser):
    """Add the option by which a user names the classes of runs whose models are not kgen's."""
    parser.add_argument(
        "--model",
        metavar="MODULE:CLASS",
        action="append",
        default=[],
        help="the class of a run's model, where it is your own: its code runs",
    )


def add_max_memory(parser):
    """Add the option that bounds what loading images may take."""
    parser.add_argument(
        "--max-memory",
        metavar="GB",
        type=number(Gigabytes),
        help="memory that loading images may take (default: half of the machine's)",
    )


def load_models(folders, own):
    """{folder: model} of runs; `own` are the classes of models that are not kgen's, by name.

    Raises:
        KgenError: for a class that is no model, or that none of the runs is of.
    """
    import kgen

    for place in own:
        if not kgen.models.is_own(place):
            raise KgenError(
                f"Expected --model to name a class of your own, module:Class, received {place!r}: "
                "leave it out, a run knows which model of kgen it is."
            )
        kgen.models.import_own(place)
    loaded = {folder: kgen.load(run_folder.trained_model(folder)) for folder in folders}
    for place in own:
        if not any(type(model) is kgen.models.get(place) for model in loaded.values()):
            raise KgenError(
                f"Expected a run of {place}, received {', '.join(map(str, folders))}, of other "
                "models: leave --model out."
            )
    return loaded


def choose_backend():
    """Make sure that the backend Keras is about to import is installed, and prepare for it.

    Raises:
        KgenError: for an unknown backend, or one that is not installed.
    """
    backend_choice.choose_backend()
    quieten()


def quieten():
    """Settings that must stand before a framework is imported; the user's own are kept."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # no start-up notes of TensorFlow and XLA
    # PyTorch runs two teams of threads, which on few cores spin against each other: 10x slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
