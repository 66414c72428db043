"""What densities and latents of trained runs are good for: three figures and three pictures.

    python -m benchmarks.studies.densities outliers runs/glow-mnist
    python -m benchmarks.studies.densities bayes runs/cvae-binarized_mnist --labelled FILE
    python -m benchmarks.studies.densities probe runs/vae-binarized_mnist runs/rbm-binarized_mnist \
        --labelled FILE

Outliers: is log p(x) of MNIST test images above that of Fashion-MNIST's, of black images, and of
digits without their lower halves, which no training image was? Bayes' rule with a conditional
model. A linear probe on latents. Each writes benchmarks/records/densities-NAME.json, a case for
each run, and docs/NAME.png of the first. Runs on the fixed binarisation need its labels:
`--labelled FILE.npz` of `labelled_binarized_mnist.py`.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np

import kgen
from benchmarks.studies.measuring import record_of, write_as
from kgen import pictures
from kgen.analysis.density import classify, detect_outliers
from kgen.analysis.probe import linear_probe

DOCS = Path(__file__).parent.parent.parent / "docs"


def outliers(model, options, picture):
    """{kind of outlier: AUROC}, and the picture of MNIST against Fashion-MNIST."""
    digits = np.asarray(kgen.data.load("mnist").test.limit(options.images).images)
    clothing = kgen.data.load("fashion_mnist").test.limit(options.images).images
    upper_halves = digits.copy()
    upper_halves[:, digits.shape[1] // 2 :] = 0
    others = {
        "fashion_mnist": np.asarray(clothing),
        "black images": np.zeros_like(digits),
        "upper halves of digits": upper_halves,
    }
    found = {name: detect_outliers(model, digits, images) for name, images in others.items()}
    groups = {"digits": next(iter(found.values())).log_probs}
    for name, one in found.items():
        if np.ptp(one.outlier_log_probs):  # a single image has no distribution
            groups[f"{name}: AUROC {one.auroc:.3f}"] = one.outlier_log_probs
    pictures.save_histograms(picture, groups, "log p(x), nats per image")
    return {f"AUROC, {name}": round(one.auroc, 4) for name, one in found.items()}


def bayes(model, options, picture):
    """The accuracy of Bayes' rule, and the picture of its confusions."""
    test = kgen.data.load(options.labelled).test.limit(options.images)
    found = classify(model, np.asarray(test.images), samples=options.samples)
    accuracy = float(np.mean(found.labels == test.labels))
    title = f"Bayes' rule, k={options.samples}: {accuracy:.1%}"
    pictures.save_confusion(picture, test.labels, found.labels, title=title)
    return {"accuracy": accuracy}


def probe(model, options, picture):
    """The accuracy of a linear probe, and the picture of the latents."""
    data = kgen.data.load(options.labelled)
    test = data.test.limit(options.images)
    found = linear_probe(model, data.train.limit(10 * options.images), test)
    title = f"linear probe of the latents: {found.accuracy:.1%}"
    pictures.save_scatter(picture, found.projection, test.labels, title=title)
    return {"accuracy": found.accuracy}


PARTS = {part.__name__: part for part in (outliers, bayes, probe)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument(
        "runs", type=Path, nargs="+", help="of flows, conditional models, models with latents"
    )
    parser.add_argument("--labelled", default="mnist", help="images with labels of bayes and probe")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=10, help="k of a conditional bound")
    options = parser.parse_args()
    asked = argparse.Namespace(images=options.images, samples=options.samples)
    record = record_of(asked) | {"labelled": Path(options.labelled).stem}
    with tempfile.TemporaryDirectory() as folder:
        for run in options.runs:
            picture = Path(folder, f"{run.name}.png")
            found = PARTS[options.part](kgen.load(run / "model"), options, picture)
            print(run.name, found)
            record["cases"].append({"run": run.name, **found})
        shutil.copyfile(Path(folder, f"{options.runs[0].name}.png"), DOCS / f"{options.part}.png")
    write_as(record, f"densities-{options.part}")


if __name__ == "__main__":
    main()
