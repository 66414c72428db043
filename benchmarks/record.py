"""The test likelihood of a finished run, added to its record.

    python benchmarks/likelihood.py RUN --samples 1 500 --record NAME

All test images, or `--images N` drawn with a fixed seed, in nats per image and bits per dimension,
each the mean with its standard error over images. `--samples` are the k of a bound (one estimate
for each); an exact likelihood has none. The record, benchmarks/records/NAME.json, is the run's own
run.json (command, seed, epochs, seconds, backend, versions, machine) with the figures beside it.
"""

import argparse
import json
import math
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
    parser.add_argument("--record", required=True, help="name of the record to write")
    parser.add_argument("--data", help="the run's data set, where it is a file that has moved")
    parser.add_argument("--samples", type=int, nargs="+", default=[1], help="k of a bound")
    parser.add_argument("--images", type=int, help="test images (default: all)")
    options = parser.parse_args()
    run = json.loads((options.run / "run.json").read_text())
    test = kgen.data.load(options.data or run["data"]["name"]).test
    if options.images is not None:
        chosen = np.random.default_rng(SEED).permutation(len(test))[: options.images]
        test = test.take(np.sort(chosen))
    model = kgen.load(options.run / "model")
    figures = []
    for figure in estimates(model, test, options.samples):
        print(json.dumps(figure), flush=True)
        figures.append(figure)
    record = {**run, "test": {"split": "test", "seed": SEED, "estimates": figures}}
    with whole_file(RECORDS / f"{options.record}.json") as path:
        path.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
