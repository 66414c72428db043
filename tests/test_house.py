"""The rules of the house that a machine can read off the source."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from kgen.models import REGISTRY

ROOT = Path(__file__).parent.parent
FILES = {str(path.relative_to(ROOT)): path for path in sorted(ROOT.glob("kgen/**/*.py"))}
FRAMEWORKS = {"jax", "jaxlib", "tensorflow", "torch"}
ADAPTERS = ("jax", "tensorflow", "torch")

# What each room may import of the others. Nobody imports a verb.
BASIC = {"errors", "files", "bounds", "memory", "spaces", "chosen_backend"}
CHECKS = {"capabilities"}  # it reads the registry, `models/__init__.py`, which imports no model
SHARED_BY_VERBS = BASIC | {"cli", "data", "description", "models", "runs"}
MAY_IMPORT = {
    "errors": set(),
    "bounds": {"errors"},
    "memory": {"errors"},
    "spaces": {"errors"},
    "backend_choice": {"errors", "files"},
    "chosen_backend": {"backend_choice"},
    "huge_pages": set(),
    "files": BASIC,
    "output": BASIC,
    "cli": BASIC | {"backend_choice", "huge_pages", "output"},
    "plots": BASIC,
    "pictures": BASIC | {"plots"},
    "backend": BASIC,
    "distributions": BASIC | {"backend"},
    "layers": BASIC | {"backend"},
    "data": BASIC,
    "encoders": BASIC | {"data"},
    "metrics": BASIC | {"backend", "data", "distributions"},
    "capabilities": BASIC | {"models"},
    "seeds": BASIC | {"backend"},
    "inference": BASIC | {"backend"},
    "description": BASIC | CHECKS,
    "training": BASIC | CHECKS | {"backend", "data", "description", "distributions", "inference"},
    "models": BASIC
    | CHECKS
    | {"backend", "data", "description", "distributions", "inference", "layers", "training"},
    "registration": BASIC | {"models"},
    "saving": BASIC | {"backend", "description", "models", "training"},
    "analysis": BASIC | CHECKS | {"metrics"},
    "evaluation": BASIC | CHECKS | {"encoders", "metrics", "pictures", "plots"},
    "runs": BASIC
    | {"backend", "cli", "data", "description", "models", "pictures", "saving", "training"},
    "fit": SHARED_BY_VERBS | CHECKS | {"encoders", "evaluation", "saving", "training"},
    "sample": SHARED_BY_VERBS | {"pictures", "training"},
    "evaluate": SHARED_BY_VERBS | {"encoders", "evaluation", "training"},
}
MAY_IMPORT["testing"] = (
    MAY_IMPORT["models"]
    | MAY_IMPORT["analysis"]
    | {
        *("models", "analysis", "density", "latent", "probe", "evaluation", "saving", "seeds"),
    }
)
every_file = pytest.mark.parametrize("name", FILES)


def tree(name):
    return ast.parse(FILES[name].read_text())


def imported(name):
    """Full names of all modules (and names of modules) that a file imports, wherever it does so."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(name):
    """kgen/data/named.py -> data, kgen/fit.py -> fit, kgen/__init__.py -> the house itself."""
    return Path(name).parts[1].removesuffix(".py")


def in_adapters(name):
    return room(name) == "backend"


@every_file
def test_frameworks_are_imported_in_the_backend_only(name):
    found = {module.split(".")[0] for module in imported(name)} & FRAMEWORKS
    assert in_adapters(name) or not found


@every_file
def test_which_backend_runs_is_asked_in_the_backend_only(name):
    calls = [ast.unparse(node.func) for node in ast.walk(tree(name)) if isinstance(node, ast.Call)]
    asks = [c for c in calls if c.endswith(("backend.backend", "config.backend"))]
    assert in_adapters(name) or not asks


