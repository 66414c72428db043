"""Runs a cell in a process of its own, and makes a line of what it found."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.cells import BUDGETS
from benchmarks.results import SCHEMA

SPEED = Path(__file__).parent / "speed"
LINES_OF_A_FAILURE = 15


def run(cell, machine):
    """Measure a cell; whatever becomes of its process, this returns a record."""
    record = {
        "schema": SCHEMA,
        "cell": asdict(cell),
        "hash": cell.hash,
        "machine": machine,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder, "found.json")
        status, reason = _run_process(cell, found)
        record["seconds"] = round(time.monotonic() - started, 1)
        if status == "measured":
            record["results"] = results_of(json.loads(found.read_text()))
        else:
            record["reason"] = reason
    return {**record, "status": status}


def _run_process(cell, found):
    """(status, reason) of a process that measures `cell` and writes `found`."""
    options = {"model": cell.model, "data": cell.data, "device": cell.device, "budget": cell.budget}
    command = [
        *(sys.executable, "-m", "pytest", str(SPEED), "--benchmark-only", "-q", "-x"),
        *("-p", "no:cacheprovider", "-p", "no:xdist", f"--benchmark-json={found}"),
        *(f"--{name}={value}" for name, value in options.items()),
    ]
    process = subprocess.Popen(
        command,
        cwd=Path(__file__).parent.parent,
        env=_environment(cell),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that all of it can be ended
    )
    timeout = BUDGETS[cell.budget].timeout
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        return "timed out", f"It took more than {timeout:.0f} seconds."
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode or not found.is_file():
        last = "\n".join(output.splitlines()[-LINES_OF_A_FAILURE:])
        return "failed", f"The process ended with status {process.returncode}:\n{last}"
    return "measured", None


def _environment(cell):
    # Without what a pytest that runs this one tells its own processes.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    environment["KERAS_BACKEND"] = cell.backend
    if cell.device == "cpu":
        environment |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    for name, value in {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_WAIT_POLICY": "PASSIVE"}.items():
        environment.setdefault(name, value)
    return environment


def results_of(found):
    """The `results` of a record, from what pytest-benchmark wrote."""
    training, native, profile, sampling, quality = {}, {}, {}, {}, {}
    for test in found["benchmarks"]:
        info, seconds = test["extra_info"], test["stats"]["data"]
        if test["name"] == "test_training":
            training = {**info, "seconds": seconds}
        elif test["name"] == "test_quality":
            quality = {**info, "seconds": seconds}
        elif test["name"] == "test_profile":
            profile = info["profile"]
        elif test["name"].startswith("test_against_native"):
            native[info["variant"]] = {
                "kgen": seconds,
                "native": info["native"],
                "step": info["step"],
            }
        else:
            sampling[str(info["count"])] = seconds
    return {
        "cold_start": training.pop("cold_start"),
        "training": training,
        "native": native,
        "profile": profile,
        "sampling": sampling,
        "training_of_quality": {
            "steps": quality.pop("steps"),
            "seconds": quality.pop("seconds")[0],
        },
        **quality,
    }
