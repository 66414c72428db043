"""The pages that are made from the code, the records and the tutorials, and where they stand."""

import re
from pathlib import Path

import command_line
import model_pages
import reference
import results
import sampler_studies
import tutorial_pages

ROOT = Path(__file__).parents[2]
ON_THE_HOME_PAGE = ("Start", "Use")  # sections of the README; the others have pages of their own
MEASURED = ("Training", "Training throughput, kgen to native code")  # of a benchmark's report
ON_ADDING_A_MODEL = ("How to add a model", "Bans", "Running the tests", "The documentation")


def contents():
    """{path in the site: text or bytes} of every generated page and picture."""
    return {
        "index.md": home(),
        "training.md": text("training.md"),
        "backends.md": text("backends.md") + measured(),
        "diffusion.md": text("diffusion.md") + sampler_studies.section(),
        "design.md": design(),
        "contributing.md": adding_a_model(),
        "command_line.md": command_line.page(),
        **model_pages.contents(),
        **results.contents(),
        **reference.contents(),
        **tutorial_pages.contents(),
    }


def navigation():
    return [
        {"Home": "index.md"},
        {"Tutorials": tutorial_pages.navigation()},
        {"Training in Python": "training.md"},
        {"Which backend, which device": "backends.md"},
        {"Diffusion models": "diffusion.md"},
        {"Models": model_pages.navigation()},
        {"Results": "results/index.md"},
        {"Command line": "command_line.md"},
        {"Reference": reference.navigation()},
        {"Contributing": [{"Design": "design.md"}, {"How to add a model": "contributing.md"}]},
    ]


def home():
    """What the README says first; its pictures lie beside this page."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    opening = text[: text.index("\n## ")]
    kept = [opening, *(section(text, title) for title in ON_THE_HOME_PAGE)]
    return "\n".join(kept).replace("(docs/", "(")


def adding_a_model():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return "# Contributing\n\n" + "\n".join(section(text, title) for title in ON_ADDING_A_MODEL)


def design():
    """What is said on design, and the rooms of the house as the README of its builders has them."""
    house = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("\n## ")[0]
    return text("design.md") + f"\n#{house}\n"


def measured():
    """Training on each machine that there are committed results of."""
    parts = []
    for path in sorted((ROOT / "benchmarks" / "results").glob("*.md")):
        report = path.read_text(encoding="utf-8")
        device = re.search(r"^- .* device (\w+), kgen ", report, re.MULTILINE)[1]
        machine = re.search(r"^- Machine: (.*), id ", report, re.MULTILINE)[1]
        parts.append(f"\n### {machine}, {device}\n")
        parts += [
            f"\n##{section(report, title)}" for title in MEASURED if f"## {title}\n" in report
        ]
    return "".join(parts)


def text(name):
    """A page that is written by hand, beside this file."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def section(text, title):
    """The part of a Markdown text under the heading `## title`, with that heading."""
    found = re.search(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    if not found:
        raise KeyError(f"Expected a section {title!r}: it moved, or has another title.")
    return found[0]