@every_file
def test_the_environment_variable_of_keras_is_read_in_one_place(name):
    named = {
        ast.unparse(node)
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Call | ast.Subscript) and "environ" in ast.unparse(node)
    }
    assert room(name) == "backend_choice" or not any("KERAS_BACKEND" in text for text in named)


@every_file
def test_imports_point_one_way(name):
    own = room(name)
    rooms = {module.split(".")[1] for module in imported(name) if module.startswith("kgen.")}
    assert own == "testing" or "testing" not in rooms
    if own == "__init__":
        assert rooms == set()
    else:
        assert rooms <= MAY_IMPORT[own] | {own}


def test_every_room_is_listed_and_no_two_have_one_name():
    rooms = {room(name) for name in FILES} - {"__init__"}
    assert rooms == set(MAY_IMPORT)
    inside = [Path(name).stem for name in FILES if len(Path(name).parts) > 2]
    names = Counter([*rooms, *(name for name in inside if name not in ("__init__", "base"))])
    assert [name for name, number in names.items() if number > 1] == []


@pytest.mark.parametrize(
    "path", sorted([*FILES.values(), *ROOT.glob("benchmarks/**/*.py")]), ids=lambda path: path.name
)
def test_json_is_written_in_one_place(path):
    """Which has no NaN; elsewhere values become JSON only to be hashed."""
    written = [line for line in path.read_text().splitlines() if "json.dump" in line]
    assert path == FILES["kgen/files.py"] or all(".encode()" in line for line in written)


@every_file
def test_no_file_is_long(name):
    assert len(FILES[name].read_text().splitlines()) <= 320


@every_file
def test_every_file_says_what_it_is(name):
    assert ast.get_docstring(tree(name))


@pytest.mark.parametrize("model", REGISTRY)
def test_a_model_file_opens_with_its_paper(model):
    papers = ("arXiv:", "doi:", "openreview:", "NeurIPS")
    assert any(paper in ast.get_docstring(tree(file_of(model))) for paper in papers)


@pytest.mark.parametrize("model", REGISTRY)
def test_a_model_file_is_at_most_250_lines(model):
    assert len(FILES[file_of(model)].read_text().splitlines()) <= 250


@pytest.mark.parametrize("model", REGISTRY)
def test_a_model_is_named_only_where_it_is_registered(model):
    """A new model touches its own file and one line: none but its own family knows its class."""
    family = str(Path(file_of(model)).parent)
    class_name = REGISTRY[model].class_name
    knows = [
        name
        for name in FILES
        if name != "kgen/models/__init__.py"
        and str(Path(name).parent) != family
        and any(
            class_name == getattr(node, "id", getattr(node, "attr", None))
            for node in ast.walk(tree(name))
        )
    ]
    assert knows == []


def file_of(model):
    return f"{REGISTRY[model].home[0].replace('.', '/')}.py"


