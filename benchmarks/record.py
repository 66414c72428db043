"""Keep what a finished run found: its record, its history, its last samples.

    python benchmarks/record.py RUN [RUN ...] [--samples N] [--bound-samples 1 500]
        [--likelihood-images N] [--sampling KEY=VALUE ...] [--remark TEXT]

Writes benchmarks/records/NAME.json, NAME.csv and NAME.png (of texts NAME.txt), NAME being the
folder's. The record begins as the run's own run.json: command, seed, epochs, seconds, backend,
versions, machine. `kgen.evaluation` adds the quality of N samples, with the encoder and its hash.
It adds the likelihood of N test images (of a diffusion model fewer, see `--likelihood-images`), in
nats per image and bits per dimension. Each is the mean with its standard error. `--bound-samples`
are the k of a bound (one estimate for each); an exact likelihood has none. `--remark` is what a
reader of the figure should know, such as why it misses a target.
"""

import argparse
import json
import shutil
from pathlib import Path

import tqdm

import kgen
from benchmarks.commands import starts_of, without_folders
from benchmarks.table import loaded_data
from kgen.capabilities import log_prob_arguments
from kgen.description.parameters import assigned, parsed
from kgen.evaluation import evaluate, likelihood
from kgen.files import write_json

RECORDS = Path(__file__).parent / "records"
SEED = 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="folders that kgen.fit wrote")
    parser.add_argument("--data", help="the runs' data set, where it is a file that has moved")
    parser.add_argument("--samples", type=int, default=10_000, help="and test images (10000)")
    parser.add_argument("--bound-samples", type=int, nargs="+", default=[1], help="k of a bound")
    parser.add_argument("--likelihood-images", type=int, help="default: the model's own number")
    parser.add_argument("--sampling", nargs="+", default=[], help="KEY=VALUE of the sampling")
    parser.add_argument("--remark", help="what a reader of the figure should know")
    options = parser.parse_args()
    references = {}  # what is known of the real images, by the checksum of the set
    for run in options.runs:
        keep(run, options, references)


def keep(run, options, references):
    """Write the record of one run."""
    record = json.loads((run / "run.json").read_text())
    for start in starts_of(record):
        start["command"] = without_folders(start["command"])
    data = loaded_data(record, options.data)
    model = kgen.load(run / "model")
    with tqdm.tqdm(unit="image", desc=run.name) as bar:
        found = evaluate(
            model,
            data,
            samples=options.samples,
            seed=SEED,
            bound_samples=options.bound_samples[0],
            reference=references.get(data.checksum),
            progress=bar.update,
            sampling={n: parsed(text) for n, text in assigned("--sampling", options.sampling)},
            likelihood_images=options.likelihood_images,
        )
        estimates = [found.likelihood]
        if log_prob_arguments(model, samples=1):
            split = data.test.limit(found.likelihood["images"])
            further = options.bound_samples[1:]
            estimates += [likelihood(model, split, k, SEED, bar.update) for k in further]
    references[data.checksum] = found.reference
    if model.likelihood:
        record["test"] = {"split": "test", "seed": SEED, "estimates": estimates}
    record["evaluation"] = {"rows": found.rows, "used": found.used, "seconds": found.seconds}
    if found.latents:
        record["evaluation"]["latents"] = found.latents
    if options.remark:
        record["remark"] = options.remark
    write_json(RECORDS / f"{run.name}.json", record)
    shutil.copyfile(run / "history.csv", RECORDS / f"{run.name}.csv")
    shown = samples_of(run, record)
    shutil.copyfile(shown, RECORDS / f"{run.name}{shown.suffix}")


def samples_of(run, record):
    """The file of a run's last samples; with early stopping, that of its best epoch."""
    paths = sorted((run / "samples").iterdir(), key=lambda path: path.stat().st_mtime)
    best = record.get("best_epoch")
    of_the_model = [path for path in paths if best and path.stem.endswith(f"epoch-{best:03d}")]
    return (of_the_model or paths)[-1]


if __name__ == "__main__":
    main()
