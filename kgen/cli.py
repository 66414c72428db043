"""Shared by the command line verbs (`python -m kgen.fit`, ...): options, errors, exit status."""

import argparse
import os
import signal
import sys
import typing

from kgen import backend_choice, huge_pages, output
from kgen.bounds import LONGEST, Gigabytes, checked, in_words
from kgen.errors import KgenError, printable
from kgen.memory import is_shortage


def run(main, arguments=None):
    """Run a verb and exit with its status.

    The status is 0 for success; 1 for a non-finite loss, or if output could not be printed although
    everything else was done; 2 for a user's mistake; 128 plus the number of a signal. Every status
    but 0 prints one line.
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
    except SystemExit as end:  # from --help
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
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process is ending already
        status = _failed(str(interruption) or "interrupted", getattr(interruption, "status", 130))
        if not getattr(interruption, "between_steps", False):
            _end_at_once(status)
        return status


def _end_at_once(status):
    """Exit without Python's shutdown, in which JAX crashes after an interrupted step."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _failed(message, status):
    print(f"kgen: {printable(message)}", file=sys.stderr)
    return status


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises KgenError, so that every mistake is reported in one line."""

    def error(self, message):
        raise KgenError(f"{message}: --help lists the options")


def number(annotation):
    """An argparse type: a number within the bounds of an annotation such as `kgen.bounds.Seed`."""
    kind, *_ = typing.get_args(annotation)

    def parse(text):
        try:
            return checked("it", kind(text), annotation)
        except ValueError as error:  # no number, or a KgenError: out of its bounds
            raise argparse.ArgumentTypeError(
                f"expected {in_words(annotation)}, received {text[:LONGEST]!r}"
            ) from error

    return parse


def add_own_models(parser):
    """Add the option that names the user's own model classes of runs."""
    parser.add_argument(
        "--model",
        metavar="MODULE:CLASS",
        action="append",
        default=[],
        help="the class of a run's model, where it is your own: its code runs",
    )


def add_max_memory(parser):
    """Add the option that limits the memory of loading images."""
    parser.add_argument(
        "--max-memory",
        metavar="GB",
        type=number(Gigabytes),
        help="memory that loading images may take (default: half of the machine's)",
    )


def choose_backend():
    """Make sure that the backend Keras will import is installed, and set its environment.

    On JAX and a CPU a verb starts here again, with huge pages (`kgen/huge_pages.py`): call it
    before anything is written or imported that takes long.

    Raises:
        KgenError: for an unknown backend, or one that is not installed.
    """
    backend_choice.choose_backend()
    huge_pages.restart_with_huge_pages(backend_choice.chosen())
    quieten()


def quieten():
    """Set environment variables that frameworks read at import; the user's first two are kept."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # no start-up messages of TensorFlow and XLA
    # PyTorch runs two teams of threads; on few cores, spinning makes them 10x slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Keras imports Matplotlib, which fails on an unknown backend; the verbs open no window.
    os.environ["MPLBACKEND"] = "agg"
