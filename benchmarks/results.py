"""The lines that cells become: written whole, checked when they are read."""

import json
import math
import os
from pathlib import Path

from benchmarks.cells import Cell
from kgen.errors import KgenError
from kgen.files import as_json

SCHEMA = 1
STATUSES = ("measured", "failed", "timed out")
# {field: type} of every line; `results` only of a cell that was measured, `reason` of the others.
FIELDS = {
    "schema": int,
    "status": str,
    "cell": dict,
    "hash": str,
    "started": str,
    "seconds": float,
    "machine": dict,
}
# {field: type} of `results`.
RESULTS = {
    "environment": dict,  # versions, commit, device, threads, load, matmul precision
    "settings": dict,  # of the model
    "parameters": int,
    "cold_start": dict,  # {phase: seconds}
    "training": dict,  # steps of a round, images of a step, seconds of each round
    # {form: seconds of rounds, by turns, of kgen's `fit`, its step alone, and native code}
    "native": dict,
    "sampling": dict,  # {batch size: seconds of each call}
    "peak_memory": dict,  # bytes of the process, and of a device that counts them
    "quality": dict,  # what `kgen.evaluation` found
    "samples": str,  # PNG, base64
}
# {field: type} of `results` that lines measured before it was thought of do not have.
ADDED = {"profile": dict}  # {whose code: share of the time of a step}


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


def read(path):
    """The records of a file, the last of each cell; a torn last line is left out.

    Raises:
        KgenError: that names the line, for one that is no record of this schema.
    """
    try:
        lines = Path(path).read_text().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise KgenError(
            f"Expected a file of results, but {path} cannot be read: {error}"
        ) from error
    records = {}
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        where = f"{path}, line {number}"
        try:
            record = json.loads(line)
        except ValueError as error:
            if number >= len(lines) - 1:
                continue
            raise KgenError(f"{where}: expected JSON, received {error}.") from error
        check(record, where)
        records[record["hash"]] = record
    return list(records.values())


def check(record, where):
    """Raise KgenError unless a record has the schema's fields, and finite times."""
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        received = record.get("schema") if isinstance(record, dict) else type(record).__name__
        raise KgenError(f"{where}: expected a record of schema {SCHEMA}, received {received!r}.")
    _check_fields(record, FIELDS, where)
    if record["status"] not in STATUSES:
        raise KgenError(f"{where}: expected a status of {STATUSES}, received {record['status']!r}.")
    try:
        cell = Cell(**record["cell"])
    except TypeError as error:
        raise KgenError(f"{where}: expected a cell, received {record['cell']}.") from error
    if cell.hash != record["hash"]:
        raise KgenError(f"{where}: expected the hash {cell.hash}, received {record['hash']}.")
    if record["status"] != "measured":
        _check_fields(record, {"reason": str}, where)
        return
    _check_fields(record, {"results": dict}, where)
    results = record["results"]
    _check_fields(results, RESULTS, where)
    _check_fields(results, {name: ADDED[name] for name in ADDED.keys() & results}, where)
    seconds = [results["training"]["seconds"], *results["sampling"].values()]
    if not all(part and all(math.isfinite(s) and s > 0 for s in part) for part in seconds):
        raise KgenError(f"{where}: expected times above 0, received others.")


def _check_fields(record, fields, where):
    for name, kind in fields.items():
        value = record.get(name)
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise KgenError(
                f"{where}: expected {name} to be {kind.__name__}, received {type(value).__name__}."
            )
