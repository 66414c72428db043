"""Which backend runs where the user has not said: the one that is installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kgen import backend_choice, cli

ROOT = Path(__file__).parent.parent
KERAS_NEEDED = """
import importlib, os, sys
from pathlib import Path

class KerasIsImported(Exception): pass

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "keras":
            raise KerasIsImported(os.environ.get("KERAS_BACKEND"))

sys.meta_path.insert(0, Finder())
import kgen
chosen = {}

def attempt(what, use):
    try:
        use()
    except KerasIsImported as found:
        chosen[what] = str(found)
    os.environ.pop("KERAS_BACKEND", None)
    for module in [module for module in sys.modules if module.startswith("kgen.")]:
        del sys.modules[module]

for path in sorted(Path("kgen").rglob("*.py")):
    name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    attempt(name, lambda: importlib.import_module(name))
attempt("VAE", lambda: kgen.VAE)
attempt("create", lambda: kgen.models.create("vae"))
attempt("load", lambda: kgen.load("x"))
attempt("set_seed", lambda: kgen.set_seed(0))
attempt("encoder", lambda: kgen.encoders.Inception())
assert {'VAE', 'create', 'load', 'set_seed', 'encoder'} <= set(chosen), chosen
print(len(chosen), *set(chosen.values()))
"""
UNCHANGED = """
import os, sys
before = dict(os.environ)
import kgen, kgen.cli, kgen.fit, kgen.models, kgen.data
kgen.models.names()
assert dict(os.environ) == before
"""


@pytest.fixture
def newcomer(monkeypatch, tmp_path):
    """A machine on which Keras was never imported; says which packages are installed."""
    for name in ("KERAS_BACKEND", "KERAS_HOME", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delitem(sys.modules, "keras")

    def installs(*names):
        monkeypatch.setattr(backend_choice, "_is_installed", lambda package: package in names)

    return installs


def configure(folder, backend):
    folder.mkdir(exist_ok=True)
    (folder / "keras.json").write_text(json.dumps({"backend": backend}))


@pytest.mark.parametrize("name", backend_choice.BACKENDS)
def test_the_one_that_is_installed(newcomer, name):
    newcomer(name)
    cli.choose_backend()
    assert os.environ["KERAS_BACKEND"] == name


@pytest.mark.parametrize("name", backend_choice.BACKENDS)
def test_the_file_counts_only_if_its_backend_is_installed(newcomer, name, tmp_path):
    configure(tmp_path / ".keras", "tensorflow")  # as Keras writes it, whatever one's wish was
    newcomer(name)
    cli.choose_backend()
    assert os.environ["KERAS_BACKEND"] == name


@pytest.mark.parametrize("name", backend_choice.BACKENDS)
def test_the_file_is_the_users_wish_where_there_are_several(newcomer, name, tmp_path):
    configure(tmp_path / ".keras", name)
    newcomer(*backend_choice.BACKENDS)
    cli.choose_backend()
    assert os.environ["KERAS_BACKEND"] == name


def test_the_file_is_looked_for_where_keras_looks(newcomer, monkeypatch, tmp_path):
    configure(tmp_path / ".keras", "jax")
    configure(tmp_path / "elsewhere", "torch")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "elsewhere"))
    newcomer("jax", "torch")
    cli.choose_backend()
    assert os.environ["KERAS_BACKEND"] == "torch"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"backend": 3}', "\x00"])
def test_a_file_that_says_nothing_does_not_matter(newcomer, content, tmp_path):
    configure(tmp_path / ".keras", "jax")
    (tmp_path / ".keras" / "keras.json").write_text(content)
    newcomer("jax", "torch")
    cli.choose_backend()
    assert os.environ["KERAS_BACKEND"] == "jax"


def test_of_several_keras_own_default(newcomer):
    newcomer(*backend_choice.BACKENDS)
    cli.choose_backend()
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


def test_the_variable_goes_before_the_file(newcomer, monkeypatch, tmp_path):
    configure(tmp_path / ".keras", "torch")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    newcomer("jax", "torch")
    cli.choose_backend()
    assert os.environ["KERAS_BACKEND"] == "jax"


@pytest.mark.parametrize("configured", [True, False])
def test_the_verbs_set_how_threads_wait_whatever_decides(newcomer, configured, tmp_path):
    if configured:
        configure(tmp_path / ".keras", "jax")
    newcomer("jax")
    cli.choose_backend()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


def test_a_missing_one_says_how_to_install_it(newcomer, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    newcomer("torch")
    with pytest.raises(cli.KgenError, match=r"pip install 'kgen\[jax\]', or KERAS_BACKEND=torch"):
        cli.choose_backend()


def test_none_says_how_to_install_one(newcomer):
    newcomer()
    with pytest.raises(cli.KgenError, match=r"none is installed: pip install 'kgen\[jax\]'"):
        cli.choose_backend()


def test_a_folder_of_that_name_is_no_backend(tmp_path, monkeypatch):
    (tmp_path / "jaxen").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not backend_choice._is_installed("jaxen")
    (tmp_path / "jaxen" / "__init__.py").write_text("")
    assert backend_choice._is_installed("jaxen")


def test_nothing_is_chosen_once_keras_is_imported(monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND")
    backend_choice.choose_backend()
    assert "KERAS_BACKEND" not in os.environ


def as_a_newcomer(code, home):
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    environment |= {
        "HOME": str(home),
        "PYTHONPATH": f"{ROOT / 'tests' / 'alone'}:{ROOT}",
        "KGEN_TEST_HIDDEN": " ".join({*backend_choice.BACKENDS} - {os.environ["KERAS_BACKEND"]}),
    }
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_whatever_imports_keras_has_chosen_before(tmp_path):
    count, *chosen = as_a_newcomer(KERAS_NEEDED, tmp_path).split()
    assert int(count) > 40
    assert chosen == [os.environ["KERAS_BACKEND"]]


def test_importing_kgen_and_its_verbs_changes_no_variable(tmp_path):
    as_a_newcomer(UNCHANGED, tmp_path)
