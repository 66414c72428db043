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


@pytest.mark.parametrize("name", TUTORIALS)
def test_tutorial_runs(name, tmp_path):
    environment = {
        **os.environ,
        "KGEN_TUTORIAL_BUDGET": "test",
        "PYTHONPATH": os.getcwd(),
        "MPLBACKEND": "agg",
    }
    filters = [f"-W{filter}" for filter in ("error", *TOLERATED)]
    result = subprocess.run(
        [sys.executable, *filters, TUTORIALS[name]],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stderr  # where it cannot be raised: in a thread, at the end
    assert result.stdout


def test_there_are_tutorials():
    assert TUTORIALS
