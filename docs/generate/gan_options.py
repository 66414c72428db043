"""A part of the page of results: what the two studies of a GAN's options found.

They are `benchmarks/studies/gan_options.py`, of images, and `gan_ring.py`, of eight modes.
"""

import json

from model_pages import RECORDS
from texts import table

RECORD = "gan_options-*.json"
HEADINGS = ("option", "Frechet distance", "of the plain run's", "precision", "recall")
TITLE = "## What does each option of a GAN buy?\n\n"
OPENING = """`{model}` on {training_images:,} images of `{data}`, {epochs} epochs. Each option is
added alone to {plain}. The Frechet distance is that of {images:,} samples to as many test images,
in the features of the data's classifier (sha256 {encoder}...): the median and the range of {seeds}
seeds. Beside it the distance as a part of that of the plain run of the same seed, again the median.

"""
RING = "gan_ring"
RING_HEADINGS = ("option", "modes covered", "samples near a mode", "samples off")
RING_OPENING = """### Which options keep all modes?

A dense `gan` on points near eight equally likely modes of a ring, as images of two pixels
(`benchmarks/studies/gan_ring.py`), {epochs} epochs. Near a mode is within five standard deviations;
a mode is covered if it gets at least a quarter of its share. Off are the samples that would have to
move for equal shares, with none between the modes. Medians and ranges of {seeds} seeds.

"""


def section():
    """The table and the samples of every set that was studied, and of the ring."""
    found = [of_study(path.stem, json.loads(path.read_text())) for path in paths()]
    return TITLE + "\n".join([*found, of_ring(json.loads((RECORDS / f"{RING}.json").read_text()))])


def contents():
    """{path in the site: bytes} of the pictures."""
    names = [*(path.stem for path in paths()), RING]
    return {f"results/{name}.png": (RECORDS / f"{name}.png").read_bytes() for name in names}


def paths():
    """The files of the studies."""
    return sorted(RECORDS.glob(RECORD))


def of_study(name, record):
    first = record["cases"][0]
    opening = OPENING.format(
        **{key: record[key] for key in ("model", "data", "images")},
        epochs=first["trained_epochs"],
        training_images=first["training_images"],
        seeds=len({case["seed"] for case in record["cases"]}),
        plain=" ".join(f"`{key}={value}`" for key, value in first["settings"].items()),
        encoder=record["encoder_sha256"][:8],
    )
    rows = table(HEADINGS, map(row, record["rows"]))
    pictures = f"![Samples of equal noise, a row for each option, in that order]({name}.png)\n"
    return "\n".join([opening + rows, pictures])


def row(found):
    median, low, high = found["frechet_distance"]
    figures = [f"{found[name]:.2f}" for name in ("ratio", "precision", "recall")]
    return [f"`{found['option']}`", f"{median:.1f} ({low:.1f} to {high:.1f})", *figures]


def of_ring(record):
    opening = RING_OPENING.format(epochs=record["epochs"], seeds=record["seeds"])
    rows = table(RING_HEADINGS, map(ring_row, record["rows"]))
    return "\n".join([opening + rows, f"![Samples of the first seed]({RING}.png)\n"])


def ring_row(found):
    modes = "{:.0f} ({:.0f} to {:.0f})".format(*found["modes"])
    shares = ["{:.0%} ({:.0%} to {:.0%})".format(*found[name]) for name in ("near", "off")]
    settings = ", ".join(f"`{name}={value}`" for name, value in found["settings"].items())
    return [settings or "plain", modes, *shares]
