"""How well the categorical codes of InfoGANs agree with labels that they have never seen.

    python -m benchmarks.studies.codes runs/infogan-mnist runs/infogan-mnist-seed-1

Of each run: the codes of the test images, by the recogniser; their accuracy after the best matching
of codes and classes, and their normalised mutual information with the labels. Beside the runs the
median and the best of them. Writes `benchmarks/records/codes-<data>.json`.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import kgen
from benchmarks.studies.measuring import record_of, write_as
from kgen import metrics

SCORES = ("accuracy", "nmi")


def scores(run, data):
    """{run, seed, epochs, accuracy, nmi} of a run."""
    known = json.loads((run / "run.json").read_text())
    codes = kgen.load(run / "model").encode(data.test.x)["category"]
    found = metrics.cluster_scores(codes.argmax(axis=1), data.test.labels)
    return {
        "run": run.name,
        "seed": known["seed"],
        "epochs": known["trained_epochs"],
        **found._asdict(),
    }


def summary(cases):
    """{median, best: {score: value}} over the runs."""
    values = np.array([[case[name] for name in SCORES] for case in cases])
    both = {"median": np.median(values, axis=0), "best": values.max(axis=0)}
    return {name: dict(zip(SCORES, row.tolist(), strict=True)) for name, row in both.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs of infogan")
    options = parser.parse_args()
    name = json.loads((options.runs[0] / "run.json").read_text())["data"]["name"]
    data = kgen.data.load(name)
    record = record_of(argparse.Namespace(data=name, images=len(data.test.x)))
    for run in options.runs:
        record["cases"].append(scores(run, data))
        print("{run}: accuracy {accuracy:.3f}, nmi {nmi:.3f}".format(**record["cases"][-1]))
    record |= summary(record["cases"])
    for kind in ("median", "best"):
        print(f"{kind}: accuracy {record[kind]['accuracy']:.3f}, nmi {record[kind]['nmi']:.3f}")
    write_as(record, f"codes-{name}")


if __name__ == "__main__":
    main()
