"""A part of a page: what `benchmarks/studies/diffusion_samplers.py` found."""

import json

from model_pages import RECORDS
from texts import table

RECORD = "diffusion_samplers-*.json"


def section():
    """The curves of every run that was studied, and their figures as tables."""
    parts = [of_run(path.stem, json.loads(path.read_text())) for path in RECORDS.glob(RECORD)]
    return "\n".join(["\n## Measured\n", *(sorted(parts) or ["Nothing is recorded yet.\n"])])


def of_run(name, record):
    versions, backend = record["versions"], record["backend"]
    note = f" {record['note']}." if record["note"] else ""
    return f"""### {record["run"]}

![Frechet distance and seconds of each sampler against network evaluations]({name}.png)

Frechet distances between {record["images"]:,} samples and as many test images, in the features of
{record["encoder"]} (sha256 {record["encoder_sha256"][:8]}...); other real images have
{record["floor"]:.2f}. Fewer images make a distance larger: compare these with each other
only. Samples of a model of classes have exactly as many of each as the test images, which other
real images have not, so their distance can be the smaller one.
Seconds are those of 16 images, on {backend} {versions[backend]}, {record["device"]},
{record["machine"]["processors"]} processors.{note}

Frechet distance, by network evaluations (one or two fewer where a sampler cannot meet them):

{distances(record)}"""


def distances(record):
    """A table: a row a sampler, a column a number of evaluations."""
    budgets = record["evaluations"]
    rows = {}
    for case in record["cases"]:
        budget = min(most for most in budgets if most >= case["evaluations"])
        rows.setdefault(case["sampler"], {})[budget] = f"{case['frechet_distance']:.2f}"
    return table(
        ["sampler", *map(str, budgets)],
        [[name, *(found.get(most, "-") for most in budgets)] for name, found in rows.items()],
    )
