"""A part of the page of results: rate and distortion of a beta-VAE, run by run."""

from operator import itemgetter

from drawn import png
from texts import table

from benchmarks import table as figures
from kgen.plots import saved_figure

PICTURE = "beta_curve.png"
HEADINGS = ("beta", "rate", "distortion", "sum", "-log p(x)", "information", "active units")
OPENING = """## What does beta trade?

A `beta_vae` minimises distortion + beta * rate: the nats per image that its reconstruction lacks,
and those that its latents take, the KL divergence. One network and one training for each beta,
measured on the test images of `{data}`. The sum is the bound of one draw on -log p(x), which beta
= 1 minimises; beside it the bound of more draws, the mutual information of images and latents,
and how many latents are in use.

"""


def section(records):
    """The table of all `beta_vae` records, with their picture."""
    found = points(records)
    rows = [row(beta, record) for beta, record in found]
    picture = f"![Distortion against rate, a point for each beta]({PICTURE})\n"
    opening = OPENING.format(data=figures.data_of(found[0][1]))
    return "\n".join([opening + table(HEADINGS, rows), picture])


def points(records):
    """The records of a `beta_vae`, by beta."""
    found = [record for record in records.values() if record["model"] == "beta_vae"]
    return sorted(((one["settings"]["beta"], one) for one in found), key=itemgetter(0))


def rate_and_distortion(record):
    """In nats per image; their sum is the bound of one draw."""
    rate = record["evaluation"]["latents"]["kl"]
    one_draw = min(record["test"]["estimates"], key=figures.number_of_samples)
    return rate, one_draw["negative_log_prob_nats"] - rate


def row(beta, record):
    rate, distortion = rate_and_distortion(record)
    best = max(record["test"]["estimates"], key=figures.number_of_samples)
    latents = record["evaluation"]["latents"]
    return [
        f"{beta:g}",
        *(f"{value:.2f}" for value in (rate, distortion, rate + distortion)),
        figures.likelihood(best, in_nats=True),
        f"{latents['mutual_information']:.2f}",
        f"{latents['active_units']} of {latents['units']}",
    ]


def picture(records):
    """The PNG: distortion against rate."""
    return png(draw, points(records))


def draw(path, found):
    places = [rate_and_distortion(record) for _, record in found]
    with saved_figure(path, 5, 3.5) as figure:
        axes = figure.subplots()
        axes.plot(*zip(*places, strict=True), marker="o")
        for (beta, _), place in zip(found, places, strict=True):
            axes.annotate(f"{beta:g}", place, xytext=(5, 5), textcoords="offset points")
        axes.set_xlabel("rate: KL divergence, nats per image")
        axes.set_ylabel("distortion, nats per image")
