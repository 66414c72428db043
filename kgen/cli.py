"""What the verbs (`python -m kgen.fit`, ...) share: choosing a backend, and reporting mistakes."""

import argparse
import os
import signal
import sys
import typing

from kgen import backend_choice, output
from kgen.bounds import LONGEST, Gigabytes, checked, in_words
from kgen.errors import KgenError, printable
from kgen.memory import is_shortage


def run(main, arguments=None):
    """Run a verb, and end the process with its exit status.

    0; 1 for a loss that became non-finite, or text that could not be printed though all else was
    done; 2 for a user's mistake; 128 and a signal's number. All but 0 print one line.
    """
    with output.unfailing() as streams:
        status = _status_of(main, arguments)
        lost = output.lost(*streams)
        if lost:
            working = next((stream for stream in reversed(streams) if not stream.error), None)
            print(f"kgen: {lost}. All else was done.", file=working or streams[1])
        if any(stream.error for stream in streams):
            status = status or 1
    sys.exit(status)


def _status_of(main, arguments):
    try:
        return main(arguments) or 0
    except SystemExit as end:  # of --help
        return end.code
    except KgenError as error:
        return _failed(error, 2)
    except FloatingPointError as error:  # a non-finite loss
        return _failed(error, 1)
    except Exception as error:
        if not is_shortage(error):
            raise
        return _failed(
            "Expected memory for all that was asked for, received too little: choose a smaller "
            f"model, smaller batches or fewer images. ({str(error)[:100]})",
            2,
        )
    except KeyboardInterrupt as interruption:  # Interrupted, or Ctrl-C anywhere else
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process ends: one more adds nothing
        status = _failed(str(interruption) or "interrupted", getattr(interruption, "status", 130))
        if not getattr(interruption, "between_steps", False):
            _end_at_once(status)
        return status


def _end_at_once(status):
    """End without Python's own end: JAX, interrupted in the middle of a step, crashes there."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _failed(message, status):
    print(f"kgen: {printable(message)}", file=sys.stderr)
    return status


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


def choose_backend():
    """Make sure that the backend Keras is about to import is installed, and prepare for it.

    Raises:
        KgenError: for an unknown backend, or one that is not installed.
    """
    backend_choice.choose_backend()
    quieten()


def quieten():
    """Settings that must stand before a framework is imported; the user's own of the first two."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # no start-up notes of TensorFlow and XLA
    # PyTorch runs two teams of threads, which on few cores spin against each other: 10x slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Keras imports Matplotlib, which ends at a name it does not know; the verbs open no window.
    os.environ["MPLBACKEND"] = "agg"