def exported(adapter):
    """The names in `__all__` of an adapter, read without importing its framework."""
    (names,) = (
        ast.literal_eval(node.value)
        for node in tree(f"kgen/backend/{adapter}.py").body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    return names


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_adapters_export_the_same_names(adapter):
    assert exported(adapter) == exported(ADAPTERS[0])


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_adapters_define_what_they_export(adapter):
    body = tree(f"kgen/backend/{adapter}.py").body
    defined = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    shared = {
        alias.name for node in body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert set(exported(adapter)) <= defined | shared


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_adapters_take_the_same_arguments(adapter):
    def signatures(adapter):
        return {
            node.name: ast.unparse(node.args)
            for node in tree(f"kgen/backend/{adapter}.py").body
            if isinstance(node, ast.FunctionDef) and node.name in exported(adapter)
        }

    here, there = signatures(adapter), signatures(ADAPTERS[0])
    assert {n: here[n] for n in here if n in there} == {n: there[n] for n in there if n in here}


@pytest.mark.parametrize(
    "module",
    [
        "kgen",
        "kgen.models",
        "kgen.data",
        "kgen.metrics",
        "kgen.analysis.density",
        "kgen.encoders",
        "kgen.evaluation",
        "kgen.fit",
        "kgen.sample",
        "kgen.evaluate",
    ],
)
def test_importing_imports_no_framework(module):
    code = f"import sys, {module}; print(*({{*{FRAMEWORKS}, 'keras'}} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert result.stdout.split() == []


def test_what_a_file_of_the_package_reads_is_installed_with_it():
    """Everything below kgen/ that is no Python is named as data of the package."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    named = {
        path
        for pattern in settings["package-data"]["kgen"]
        for path in (ROOT / "kgen").glob(pattern)
    }
    others = {
        path
        for path in (ROOT / "kgen").rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    }
    assert named == others


def messages(name):
    """(line, text) of every KgenError that is raised with a text of its own, {} for its values."""
    for node in ast.walk(ast.parse(FILES[name].read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "KgenError":
            parts = getattr(node.args[0], "values", [node.args[0]])
            if all(isinstance(part, ast.Constant | ast.FormattedValue) for part in parts):
                words = (part.value if isinstance(part, ast.Constant) else "{}" for part in parts)
                yield node.lineno, "".join(words)


# Of a damaged checkpoint, which is left out for another one, no more is said than what is wrong.
WITHOUT_REMEDY = "kgen/runs/checkpoint.py"
# Some of their messages are parts of a sentence, which another function begins.
PARTS = {WITHOUT_REMEDY, "kgen/saving.py"}


@pytest.mark.parametrize("name", sorted(set(FILES) - {WITHOUT_REMEDY}))
def test_every_message_says_what_to_do(name):
    """After what was received: behind a colon, or in a sentence of its own."""
    remedy = re.compile(r"(: |[.?](\{\})? )\S")
    texts = [(line, text) for line, text in messages(name) if text.strip("{} ")]
    rests = [text.split("received", 1)[-1] for _, text in texts]
    assert [
        where for where, rest in zip(texts, rests, strict=True) if not remedy.search(rest)
    ] == []


@pytest.mark.parametrize("name", sorted(set(FILES) - PARTS))
def test_every_message_begins_with_what_was_expected(name):
    """The place is in the sentence, not before it. Few begin with a name: "{} cannot sample"."""
    texts = [(line, text) for line, text in messages(name) if text.strip("{} ")]
    good = re.compile(r"Expected |\{\}(?!.*: expected )")
    assert [where for where in texts if not good.match(where[1])] == []


# Where annotated arguments are checked against their annotations at run time.
CHECKED = {"models", "training"}


@every_file
def test_signatures_have_no_annotations_but_those_read_at_run_time(name):
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.FunctionDef):
            assert node.returns is None, f"{node.name}, line {node.lineno}"
            arguments = [part for part in ast.walk(node.args) if isinstance(part, ast.arg)]
            annotated = [argument.arg for argument in arguments if argument.annotation]
            assert room(name) in CHECKED or annotated == [], f"{node.name}, line {node.lineno}"


@every_file
def test_no_exception_is_caught_unseen(name):
    nodes = ast.walk(ast.parse(FILES[name].read_text()))
    caught = [node for node in nodes if isinstance(node, ast.ExceptHandler)]
    assert [handler.lineno for handler in caught if handler.type is None] == []


def test_every_file_of_tests_is_run_by_tox():
    """What the environments of the backends leave out is run once, by name."""
    each, _, once = (ROOT / "tox.ini").read_text().partition("[testenv:once]")
    patterns = re.findall(r"--ignore(?:-glob)?=(\S+)", each)
    left_out = [path for pattern in patterns for path in ROOT.glob(pattern)]
    assert len(left_out) > len(patterns) > 3
    paths = (path.relative_to(ROOT).as_posix() for path in left_out)
    assert [path for path in paths if path not in once] == []
