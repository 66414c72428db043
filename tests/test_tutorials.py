"""Every tutorial runs from top to bottom, in seconds, without a warning.

The first runs on every backend, each of the others on one of them, in turn; with `-m slow` all run
on the backend at hand.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kgen import backend

TUTORIALS = {path.stem: path for path in sorted(Path("tutorials").resolve().glob("*.py"))}
FIRST = "1_quick_start"
BACKENDS = ("tensorflow", "jax", "torch")
TOLERATED = (
    # Keras' own conversions to NumPy, at every one of thousands of calls.
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning",
    # Matplotlib's `show()` where there is no screen.
    "ignore:FigureCanvasAgg is non-interactive:UserWarning",
)


# One after the other in one process, for importing a framework takes longer than a tutorial: each
# in a folder of its own, which has what it printed or, beside it, what went wrong.
RUN = """
import contextlib, io, runpy, sys, traceback
from pathlib import Path
import matplotlib.pyplot as plt
for tutorial in map(Path, sys.argv[1:]):
    folder = Path(tutorial.stem).resolve()
    folder.mkdir()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.chdir(folder):
        try:
            runpy.run_path(str(tutorial), run_name="__main__")
            Path(f"{folder}.printed").write_text(printed.getvalue())
        except BaseException:
            Path(f"{folder}.failed").write_text(traceback.format_exc())
    plt.close("all")
"""


def of_this_backend():
    """The names of those that run here."""
    others = sorted(set(TUTORIALS) - {FIRST}, key=lambda name: int(name.split("_")[0]))
    return {FIRST, *others[BACKENDS.index(backend.name()) :: len(BACKENDS)]}


def run(names, folder):
    """Run tutorials in a folder of their own each, where of the checkout there is kgen alone."""
    (folder / "installed").mkdir()
    (folder / "installed" / "kgen").symlink_to(Path("kgen").resolve())
    environment = {
        **os.environ,
        "KGEN_TUTORIAL_BUDGET": "test",
        "PYTHONPATH": str(folder / "installed"),
        "MPLBACKEND": "agg",
    }
    filters = [f"-W{filter}" for filter in ("error", *TOLERATED)]
    paths = [str(TUTORIALS[name]) for name in names]
    command = [sys.executable, *filters, "-c", RUN, *paths]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stderr  # where it cannot be raised: in a thread, at the end
    return folder


def check(name, folder):
    failure = folder / f"{name}.failed"
    assert not failure.exists(), failure.read_text()
    assert (folder / f"{name}.printed").read_text()


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder in which the tutorials of this backend were run."""
    return run(sorted(of_this_backend()), tmp_path_factory.mktemp("tutorials"))


@pytest.mark.parametrize("name", sorted(of_this_backend()))
def test_tutorial_runs(name, ran):
    check(name, ran)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(TUTORIALS) - of_this_backend()))
def test_tutorial_runs_on_this_backend_too(name, tmp_path):
    check(name, run([name], tmp_path))


def test_there_are_tutorials():
    assert TUTORIALS
