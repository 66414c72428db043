"""Do Fader networks put asked classes into images, and nothing of them into their codes?

    python -m benchmarks.studies.translation runs/fader-mnist runs/fader-mnist-plain

Of each run, on test images: `asked`, the fraction of images translated to a random other class
that the frozen classifier gives that class; `probe`, the accuracy of a linear classifier of codes,
fitted on as many training images (by chance 1 / classes); `reconstruction`, the mean squared error
of images with their own classes, of values in [-1, 1]. A run with `adversarial_weight=0` is the
plain autoencoder to compare with. Writes `benchmarks/records/translation-<data>.json`, and beside
it a picture of the first run: test images, and their translations to each class.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import kgen
from benchmarks.studies.measuring import RECORDS, record_of, write_as
from kgen import encoders
from kgen.analysis.probe import linear_probe

ROWS = 8  # of the picture


def scores(run, data, count, classifier, seed=0):
    """{run, epochs, asked, probe, reconstruction} of a run."""
    known = json.loads((run / "run.json").read_text())
    model, test = kgen.load(run / "model"), data.test.limit(count)
    others = np.random.default_rng(seed).integers(1, model.classes, len(test))
    wanted = (test.labels + others) % model.classes
    seen = classifier.probabilities(model.translate(test.x, wanted)).argmax(axis=1)
    rebuilt = model.reconstruct(test.x, test.labels)
    return {
        "run": run.name,
        "epochs": known["trained_epochs"],
        "adversarial_weight": model.adversarial_weight,
        "asked": float(np.mean(seen == wanted)),
        "probe": linear_probe(model, data.train.limit(count), test).accuracy,
        "reconstruction": squared_error(rebuilt, test.x, data.levels),
    }


def squared_error(images, others, levels):
    """The mean squared difference of two arrays of images, as values in [-1, 1]."""
    difference = np.asarray(images, "float64") - np.asarray(others)
    return float(np.mean((2.0 * difference / (levels - 1)) ** 2))


def picture(model, data):
    """Images in rows: a test image and its translations to each class."""
    images = np.asarray(data.test.limit(ROWS).x)
    columns = [images] + [
        model.translate(images, np.full(len(images), label)) for label in range(model.classes)
    ]
    return np.stack(columns, axis=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs of fader, of one set")
    parser.add_argument("--images", type=int, default=10_000)
    options = parser.parse_args()
    name = json.loads((options.runs[0] / "run.json").read_text())["data"]["name"]
    data = kgen.data.load(name)
    classifier = encoders.frozen_classifier(data)
    record = record_of(argparse.Namespace(data=name, images=options.images))
    for run in options.runs:
        case = scores(run, data, options.images, classifier)
        record["cases"].append(case)
        print(", ".join(f"{key} {value}" for key, value in case.items()))
    write_as(record, f"translation-{name}")
    shown = picture(kgen.load(options.runs[0] / "model"), data)
    kgen.pictures.save_grid(RECORDS / f"translation-{name}.png", shown, data.levels)


if __name__ == "__main__":
    main()
