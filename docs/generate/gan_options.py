"""A part of the page of results: what `benchmarks/studies/gan_options.py` found."""

import json

from model_pages import RECORDS
from texts import table

RECORD = "gan_options-*.json"
HEADINGS = ("option", "Frechet distance", "of the plain run's", "precision", "recall")
OPENING = """## What does each option of a GAN buy?

`{model}` on {training_images:,} images of `{data}`, {epochs} epochs. Each option is added alone to
{plain}. The Frechet distance is that of {images:,} samples to as many test images, in the features
of the data's classifier (sha256 {encoder}...): the median and the range of {seeds} seeds. Beside it
the distance as a part of that of the plain run of the same seed, again the median.

"""


def section():
    """The table and the samples of every set that was studied."""
    return "\n".join(of_study(path.stem, json.loads(path.read_text())) for path in paths())


def contents():
    """{path in the site: bytes} of the pictures."""
    return {f"results/{path.stem}.png": path.with_suffix(".png").read_bytes() for path in paths()}


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
