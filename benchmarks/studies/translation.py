"""Do Fader networks put asked classes into images, and nothing of them into their codes?

    python -m benchmarks.studies.translation runs/fader-mnist runs/fader-mnist-plain

Of each run, on test images: `asked`, the fraction of images translated to a random other class
that the frozen classifier gives that class; `probe`, the accuracy of a linear classifier of codes,
fitted on as many training images (by chance 1 / classes); `reconstruction`, the mean squared error
of images with their own classes, of values in [-1, 1]. A run with `adversarial_weight=0` is the
plain autoencoder to compare with.

Of runs on `placed_digits:attributes`, images are translated to the attributes of other test images.
These are read back as `studies/captions.py` does. `asked` is the fraction with the asked digit; in
place of the probe there is a column for each other kind of attribute.

Writes `benchmarks/records/translation-<data>.json`, and beside it a picture of the first run: test
images, and their translations to each class or to others' attributes.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import kgen
from benchmarks.studies import captions
from benchmarks.studies.measuring import RECORDS, record_of, write_as
from benchmarks.table import loaded_data
from kgen import encoders
from kgen.analysis.probe import linear_probe
from kgen.data.placed_digits import COLOURS, DIGITS, PLACES

ROWS = 8  # of the picture


def scores(run, data, count, classifier, seed=0):
    """{run, epochs, adversarial_weight, asked, ..., reconstruction} of a run."""
    known = json.loads((run / "run.json").read_text())
    model, test = kgen.load(run / "model"), data.test.limit(count)
    rebuilt = model.reconstruct(test.x, test.condition)
    measure = of_attributes if model.attributes else of_classes
    return {
        "run": run.name,
        "epochs": known["trained_epochs"],
        "adversarial_weight": model.adversarial_weight,
        **measure(model, data, test, classifier, seed),
        "reconstruction": squared_error(rebuilt, test.x, data.levels),
    }


def of_classes(model, data, test, classifier, seed):
    """{asked, probe} of a model of labels."""
    others = np.random.default_rng(seed).integers(1, model.classes, len(test))
    wanted = (test.labels + others) % model.classes
    seen = classifier.probabilities(model.translate(test.x, wanted)).argmax(axis=1)
    probed = linear_probe(model, data.train.limit(len(test)), test)
    return {"asked": float(np.mean(seen == wanted)), "probe": probed.accuracy}


def of_attributes(model, data, test, classifier, seed):
    """{asked, colour, size, place, background} of a model of placed digits' attributes."""
    wanted = others_of(test, seed)
    found = captions.shown(model.translate(test.x, wanted), classifier)
    right = {name: float(np.mean(found[name] == said)) for name, said in said_by(wanted).items()}
    return {"asked": right.pop("digit"), **right}


def others_of(test, seed=0):
    """The attributes of other test images, (n, k)."""
    return test.condition[np.random.default_rng(seed).permutation(len(test))]


def said_by(attributes):
    """What placed digits' attributes say: {kind: indices (n,)}."""
    ends = np.cumsum([len(DIGITS), len(COLOURS), 1, len(PLACES)])
    parts = dict(zip(captions.ATTRIBUTES, np.split(attributes, ends, axis=1), strict=True))
    large = parts.pop("size")[:, 0].astype(int)
    return {name: part.argmax(axis=1) for name, part in parts.items()} | {"size": large}


def squared_error(images, others, levels):
    """The mean squared difference of two arrays of images, as values in [-1, 1]."""
    difference = np.asarray(images, "float64") - np.asarray(others)
    return float(np.mean((2.0 * difference / (levels - 1)) ** 2))


def picture(model, data):
    """Rows of a test image and its translations to each class, or to each row's attributes."""
    test = data.test.limit(ROWS)
    wanted = np.asarray(test.condition) if model.attributes else np.arange(model.classes)
    columns = [model.translate(test.x, np.repeat(one[None], ROWS, axis=0)) for one in wanted]
    return np.stack([np.asarray(test.x), *columns], axis=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs of fader, of one set")
    parser.add_argument("--images", type=int, default=10_000)
    options = parser.parse_args()
    known = json.loads((options.runs[0] / "run.json").read_text())
    data = loaded_data(known)
    of_labels = data.label_names is not None
    classifier = encoders.frozen_classifier(data if of_labels else kgen.data.load("mnist"))
    record = record_of(argparse.Namespace(data=data.name, images=options.images))
    for run in options.runs:
        case = scores(run, data, options.images, classifier)
        record["cases"].append(case)
        print(", ".join(f"{key} {value}" for key, value in case.items()))
    write_as(record, f"translation-{data.name}")
    shown = picture(kgen.load(options.runs[0] / "model"), data)
    kgen.pictures.save_grid(RECORDS / f"translation-{data.name}.png", shown, data.levels)


if __name__ == "__main__":
    main()
