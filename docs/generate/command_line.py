"""The command-line reference, from the parsers."""

import argparse
import importlib
import inspect
import re
from pathlib import Path

from texts import table

import kgen
from kgen import data, evaluate, sample
from kgen.runs import options

PARSERS = {"fit": options.parser, "sample": sample.parser, "evaluate": evaluate.parser}
ENTRY = re.compile(r"^\s*cli\.run\(main\)", re.MULTILINE)


def page():
    verbs = {p.stem for p in Path(kgen.__file__).parent.glob("*.py") if ENTRY.search(p.read_text())}
    if verbs != set(PARSERS):
        raise LookupError(f"Expected the parsers of {sorted(verbs)}, received {sorted(PARSERS)}.")
    parts = [verb(name, parser()) for name, parser in PARSERS.items()]
    sets = [[f"`{name}`", text] for name, text in data.names().items()]
    return "\n".join(
        ["# Command line\n", *parts, "## Data sets\n", table(["`--data`", "images"], sets)]
    )


def verb(name, parser):
    described = inspect.getdoc(importlib.import_module(f"kgen.{name}")).partition("\n")[2].strip()
    rows = [
        [f"`{called(action)}`", action.help % vars(action)]
        for action in parser._actions  # argparse has no public list
        if action.help != argparse.SUPPRESS
    ]
    return f"""## {parser.prog}

{parser.description}

{described}

{table(["option", "meaning"], rows)}"""


def called(action):
    """An option as it is typed: `--epochs N`."""
    value = action.metavar or (action.choices and "{" + ",".join(map(str, action.choices)) + "}")
    if action.nargs != 0 and not value:
        value = action.dest.upper()
    more = " ..." if action.nargs == "+" else ""
    names = ", ".join(action.option_strings)
    return f"{names} {value or ''}{more}".strip()
