"""What the studies share: functions timed by turns, the comparison of two, records."""

import os
import time
from pathlib import Path

import numpy as np

from benchmarks.commands import without_folders
from benchmarks.harness.ratios import paired_ratio
from kgen import backend
from kgen.files import write_json
from kgen.runs.provenance import environment

RECORDS = Path(__file__).parent.parent / "records"
THREADS = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "XLA_FLAGS")
COLUMNS = "{:<52} {:>9} {:>9}  {}"


def interleaved(functions, warm_ups, repeats):
    """Seconds of every repeat of functions without arguments, {name: [...]}, run by turns."""
    seconds = {name: [] for name in functions}
    for _ in range(warm_ups + repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            backend.synchronise(function())
            seconds[name].append(time.perf_counter() - start)
    return {name: samples[warm_ups:] for name, samples in seconds.items()}


def record_of(options):
    """A record to add cases to: environment, options, threads and load."""
    known = environment()
    return {
        **known,
        "command": without_folders(known["command"]),
        **vars(options),
        "threads": {name: os.environ.get(name) for name in THREADS},
        "load_average_before": os.getloadavg(),
        "cases": [],
    }


def write(record, name):
    """Write `benchmarks/records/<name>-<backend>.json`."""
    write_as(record, f"{name}-{backend.name()}")


def write_as(record, name):
    """Write `benchmarks/records/<name>.json`."""
    record["load_average_after"] = os.getloadavg()
    RECORDS.mkdir(exist_ok=True)
    path = RECORDS / f"{name}.json"
    write_json(path, record, indent=1)
    print(f"Samples in {path}")


def compare(name, heading, cases, measure, options):
    """Print and record the ratio of two forms of every case.

    Args:
        name: of the record.
        heading: names of the case and of the two forms, the slower one first.
        cases: named tuples.
        measure: (case, warm_ups, repeats) -> {form: seconds}, in the order of the heading.
        options: parsed `--warm-ups` and `--repeats`.
    """
    record = record_of(options)
    print(f"{backend.name()} {backend.version()} on {backend.device()}")
    print(COLUMNS.format(*heading, "ratio [95 % interval]"))
    for case in cases:
        seconds = measure(case, options.warm_ups, options.repeats)
        ratio, low, high = paired_ratio(*seconds.values())
        medians = [f"{1000 * np.median(samples):.1f}" for samples in seconds.values()]
        interval = f"{ratio:.2f} [{low:.2f}, {high:.2f}]"
        print(COLUMNS.format(str(case), *medians, interval), flush=True)
        record["cases"].append({**case._asdict(), "seconds": seconds})
    write(record, name)
