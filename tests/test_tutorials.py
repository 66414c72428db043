"""Every tutorial runs from top to bottom, in seconds, without a warning, on the backend at hand."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIALS = {path.stem: path for path in sorted(Path("tutorials").resolve().glob("*.py"))}
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


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder in which the tutorials were run."""
    folder = tmp_path_factory.mktemp("tutorials")
    environment = {
        **os.environ,
        "KGEN_TUTORIAL_BUDGET": "test",
        "PYTHONPATH": os.getcwd(),
        "MPLBACKEND": "agg",
    }
    filters = [f"-W{filter}" for filter in ("error", *TOLERATED)]
    command = [sys.executable, *filters, "-c", RUN, *map(str, TUTORIALS.values())]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stderr  # where it cannot be raised: in a thread, at the end
    return folder


@pytest.mark.parametrize("name", TUTORIALS)
def test_tutorial_runs(name, ran):
    failure = ran / f"{name}.failed"
    assert not failure.exists(), failure.read_text()
    assert (ran / f"{name}.printed").read_text()


def test_there_are_tutorials():
    assert TUTORIALS
