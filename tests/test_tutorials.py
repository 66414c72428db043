"""Every tutorial runs from top to bottom, on each backend, with fewer epochs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIALS = sorted(Path("tutorials").resolve().glob("*.py"))


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial_runs(tutorial, tmp_path):
    environment = {**os.environ, "EPOCHS": "2", "PYTHONPATH": os.getcwd()}
    result = subprocess.run(
        [sys.executable, tutorial], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert "nats per image" in result.stdout


def test_there_is_a_tutorial():
    assert TUTORIALS
