"""Keep what a finished run found: its record, its history, its last sample grid.

    python benchmarks/record.py RUN --name NAME [--samples N] [--bound-samples 1 500]

Writes benchmarks/records/NAME.json, NAME.csv and NAME.png. The record is the run's own run.json
(command, seed, epochs, seconds, backend, versions, machine) and what `kgen.evaluation` finds of
it: the quality of N samples (with the encoder and its hash), and the likelihood of N test images,
in nats per image and bits per dimension, each the mean with its standard error. `--bound-samples`
are the k of a bound (one estimate for each); an exact likelihood has none.
"""

import argparse
import json
import shutil
from pathlib import Path

import tqdm

import kgen
from kgen.evaluation import evaluate, images_compared, likelihood
from kgen.files import whole_file

RECORDS = Path(__file__).parent / "records"
SEED = 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder that kgen.fit wrote")
    parser.add_argument("--name", required=True, help="of the record to write")
    parser.add_argument("--data", help="the run's data set, where it is a file that has moved")
    parser.add_argument("--samples", type=int, default=10_000, help="and test images (10000)")
    parser.add_argument("--bound-samples", type=int, nargs="+", default=[1], help="k of a bound")
    options = parser.parse_args()
    record = json.loads((options.run / "run.json").read_text())
    model = kgen.load(options.run / "model")
    data = kgen.data.load(options.data or record["data"]["name"])
    record |= figures(model, data, options.samples, options.bound_samples)
    with whole_file(RECORDS / f"{options.name}.json") as path:
        path.write_text(json.dumps(record, indent=2) + "\n")
    shutil.copyfile(options.run / "history.csv", RECORDS / f"{options.name}.csv")
    *_, last = sorted((options.run / "samples").iterdir())
    shutil.copyfile(last, RECORDS / f"{options.name}.png")


def figures(model, data, samples, bound_samples):
    """What is added to a run's record."""
    with tqdm.tqdm(unit="image") as bar:
        found = evaluate(
            model,
            data,
            samples=samples,
            seed=SEED,
            bound_samples=bound_samples[0],
            progress=bar.update,
        )
        estimates = [found.likelihood]
        if model.likelihood == "bound":
            split = data.test.limit(images_compared(data, samples))
            estimates += [likelihood(model, split, k, SEED, bar.update) for k in bound_samples[1:]]
    evaluation = {"rows": found.rows, "used": found.used, "seconds": found.seconds}
    if not model.likelihood:
        return {"evaluation": evaluation}
    test = {"split": "test", "seed": SEED, "estimates": estimates}
    return {"test": test, "evaluation": evaluation}


if __name__ == "__main__":
    main()
