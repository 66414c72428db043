"""Names that other projects do not publish: those in use are listed in docs/private_names.md."""

import ast
import re
import sys

import pytest
from test_house import FILES, ROOT, every_file, imported, tree

INTERNAL = ("keras.src", "tensorflow.python", "torch.fx.experimental", "jax._src")
PUBLIC = {"_asdict", "_fields", "_make", "_replace"}  # of named tuples
OTHERS = ("keras", "jax", "tensorflow", "tf", "torch")
LISTED = {
    (file, re.split(r"\W+", name)[-1])
    for names, file in re.findall(
        r"^\| (.+?) \| `(.+?)` \|", (ROOT / "docs/private_names.md").read_text(), re.MULTILINE
    )
    for name in re.findall("`(.+?)`", names)[:1]
}


def is_private(name):
    return name.startswith("_") and not name.startswith("__") and name not in {"_", *PUBLIC}


def bound_here():
    """Every name that a file of kgen binds: what starts with "_" among them is our own."""
    for name in FILES:
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield node.name
            elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
                own = isinstance(node, ast.Name) or ast.unparse(node.value) == "self"
                yield from [getattr(node, "id", getattr(node, "attr", ""))] if own else []


OWN = set(bound_here())


def private_names(name):
    """The names that a file uses of other projects and that these do not publish."""
    for module in imported(name):
        parts = module.split(".")
        if parts[0] not in ("kgen", *sys.stdlib_module_names) and (
            module.startswith(INTERNAL) or any(map(is_private, parts))
        ):
            yield parts[-1]
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in OWN:
            if ast.unparse(node.value) not in sys.stdlib_module_names:
                yield node.attr
        elif isinstance(node, ast.Constant) and str(node.value).startswith(INTERNAL):
            yield node.value.strip(".").split(".")[-1]
        elif isinstance(node, ast.Call):
            yield from replaced(node)


def replaced(call):
    """What of another project `getattr(...)`, `patch.object(...)` and the like reach by a name."""
    names = [a.value for a in call.args[1:2] if isinstance(a, ast.Constant)]
    of_others = call.args and ast.unparse(call.args[0]).split(".")[0] in OTHERS
    patches = ast.unparse(call.func).endswith("patch.object") and of_others
    reaches = ast.unparse(call.func) in ("getattr", "setattr", "hasattr", "delattr")
    for name in (name for name in names if isinstance(name, str)):
        if patches or (reaches and is_private(name) and name not in OWN):
            yield name


@every_file
def test_private_names_of_others_are_listed(name):
    assert {(name, found) for found in private_names(name)} <= LISTED


def test_listed_names_of_others_are_in_use():
    assert len(LISTED) > 5
    for file, found in LISTED:
        assert found in FILES[file].read_text(), f"{file} no longer uses {found}"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("from keras.src.trainers import trainer", ["trainer"]),
        ("import torch._inductor", ["_inductor"]),
        ("from jax._src.core import Jaxpr", ["Jaxpr"]),
        ("model._no_name_of_ours()", ["_no_name_of_ours"]),
        ("getattr(keras.Model, '_no_name_of_ours')", ["_no_name_of_ours"]),
        ("mock.patch.object(keras.Layer, 'add_loss', None)", ["add_loss"]),
        ("os._exit(0)", []),
        ("self._checksum = other._checksum", []),
        ("from kgen.files import _private", []),
    ],
)
def test_private_names_are_found(code, expected, monkeypatch, tmp_path):
    (tmp_path / "a.py").write_text(code)
    monkeypatch.setitem(FILES, "a.py", tmp_path / "a.py")
    monkeypatch.setattr(sys.modules[__name__], "OWN", OWN | {"_checksum"})
    assert list(private_names("a.py")) == expected
