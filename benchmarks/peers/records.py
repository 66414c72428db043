"""The results of `python -m benchmarks.peers`, one line a row and backend, and their table."""

import json
from pathlib import Path

import numpy as np

from benchmarks.harness import conditions, load, machine, results
from benchmarks.harness.ratios import paired_ratio
from benchmarks.harness.sections import Section
from kgen.errors import KgenError
from kgen.files import as_json

SCHEMA = 1
FIELDS = {
    "schema": int,
    "peer": str,  # the row's name
    "peer_version": str,
    "cell": dict,  # kgen's model, backend and settings
    "commit": str,
    "versions": dict,
    "machine": dict,
    "huge_pages": bool,
    "started": str,
    "load": dict,
    "parameters": dict,  # {side: number}
    "seconds": dict,  # {side: of a step, in each round}
}
SIDES = ("kgen", "peer")


def default_path():
    """The file of this machine, beside that of its cases."""
    return results.folder() / f"peers-{machine.short_name(machine.description())}.jsonl"


def append(path, record):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.write(as_json(record) + "\n")


def read(path):
    """The records of a file, the last of each row and backend.

    Raises:
        KgenError: that names the line, for one that is no such record.
    """
    found = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        try:
            record = json.loads(line)
            fits = all(type(record[name]) is kind for name, kind in FIELDS.items())
            fits = fits and record["schema"] == SCHEMA
        except (ValueError, KeyError, TypeError):
            fits = False
        if not fits:
            raise KgenError(
                f"{path}, line {number}: expected a result of `python -m benchmarks.peers`, "
                "received another line: take it out and measure anew."
            )
        found[record["peer"], record["cell"]["backend"]] = record
    return list(found.values())


def section(records):
    """The report's table: a row for each package and backend."""
    rows = []
    for record in records:
        seconds = [record["seconds"][side] for side in SIDES]
        ratio, low, high = paired_ratio(*reversed(seconds))
        words = "no difference" if low <= 1 <= high else "faster" if low > 1 else "slower"
        rows.append(
            [
                label(record["cell"]),
                f"{record['peer']} {record['peer_version']}",
                *(f"{record['parameters'][side]:,}" for side in SIDES),
                *(f"{1000 * np.median(part):.1f}" for part in seconds),
                f"{ratio:.2f}",
                f"{low:.2f} to {high:.2f}",
                words + (", loaded" if load.is_heavy(record["load"]) else ""),
            ]
        )
    return Section(
        "Beside public packages",
        "Training steps of kgen and of public packages on PyTorch (scikit-learn on NumPy), batch "
        "64 of 28x28 pixels, or 16 samples, in "
        "processes that take turns. Ratio of throughputs, with its 95 % interval: above 1, kgen "
        f"is faster. Measured {circumstances(records)}.",
        [
            *("model", "package", "parameters", "the package's", "ms/step", "the package's"),
            *("ratio", "interval", "kgen is"),
        ],
        rows,
    )


def label(cell):
    """Model and backend, and what was timed if that was no training step."""
    task = cell.get("task", "training")
    return ", ".join([cell["model"], cell["backend"], *([] if task == "training" else [task])])


def circumstances(records):
    """When and on what the rows were measured, in words."""
    machines = sorted({machine.words(record["machine"]) for record in records})
    pages = sorted({record["cell"]["backend"] for record in records if record["huge_pages"]})
    with_pages = f", {' and '.join(pages)} with huge pages" if pages else ""
    return f"{conditions.period(records)} on {' and '.join(machines)}{with_pages}"
