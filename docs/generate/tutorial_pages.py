"""Tutorials as pages: their text and code, with the outputs of a run that is kept.

`run_tutorials.py` runs them in full and keeps each as a notebook in docs/tutorials/. Building the
documentation runs nothing: text comes from the tutorial as it stands, outputs from the notebook,
as long as its code is the tutorial's.
"""

import base64
import re
from pathlib import Path

import jupytext
import nbformat

ROOT = Path(__file__).parents[2]
TUTORIALS = ROOT / "tutorials"
NOTEBOOKS = ROOT / "docs" / "tutorials"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # colours and cursor movements of a terminal


def contents():
    """{path: page or PNG} of every tutorial."""
    if strays := {path.stem for path in NOTEBOOKS.glob("*.ipynb")} - set(names()):
        raise LookupError(f"Expected runs of tutorials in {NOTEBOOKS}, received {sorted(strays)}.")
    found = {}
    for name in names():
        found |= rendered(name)
    return found


def navigation():
    return [f"tutorials/{name}.md" for name in names()]


def names():
    """In the order of their numbers."""
    found = (path.stem for path in TUTORIALS.glob("*.py"))
    return sorted(found, key=lambda name: int(name.partition("_")[0]))


def rendered(name):
    """{path: content} of a tutorial's page and the pictures on it."""
    tutorial = jupytext.read(TUTORIALS / f"{name}.py")
    title, *cells = tutorial.cells
    run = kept_run(name, tutorial)
    outputs = iter([cell.outputs for cell in code_cells(run)] if run else [])
    parts, pictures = [title.source, origin(name, run)], {}
    for cell in cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif cell.source:
            parts.append(f"```python\n{cell.source}\n```")
            for output in next(outputs, []):
                place = f"{name}-{len(pictures) + 1}.png"
                text, picture = shown(output, place)
                parts.append(text)
                if picture:
                    pictures[f"tutorials/{place}"] = picture
    return {f"tutorials/{name}.md": "\n\n".join(parts) + "\n", **pictures}


def kept_run(name, tutorial):
    """The notebook that holds a run of just this code; None if there is none."""
    path = NOTEBOOKS / f"{name}.ipynb"
    if not path.exists():
        return None
    run = nbformat.read(path, as_version=4)
    same = [c.source for c in code_cells(run)] == [c.source for c in code_cells(tutorial)]
    return run if same else None


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source]


def origin(name, run):
    """What the page is made from, and by whom its outputs were computed."""
    source = f"This page is `tutorials/{name}.py`, which you can run from top to bottom"
    if run is None:
        return (
            f"{source}.\n\n!!! note\n\n    It is shown without outputs: its code has changed since "
            f"it was last run in full, by `python docs/generate/run_tutorials.py {name}`."
        )
    told = run.metadata["kgen"]
    backend = f"{told['backend']} {told['versions'][told['backend']]} on {told['device']}"
    budget = f", with the budget `{told['budget']}`" if told["budget"] else ""
    return (
        f"{source}, or [as a notebook]({name}.ipynb). The outputs were computed by {backend} in "
        f"{told['seconds']:.0f} s on {told['machine']['processors']} processors{budget}."
    )


def shown(output, place):
    """(Markdown, PNG or None) of an output; a picture is to lie at `place`, beside the page."""
    if output.output_type == "stream":
        return as_text(output.text), None
    if "image/png" in output.data:
        picture = base64.b64decode(output.data["image/png"])
        return f"![What the cell above shows]({place})", picture
    return as_text(output.data["text/plain"]), None


def as_text(text):
    """Plain text as a terminal shows it in the end: without colours and overwritten lines."""
    lines = [line.rstrip().split("\r")[-1] for line in ESCAPES.sub("", text).splitlines()]
    return "```text {.output}\n" + "\n".join(lines).strip("\n") + "\n```"
