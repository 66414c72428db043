"""Keep what a finished run found: its record, its history, its last sample grid.

    python benchmarks/record.py RUN --name NAME [--samples 1 500]

Writes benchmarks/records/NAME.json, NAME.csv and NAME.png. The record is the run's own run.json
(command, seed, epochs, seconds, backend, versions, machine) and, where the model has a likelihood,
that of all test images (or `--images N` drawn with a fixed seed), in nats per image and bits per
dimension, each the mean with its standard error over images. `--samples` are the k of a bound (one
estimate for each); an exact likelihood has none.
"""

import argparse
import json
import math
import shutil
import time
from pathlib import Path

import numpy as np

import kgen
from kgen.files import whole_file

RECORDS = Path(__file__).parent / "records"
SEED = 0


def estimates(model, split, samples):
    """One figure for each k, or the exact one."""
    labels = {"labels": split.labels} if model.classes else {}
    for k in samples if model.likelihood == "bound" else [None]:
        bound = {} if k is None else {"samples": k, "seed": SEED}
        started = time.monotonic()
        nats = -model.log_prob(split.images, **labels, **bound)
        per_dimension = math.prod(model.image_shape) * math.log(2)
        yield {
            "likelihood": model.likelihood,
            **({} if k is None else {"samples": k}),
            "images": len(nats),
            "negative_log_prob_nats": round(float(nats.mean()), 3),
            "standard_error_nats": round(float(nats.std(ddof=1) / math.sqrt(len(nats))), 3),
            "bits_per_dimension": round(float(nats.mean() / per_dimension), 4),
            "seconds": round(time.monotonic() - started, 1),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder that kgen.fit wrote")
    parser.add_argument("--name", required=True, help="of the record to write")
    parser.add_argument("--data", help="the run's data set, where it is a file that has moved")
    parser.add_argument("--samples", type=int, nargs="+", default=[1], help="k of a bound")
    parser.add_argument("--images", type=int, help="test images (default: all)")
    options = parser.parse_args()
    record = json.loads((options.run / "run.json").read_text())
    model = kgen.load(options.run / "model")
    if model.likelihood:
        data = kgen.data.load(options.data or record["data"]["name"])
        figures = []
        for figure in estimates(model, drawn(data.test, options.images), options.samples):
            print(json.dumps(figure), flush=True)
            figures.append(figure)
        record["test"] = {"split": "test", "seed": SEED, "estimates": figures}
    with whole_file(RECORDS / f"{options.name}.json") as path:
        path.write_text(json.dumps(record, indent=2) + "\n")
    shutil.copyfile(options.run / "history.csv", RECORDS / f"{options.name}.csv")
    *_, last = sorted((options.run / "samples").iterdir())
    shutil.copyfile(last, RECORDS / f"{options.name}.png")


def drawn(test, count):
    """`count` images of a split, in their order; all of them for None."""
    if count is None:
        return test
    return test.take(np.sort(np.random.default_rng(SEED).permutation(len(test))[:count]))


if __name__ == "__main__":
    main()
