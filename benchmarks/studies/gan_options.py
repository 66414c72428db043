"""What do the options of a GAN buy, each by itself?

    python -m benchmarks.studies.gan_options runs/plain-0 runs/plain-1 runs/r1-0 runs/r1-1 ...

Takes runs of one model on one set, of equally many images and epochs and of one learning rate. They
differ in their seeds and in what `--set` said; the first run is a plain one. The Frechet distance
is between 10,000 samples and the test images, in the features of the data's classifier.

Prints a row for each setting: the distance's median and range over the seeds; the median ratio to
the plain run of the same seed; precision and recall. Writes
`benchmarks/records/gan_options-<data>.json`, with `--limit N` `gan_options-<data>-<N>.json`, and
beside it a picture: a row of samples of each setting's first run.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import kgen
from benchmarks.studies.measuring import RECORDS, record_of, write_as
from benchmarks.table import data_of, loaded_data

SHOWN = 12  # samples of a row
FIGURES = ("precision", "recall")
COLUMNS = "{:<42} {:>5}  {:<22} {:>6} {:>10} {:>7}"
HEADING = ("option", "seeds", "Frechet distance", "ratio", *FIGURES)


def option_of(settings, plain):
    """What a run's settings say beyond those of the plain run, as text; "plain" if nothing."""
    added = {name: value for name, value in settings.items() if plain.get(name) != value}
    return " ".join(f"{name}={value}" for name, value in added.items()) or "plain"


def mistake_in(runs):
    """What keeps runs (as in run.json, the first a plain one) from being compared; None if none."""
    compared = {
        "model": {run["model"] for run in runs},
        "set": {data_of(run) for run in runs},
        "number of epochs": {str(run["trained_epochs"]) for run in runs},
        "learning rate": {str(run["options"].get("learning_rate")) for run in runs},
        "number of training images": {str(run["data"]["training_images"]) for run in runs},
    }
    for name, found in compared.items():
        if len(found) > 1:
            return f"runs of one {name} are compared; received {', '.join(sorted(found))}"
    plain = {run["seed"] for run in runs if run["settings"] == runs[0]["settings"]}
    if alone := sorted({run["seed"] for run in runs} - plain):
        return f"each seed needs a plain run; seeds without one: {', '.join(map(str, alone))}"
    return None


def name_of(run):
    """The record's name, of a run as in run.json."""
    limit = run["options"].get("limit")
    return f"gan_options-{run['data']['name']}" + (f"-{limit}" if limit else "")


def case_of(run, plain, reference):
    """{run, option, settings, seed, trained_epochs, training_images, ...} of a run."""
    known = json.loads((run / "run.json").read_text())
    samples = kgen.load(run / "model").sample(reference.count, seed=0)
    figures, _ = kgen.evaluation.quality(samples, reference)
    return {
        "run": run.name,
        "option": option_of(known["settings"], plain["settings"]),
        **{name: known[name] for name in ("settings", "seed", "trained_epochs")},
        "training_images": known["data"]["training_images"],
        **{name: figures[name] for name in ("frechet_distance", *FIGURES)},
    }


def rows_of(cases):
    """The table's rows, one for each option, in the order of the cases."""
    plain = {case["seed"]: case for case in cases if case["option"] == "plain"}
    for option in dict.fromkeys(case["option"] for case in cases):
        found = [case for case in cases if case["option"] == option]
        distances = [case["frechet_distance"] for case in found]
        of_plain = [plain[case["seed"]]["frechet_distance"] for case in found]
        ratios = np.divide(distances, of_plain)
        yield {
            "option": option,
            "runs": [case["run"] for case in found],
            "frechet_distance": [float(f(distances)) for f in (np.median, min, max)],
            "ratio": float(np.median(ratios)),
            **{name: float(np.median([case[name] for case in found])) for name in FIGURES},
        }


def as_text(row):
    """A row of the printed table."""
    median, low, high = row["frechet_distance"]
    distance = f"{median:.1f} [{low:.1f}, {high:.1f}]"
    figures = [f"{row[name]:.2f}" for name in ("ratio", *FIGURES)]
    return COLUMNS.format(row["option"], len(row["runs"]), distance, *figures)


def picture(runs):
    """Samples of equal noise, a row for each run."""
    return np.stack([kgen.load(run / "model").sample(SHOWN, seed=0) for run in runs])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs; the first is plain")
    parser.add_argument("--images", type=int, default=10_000, help="samples and test images")
    options = parser.parse_args()
    known = [json.loads((run / "run.json").read_text()) for run in options.runs]
    if mistake := mistake_in(known):
        parser.error(mistake)
    plain = known[0]
    data = loaded_data(plain)
    encoder = kgen.encoders.for_data(data)
    reference = kgen.evaluation.Reference(data, encoder, count=options.images)
    asked = {"data": data.name, "model": plain["model"], "images": reference.count}
    record = record_of(argparse.Namespace(**asked)) | {"encoder_sha256": encoder.sha256}
    for run in options.runs:
        record["cases"].append(case_of(run, plain, reference))
        print(f"{run.name}: {record['cases'][-1]['frechet_distance']:.2f}", flush=True)
    record["rows"] = list(rows_of(record["cases"]))
    print(COLUMNS.format(*HEADING))
    print(*map(as_text, record["rows"]), sep="\n")
    name = name_of(plain)
    write_as(record, name)
    folders = {run.name: run for run in options.runs}
    shown = picture([folders[row["runs"][0]] for row in record["rows"]])
    kgen.pictures.save_grid(RECORDS / f"{name}.png", shown, data.levels)


if __name__ == "__main__":
    main()
