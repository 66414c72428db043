"""What densities and latents of trained runs are good for: three figures and three pictures.

    KERAS_BACKEND=jax python benchmarks/densities.py --flow runs/glow-mnist \\
        --conditional runs/cvae-binarized_mnist --latents runs/vae-binarized_mnist --labelled FILE

Outliers: is log p(x) of MNIST test images above that of Fashion-MNIST's, of black images, and of
digits without their lower halves, which no training image was? Bayes' rule with a conditional
model. A linear probe on the latents of `--latents`. Writes benchmarks/records/densities.json and
docs/outliers.png, docs/bayes.png, docs/probe.png. Runs on the fixed binarisation need its labels:
`--labelled FILE.npz` of `labelled_binarized_mnist.py`.
"""

import argparse
from pathlib import Path

import numpy as np
from measuring import record_of, write_as

import kgen
from kgen import pictures
from kgen.density import classify, detect_outliers
from kgen.probe import linear_probe

DOCS = Path(__file__).parent.parent / "docs"


def outliers(model, count):
    """{kind of outlier: AUROC}, and the picture of MNIST against Fashion-MNIST."""
    digits = np.asarray(kgen.data.load("mnist").test.limit(count).images)
    upper_halves = digits.copy()
    upper_halves[:, digits.shape[1] // 2 :] = 0
    others = {
        "fashion_mnist": np.asarray(kgen.data.load("fashion_mnist").test.limit(count).images),
        "black images": np.zeros_like(digits),
        "upper halves of digits": upper_halves,
    }
    found = {name: detect_outliers(model, digits, images) for name, images in others.items()}
    scores = {name: round(one.auroc, 4) for name, one in found.items()}
    groups = {"digits": next(iter(found.values())).log_probs}
    for name, one in found.items():
        if np.ptp(one.outlier_log_probs):  # a single image has no distribution
            groups[f"{name}: AUROC {one.auroc:.3f}"] = one.outlier_log_probs
    pictures.save_histograms(DOCS / "outliers.png", groups, "log p(x), nats per image")
    return scores


def bayes(model, data, count, samples):
    test = data.test.limit(count)
    found = classify(model, np.asarray(test.images), samples=samples)
    accuracy = float(np.mean(found.labels == test.labels))
    title = f"Bayes' rule, k={samples}: {accuracy:.1%}"
    pictures.save_confusion(DOCS / "bayes.png", test.labels, found.labels, title=title)
    return accuracy


def probe(model, data, count):
    found = linear_probe(model, data.train.limit(10 * count), data.test.limit(count))
    labels = data.test.limit(count).labels
    title = f"linear probe of the latents: {found.accuracy:.1%}"
    pictures.save_scatter(DOCS / "probe.png", found.projection, labels, title=title)
    return found.accuracy


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flow", type=Path, required=True, help="run of a flow on MNIST")
    parser.add_argument("--conditional", type=Path, required=True, help="run of a conditional one")
    parser.add_argument("--latents", type=Path, required=True, help="run with latents, no labels")
    parser.add_argument("--labelled", default="mnist", help="images of the last two, with labels")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=10, help="k of a conditional bound")
    options = parser.parse_args()
    runs = [options.flow, options.conditional, options.latents]
    labelled = kgen.data.load(options.labelled)
    asked = argparse.Namespace(images=options.images, samples=options.samples)
    record = record_of(asked) | {"runs": [run.name for run in runs], "labelled": labelled.name}
    flow, conditional, latents = (kgen.load(run / "model") for run in runs)
    record["cases"] = [
        {"outlier AUROC": outliers(flow, options.images)},
        {"Bayes' rule, accuracy": bayes(conditional, labelled, options.images, options.samples)},
        {"linear probe, accuracy": probe(latents, labelled, options.images)},
    ]
    for case in record["cases"]:
        print(case)
    write_as(record, "densities")


if __name__ == "__main__":
    main()
