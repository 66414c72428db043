"""The environment of a run: versions, commit, machine and time."""

import kgen.chosen_backend  # before Keras

# isort: split

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import keras
import numpy as np

from kgen import backend

SOURCE = Path(kgen.__file__).parent


def environment():
    """A dict of command, backend, device, versions, commit, machine and start time."""
    # What is imported says its version: Keras' nightly build is installed by another name.
    versions = {"keras": keras.__version__, "numpy": np.__version__}
    versions[backend.name()] = backend.version()
    return {
        "command": shlex.join(["python", *sys.orig_argv[1:]]),
        "backend": backend.name(),
        "device": backend.device(),
        "versions": {"kgen": kgen.__version__, "python": platform.python_version(), **versions},
        "commit": commit(),
        "machine": {"system": platform.platform(), "processors": os.cpu_count()},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def commit():
    """The git commit of kgen's source, with "-dirty" if its files differ; None outside git.

    Only files below `kgen/` count, not, for example, a results file.
    """

    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=SOURCE, capture_output=True, text=True)

    try:
        head, difference = git("rev-parse", "HEAD"), git("diff", "--quiet", "HEAD", "--", ".")
    except OSError:
        return None
    if head.returncode:
        return None
    return head.stdout.strip() + ("-dirty" if difference.returncode else "")
