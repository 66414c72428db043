"""Markdown as strings."""

import inspect
import re


def table(headings, rows):
    """A table; cells are Markdown of one line."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines) + "\n"


def cell(value):
    """A value as the text of a cell: one line, no `|` but in code, where it ends no cell."""
    parts = " ".join(str(value).split()).split("`")
    return "`".join(part if i % 2 else part.replace("|", "\\|") for i, part in enumerate(parts))


def linked(text):
    """Text whose arXiv ids and DOIs are links."""
    text = re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
    return re.sub(r"doi:(10\.\d+/[^\s,)]*[^\s,.)])", r"[doi:\1](https://doi.org/\1)", text)


def first_sentence(documented):
    """Of a docstring, in one line; empty where there is none."""
    paragraph = (inspect.getdoc(documented) or "").split("\n\n")[0]
    return " ".join(paragraph.split())
