"""Time and memory of a Glow's training step by its depth, on the backend of KERAS_BACKEND.

    KERAS_BACKEND=tensorflow python -m benchmarks.studies.flow_depth

Both should grow linearly: a step of the flow costs the same wherever it stands. The models of all
depths live in one process and train by turns on the same batch, so that a busy machine slows all
alike; the time per depth is the slope between neighbouring depths, the median over rounds, with
its 95 % bootstrap interval. Peak memory needs a process of its own for each depth. The raw samples
go to `benchmarks/records/flow_depth-<backend>.json`.
"""

import argparse
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np

import kgen
from benchmarks.harness.ratios import median_interval
from kgen import backend
from kgen.files import write_json
from kgen.runs.provenance import environment

RECORDS = Path(__file__).parent.parent / "records"
COLUMNS = "{:>6} {:>10} {:>34} {:>10}"


def compiled_glow(depth):
    model = kgen.models.create(
        "glow", image_shape=(28, 28, 1), scales=2, depth=depth, base_channels=32
    )
    model.compile()
    return model


def images(batch):
    return np.random.default_rng(0).integers(0, 256, (batch, 28, 28, 1)).astype("uint8")


def peak_memory(depth, batch):
    """Bytes of a fresh process after two steps."""
    model = compiled_glow(depth)
    for _ in range(2):
        model.train_on_batch(images(batch))
    return backend.peak_memory()


def measure(depths, batch, warm_ups, repeats):
    """Seconds of every step: {depth: [...]}."""
    models, batch = {depth: compiled_glow(depth) for depth in depths}, images(batch)
    seconds = {depth: [] for depth in depths}
    for _ in range(warm_ups + repeats):
        for depth, model in models.items():
            start = time.perf_counter()
            model.train_on_batch(batch)  # returns floats: the step is over
            seconds[depth].append(time.perf_counter() - start)
    return {depth: samples[warm_ups:] for depth, samples in seconds.items()}


def slope(shallow, deep, depths):
    """Seconds per unit of depth: the median over rounds, and the ends of its 95 % interval."""
    return median_interval(np.subtract(deep, shallow) / depths)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depths", type=int, nargs="+", default=[2, 4, 8, 16])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--warm-ups", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args()

    record = {**environment(), **vars(options), "load_average_before": os.getloadavg()}
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        tasks = [(depth, options.batch) for depth in options.depths]
        record["peak_bytes"] = pool.starmap(peak_memory, tasks, chunksize=1)
    seconds = measure(options.depths, options.batch, options.warm_ups, options.repeats)
    record["seconds"] = seconds
    record["load_average_after"] = os.getloadavg()

    print(f"{backend.name()} {backend.version()} on {backend.device()}")
    print(COLUMNS.format("depth", "ms a step", "ms per depth [95 % interval]", "MB peak"))
    before = None
    for depth, peak in zip(options.depths, record["peak_bytes"], strict=True):
        per_depth = ""
        if before is not None:
            values = slope(seconds[before], seconds[depth], depth - before)
            middle, low, high = (1000 * value for value in values)
            per_depth = f"{middle:.2f} [{low:.2f}, {high:.2f}]"
        milliseconds = f"{1000 * np.median(seconds[depth]):.1f}"
        print(COLUMNS.format(depth, milliseconds, per_depth, f"{peak / 1e6:.0f}"))
        before = depth

    RECORDS.mkdir(exist_ok=True)
    path = RECORDS / f"flow_depth-{backend.name()}.json"
    write_json(path, record, indent=1)
    print(f"Samples in {path}")


if __name__ == "__main__":
    main()
