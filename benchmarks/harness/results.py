"""The lines that cases become: written whole, checked when they are read."""

import dataclasses
import json
import math
import os
from pathlib import Path

import platformdirs

from benchmarks.harness import machine
from benchmarks.harness.cases import Case, digest
from kgen.errors import KgenError
from kgen.files import as_json, cannot_write

# Raised when a field changes, and when cases are timed in another way: what was measured before is
# then refused, for its figures do not compare.
SCHEMA = 2
# "unsuited": the model does not take these data.
STATUSES = ("measured", "unsuited", "failed", "timed out")
# {field: type} of every line; `results` only of a case that was measured, `reason` of the others.
FIELDS = {
    "schema": int,
    "status": str,
    "cell": dict,  # what was measured
    "commit": str,  # of the sources, see `provenance`
    "versions": dict,  # {package: version}
    "machine": dict,
    "hash": str,  # of these four, and of `huge_pages`
    "started": str,
    "seconds": float,
    "load": dict,  # what other processes took
}
# {field: type} that earlier lines do not have: they were measured without huge pages.
LATER_FIELDS = {"huge_pages": bool}  # whether `kgen/huge_pages.py` was in use
# {field: type} of `load`: shares of the processors' time and the load average, None where unknown.
LOAD = {"before": float, "during": float, "average": float}
# {field: type} of `results`.
RESULTS = {
    "environment": dict,  # backend, device, threads, matmul precision
    "settings": dict,  # of the model
    "parameters": int,
    "cold_start": dict,  # {phase: seconds}
    "training": dict,  # steps of a round, images of a step, seconds of each round
    "profile": dict,  # {whose code: share of the time of a step}
    # {form: seconds of rounds, by turns, of kgen's `fit`, its step alone, and native code}
    "native": dict,
    "sampling": dict,  # {batch size: seconds of each call}
    "peak_memory": dict,  # bytes of the process, and of a device that counts them
    "quality": dict,  # what `kgen.evaluation` found
    "samples": str,  # PNG, base64
}
BY_TURNS = ("kgen", "native", "step")
ANEW = "take the line out and measure its case anew"


def default_path():
    """The file of this machine, among the user's data."""
    return folder() / f"{machine.short_name(machine.description())}.jsonl"


def folder():
    """The folder of results among the user's data: outside of every checkout."""
    return platformdirs.user_data_path("kgen") / "benchmarks"


def identity(case, provenance):
    """The hash of a record: of what was measured, from which sources, with what, on what."""
    names = ["commit", "versions", "machine", *(n for n in LATER_FIELDS if provenance.get(n))]
    return digest({"cell": case, **{name: provenance[name] for name in names}})


def prepare(path):
    """Make sure, before anything is measured, that lines can be added to a file.

    Raises:
        KgenError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
    except OSError as error:
        raise cannot_write(path, error) from error


def append(path, record):
    """Add one line to a file, checked before."""
    check(record, "a new line")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = as_json(record) + "\n"
    with open(path, "a+b") as file:
        file.seek(0, os.SEEK_END)
        if file.tell():  # a line that was torn by a killed process does not take this one with it
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else "\n" + line
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


def read(*paths):
    """The records of files, the last of each hash; a torn last line is left out.

    Raises:
        KgenError: that names the line, for one that is no record of this schema.
    """
    records = {}
    for path in paths:
        records |= {record["hash"]: record for record in _lines(path)}
    return list(records.values())


def _lines(path):
    try:
        lines = Path(path).read_text().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise KgenError(
            f"Expected a file of results at {path}, received: {reason}. Run `python -m benchmarks` "
            "first, or name its file."
        ) from error
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        where = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except ValueError as error:
            if number >= len(lines) - 1:
                continue
            raise KgenError(f"{where}: expected JSON, received {error}: {ANEW}.") from error
        check(record, where)
        yield record


def check(record, where):
    """Raise KgenError unless a record has the schema's fields, and finite times."""
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        received = record.get("schema") if isinstance(record, dict) else type(record).__name__
        raise KgenError(
            f"{where}: expected a record of schema {SCHEMA}, received {received!r}: {ANEW}."
        )
    _check_fields(record, FIELDS, where)
    _check_fields(record, LATER_FIELDS, where, may_be_none=True)
    _check_fields(record["machine"], machine.FIELDS, where)
    _check_fields(record["load"], LOAD, where, may_be_none=True)
    if record["status"] not in STATUSES:
        raise KgenError(
            f"{where}: expected a status of {STATUSES}, received {record['status']!r}: {ANEW}."
        )
    if record["cell"].keys() != {field.name for field in dataclasses.fields(Case)}:
        raise KgenError(f"{where}: expected a case, received {record['cell']}: {ANEW}.")
    found = identity(record["cell"], record)
    if found != record["hash"]:
        raise KgenError(f"{where}: expected the hash {found}, received {record['hash']}: {ANEW}.")
    if record["status"] != "measured":
        _check_fields(record, {"reason": str}, where)
        return
    _check_fields(record, {"results": dict}, where)
    _check_results(record["results"], where)


def _check_results(results, where):
    _check_fields(results, RESULTS, where)
    _check_fields(results["environment"], {"device": str}, where)
    by_turns = results["native"].values()
    _check_rounds([results["training"]["seconds"]], where)
    _check_rounds(results["sampling"].values(), where)
    for rounds in by_turns:
        _check_fields(rounds, dict.fromkeys(BY_TURNS, list), where)
        _check_rounds(rounds.values(), where)
        if len({len(seconds) for seconds in rounds.values()}) != 1:
            raise KgenError(f"{where}: expected as many rounds of each by turns: {ANEW}.")


def _check_rounds(rounds, where):
    if not all(part and all(math.isfinite(s) and s > 0 for s in part) for part in rounds):
        raise KgenError(f"{where}: expected times above 0, received others: {ANEW}.")


def _check_fields(record, fields, where, may_be_none=False):
    for name, kind in fields.items():
        value = record.get(name)
        if may_be_none and value is None:
            continue
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise KgenError(
                f"{where}: expected {name} to be {kind.__name__}, received "
                f"{type(value).__name__}: {ANEW}."
            )
