"""Run tutorials in full and keep them, with their outputs, as notebooks in docs/tutorials/.

    python docs/generate/run_tutorials.py [NAME ...]

All of them, one after the other, on the backend that KERAS_BACKEND names; the documentation shows
what they printed and drew. Each starts in an empty folder. A notebook is replaced when its tutorial
has run to the end.
"""

import argparse
import base64
import io
import os
import sys
import tempfile
import time

import jupytext
import nbformat
from nbclient import NotebookClient
from PIL import Image
from tutorial_pages import NOTEBOOKS, ROOT, TUTORIALS, names

COLOURS = 64  # of a picture: grey digits and plots need no more, and are a third of the size
BUDGET = "KGEN_TUTORIAL_BUDGET"  # set by the tests, to be through in seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", metavar="NAME", nargs="*", help="tutorials (default: all)")
    chosen = parser.parse_args().names or names()
    if unknown := set(chosen) - set(names()):
        parser.error(f"expected tutorials of {', '.join(names())}, received {', '.join(unknown)}")
    # For the kernels: they start elsewhere.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.getenv("PYTHONPATH")]))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # its log lines are no outputs
    for name in chosen:
        print(f"{name}: ", end="", flush=True)
        keep(name, *run(name))


def run(name):
    """A tutorial as a notebook with outputs, and the seconds it took."""
    notebook = jupytext.read(TUTORIALS / f"{name}.py")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook,
            timeout=None,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            record_timing=False,
            coalesce_streams=True,
        ).execute()
    return notebook, time.perf_counter() - started


def keep(name, notebook, seconds):
    """Write the notebook, with what it was run by; nothing else of the machine stays in it."""
    sys.path.insert(0, str(ROOT))
    from kgen.files import atomic_write
    from kgen.runs.provenance import environment

    told = environment()
    del told["command"]
    told |= {"seconds": round(seconds, 1), "budget": os.environ.get(BUDGET)}
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "kgen": told,
    }
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id, cell.metadata = f"cell-{number}", {}  # the same in the next run
        for output in cell.get("outputs", []):
            if "data" in output:
                output.data, output.metadata = needed(output.data), {}
    nbformat.validate(notebook)
    NOTEBOOKS.mkdir(exist_ok=True)
    with atomic_write(NOTEBOOKS / f"{name}.ipynb") as path:
        nbformat.write(notebook, path)
    print(f"{seconds:.0f} s, {(NOTEBOOKS / f'{name}.ipynb').stat().st_size / 1e3:.0f} kB")


def needed(data):
    """Of the forms of an output, the one that is shown: a small picture, or else text."""
    if "image/png" not in data:
        return {"text/plain": data["text/plain"]}
    picture, file = Image.open(io.BytesIO(base64.b64decode(data["image/png"]))), io.BytesIO()
    picture.convert("RGB").quantize(COLOURS).save(file, format="PNG", optimize=True)
    return {"image/png": base64.b64encode(file.getvalue()).decode()}


if __name__ == "__main__":
    main()
