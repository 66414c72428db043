"""Runs a case in a process of its own, and makes a line of what it found."""

import contextlib
import json
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.harness import load
from benchmarks.harness.cases import BUDGETS
from benchmarks.harness.environments import environment_of
from benchmarks.harness.results import SCHEMA, identity

ROOT = Path(__file__).parent.parent.parent
SPEED = ROOT / "benchmarks" / "speed"
LINES_OF_A_FAILURE = 15
ERROR = re.compile(r"(?:E|!+ _pytest\.outcomes\.Exit:) +(.*?)(?: !+)?$")  # of pytest's output
UNSUITED = 64  # the exit status of a process whose model does not take the data

logger = logging.getLogger("kgen")


def run(case, provenance):
    """Measure a case; whatever becomes of its process, this returns a record.

    Args:
        case: a `Case`.
        provenance: what `provenance.provenance` says of this machine, and of the case's backend.
    """
    average, before = load.load_average(), load.share_before()
    if load.is_heavy({"before": before, "during": None}):
        logger.warning(
            f"kgen: {case}: other processes take {before:.0%} of the processors' time; they make "
            "the times too long: end them, and measure anew"
        )
    record = {
        "schema": SCHEMA,
        "cell": asdict(case),
        **provenance,
        "hash": identity(asdict(case), provenance),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    started, others = time.monotonic(), load.Others()
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder, "found.json")
        status, reason = _run_process(case, found)
        record["seconds"] = round(time.monotonic() - started, 1)
        record["load"] = {"average": average, "before": before, "during": others.share()}
        if status == "measured":
            record["results"] = results_of(json.loads(found.read_text()))
        else:
            record["reason"] = reason
    return {**record, "status": status}


def _run_process(case, found):
    """(status, reason) of a process that measures `case` and writes `found`."""
    options = {"model": case.model, "data": case.data, "device": case.device, "budget": case.budget}
    command = [
        *(sys.executable, "-m", "pytest", str(SPEED), "--benchmark-only", "-q", "-x"),
        *("-p", "no:cacheprovider", "-p", "no:xdist", f"--benchmark-json={found}"),
        *(f"--{name}={value}" for name, value in options.items()),
    ]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment_of(case.backend, case.device),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that all of it can be ended
    )
    timeout = BUDGETS[case.budget].timeout
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        return "timed out", f"It took more than {timeout:.0f} seconds."
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.returncode == UNSUITED:
        return "unsuited", reason_of(output, process.returncode)
    if process.returncode or not found.is_file():
        return "failed", reason_of(output, process.returncode)
    return "measured", None


def reason_of(output, status):
    """The error that a process of pytest printed last, and below it the end of what it printed."""
    lines = output.splitlines()
    errors = [found[1] for found in map(ERROR.match, lines) if found]
    first = errors[-1] if errors else f"The process ended with status {status}."
    return "\n".join([first, *lines[-LINES_OF_A_FAILURE:]])


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
