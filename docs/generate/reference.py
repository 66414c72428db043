"""The reference: every public package and what it exports, rendered by mkdocstrings."""

import ast
import inspect
from pathlib import Path

from texts import first_sentence, table

import kgen
from kgen import models

INTERNAL = "backend"
PACKAGES = [name for name in kgen._PACKAGES if name != INTERNAL]


def contents():
    pages = {f"reference/{name}.md": page(name) for name in PACKAGES}
    return {"reference/index.md": overview(), **pages}


def navigation():
    return ["reference/index.md", *({f"kgen.{n}": f"reference/{n}.md"} for n in PACKAGES)]


def overview():
    """The opening of the house, its rooms, and the names at its top."""
    rooms = [
        [f"[`kgen.{name}`]({name}.md)", first_sentence(getattr(kgen, name))] for name in PACKAGES
    ]
    top = [
        [f"[`kgen.{name}`][{where}]", first_sentence(getattr(kgen, name))]
        for name, where in top_names().items()
    ]
    elsewhere = {where for package in PACKAGES for where in exported(package)}
    here = [f"::: {where}\n" for where in top_names().values() if where not in elsewhere]
    classes = ", ".join(f"[`kgen.{n}`][{home}.{n}]" for n, home in models.homes().items())
    return "\n".join(
        [
            f"# Reference\n\n{inspect.getdoc(kgen)}\n",
            table(["package", "what is in it"], rooms),
            table(["name", "what it is"], top),
            f"And the classes of the models: {classes}.\n",
            *here,
        ]
    )


def top_names():
    """{name: where it is defined} of `kgen.name`, without the models' classes."""
    return {name: f"{getattr(kgen, name).__module__}.{name}" for name in sorted(kgen._HOMES)}


def page(name):
    module = getattr(kgen, name)
    parts = [f"# kgen.{name}\n\n{inspect.getdoc(module)}\n"]
    parts += [f"::: {where}\n" for where in exported(name)]
    return "\n".join(parts)


def exported(package):
    """Where the public names of a package are defined: those of `__all__`, else its own."""
    module = getattr(kgen, package)
    names = getattr(module, "__all__", None) or [
        node.name
        for node in ast.parse(Path(module.__file__).read_text()).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    return [f"{getattr(module, name).__module__}.{name}" for name in names]
