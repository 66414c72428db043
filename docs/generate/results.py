"""The page of results: every record's figure, command, samples and curves."""

import csv

import beta_curve
import gan_options
from drawn import png
from model_pages import RECORDS, texts_of
from texts import table

from benchmarks import table as figures
from benchmarks.commands import starts_of
from kgen.pictures import save_loss_plot

OPENING = """# Results

Trained models, measured once on the test images at the end. Each record holds the command that
repeats it; a model's page has all of its figures. On `binarized_mnist` likelihoods are in nats per
image, on images of 256 levels in bits per dimension; lower is better. ≤ marks an upper bound, k its
number of samples, ± the standard error. Published figures are of the same images, trained as they
say; (m) marks those quoted from memory of the paper. Curves are of the training images, and of
those that the run kept apart for validation.
"""
DEPTH = """## What does depth buy?

The likelihoods on MNIST's 256 levels, in bits per dimension and in nats per image, from Gaussians
to networks. Exact, or upper bounds (≤).
"""
DEPTH_HEADINGS = ("record", "bits per dimension", "nats", "training")
SHARES = (*figures.SAID, "all")
CAPTIONS = (*SHARES, "R-precision", "Frechet distance")
AS_CAPTIONS_SAY = """How often images show what their captions say
(`benchmarks/studies/captions.py`), also those whose digit and colour no training image joins. How
often their own caption agrees in more attributes than each of 99 others (R-precision). The Frechet
distance to the test images is that of features of a classifier, trained on the machine that
measured: compare it with that of the real images of the same table.
"""
NEAREST = """Images drawn for captions, and the training images nearest to them
(`benchmarks/studies/nearest.py`). Distances are root mean squared differences of pixels, in parts
of their range; the median is shown, beside that of real test images. A copy is nearer to a training
image than one in a hundred test images. The last column says how often the nearest training image
has the caption that was asked for.
"""
NEAREST_COLUMNS = ("samples for", "images", "distance", "of test images", "copies", "as asked")
ON_TEST_IMAGES = "This run is of an earlier version, which took test images for validation.\n"


def contents():
    """{path: text or bytes} of the page and its curves."""
    curves = {f"results/{name}.png": plotted(RECORDS / f"{name}.csv") for name in kept(".csv")}
    beta = {f"results/{beta_curve.PICTURE}": beta_curve.picture(figures.records())}
    nearest = {
        f"results/{path.name}": path.read_bytes() for path in sorted(RECORDS.glob("nearest-*.png"))
    }
    return {"results/index.md": page(), **curves, **beta, **nearest, **gan_options.contents()}


def page():
    records = figures.records()
    parts = [section(name, record) for name, record in records.items()]
    studies = [DEPTH, table(DEPTH_HEADINGS, depth()), beta_curve.section(records)]
    return "\n".join([OPENING, *studies, gan_options.section(), *parts])


def depth():
    """Rows of MNIST, as `DEPTH_HEADINGS` say, the lowest likelihood first."""
    found = [
        (max(record["test"]["estimates"], key=figures.number_of_samples), name, record)
        for name, record in figures.records().items()
        if figures.data_of(record) == "mnist" and record.get("test")
    ]
    for best, name, record in sorted(found, key=lambda one: -one[0]["bits_per_dimension"]):
        measured = [figures.likelihood(best, in_nats) for in_nats in (False, True)]
        yield [f"[{name}](#{name})", *measured, figures.training(record)]


def kept(suffix):
    """The names of the records with a file of this kind."""
    return [name for name in figures.records() if (RECORDS / f"{name}{suffix}").exists()]


def section(name, record):
    """A record's figure, command and pictures."""
    model = record["model"]
    facts = [
        ["model", f"[`{model}`](../models/{model}.md#{name})"],
        ["data", figures.data_in_words(record)],
        ["measured", figures.measured(record) or figures.NONE],
        ["published", figures.PUBLISHED.get((model, figures.data_of(record)), "")],
        ["training", f"{figures.training(record)}, seed {record['seed']}, on {record['backend']}"],
    ]
    commands = "\n".join(start["command"] for start in starts_of(record))
    parts = [f"## {name}\n", table(["", ""], facts), f"```\n{commands}\n```\n"]
    if "remark" in record:
        parts.append(f"{record['remark']}\n")
    if "captions" in record:
        parts += [AS_CAPTIONS_SAY, table(["", *CAPTIONS], captions(record["captions"]["cases"]))]
    if "nearest" in record:
        parts += [NEAREST, table(NEAREST_COLUMNS, nearest(record["nearest"]["cases"]))]
        parts.append(f"![Samples, and the nearest training images](nearest-{name}.png)\n")
    if (RECORDS / f"{name}.png").exists():
        parts.append(f"![Images of the run {name}](../models/{name}.png)\n")
    if (RECORDS / f"{name}.txt").exists():
        parts.append(texts_of(name))
    if (RECORDS / f"{name}.csv").exists():
        parts.append(f"![Curves of the run {name}]({name}.png)\n")
    if "validation_images" not in record["data"]:
        parts.append(ON_TEST_IMAGES)
    return "\n".join(parts)


def captions(cases):
    """Rows of how often images show what their captions say; of samples, and of real images."""
    for case in cases:
        for kind, behind in ((case["row"], ""), (f"{case['row']}, new pairs", ", held out")):
            shares = [f"{case[name + behind]:.0%}" for name in SHARES]
            of_all = [f"{case['R-precision']:.0%}", f"{case['Frechet distance']:.1f}"]
            yield [kind, *shares, *(["", ""] if behind else of_all)]


def nearest(cases):
    """Rows of how near samples come to training images."""
    for case in cases:
        distances = [f"{case[name]:.3f}" for name in ("distance", "test_distance")]
        shares = [f"{case[name]:.0%}" for name in ("copies", "named")]
        yield [case["row"], str(case["images"]), *distances, *shares]


def plotted(path):
    """The PNG of a history."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name != "epoch"]
    history = {name: [float(row[name] or "nan") for row in rows] for name in names}
    return png(save_loss_plot, history)
