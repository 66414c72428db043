"""The examples in kgen's docstrings print what they say, on the backend at hand."""

import doctest
import importlib
import inspect
from pathlib import Path

import numpy as np
import pytest

import kgen

ROOT = Path(__file__).parent.parent
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(ROOT.glob("kgen/**/*.py"))
    if ">>> " in path.read_text()
]
# Whose every public function and callback has an example.
EXPLAINED = ("data", "density", "latent", "metrics", "pictures", "probe")
OTHERS = (
    kgen,
    kgen.KgenError,
    kgen.evaluation.SampleQuality,
    kgen.evaluation.evaluate,
    kgen.evaluation.likelihood,
    kgen.load,
    kgen.models.create,
    kgen.save,
    kgen.set_seed,
    kgen.VAE.sample,
)
# Whose every public method has an example, too.
CLASSES = (kgen.data.Dataset, kgen.data.DynamicallyBinarized, kgen.data.Split)


@pytest.mark.parametrize("module", MODULES)
def test_examples(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner, printed = doctest.DocTestRunner(), []
    for example in doctest.DocTestFinder().find(importlib.import_module(module)):
        example.globs = {"kgen": kgen, "np": np}
        runner.run(example, out=printed.append)
    assert runner.failures == 0, "".join(printed)
    assert runner.tries


def public(module):
    """The functions of a module of kgen: those of `__all__`, else its own."""
    module = getattr(kgen, module)
    names = getattr(module, "__all__", vars(module))
    for name in names:
        thing = getattr(module, name)
        own = getattr(thing, "__module__", "").startswith(module.__name__)
        if callable(thing) and own and not inspect.isclass(thing) and not name.startswith("_"):
            yield thing


def methods(thing):
    """A class and its public methods."""
    yield thing
    for name, method in vars(thing).items():
        if inspect.isfunction(method) and not name.startswith("_"):
            yield method


@pytest.mark.parametrize(
    "thing",
    [
        *OTHERS,
        *(thing for module in EXPLAINED for thing in public(module)),
        *(thing for example in CLASSES for thing in methods(example)),
    ],
    ids=lambda thing: thing.__name__ if inspect.ismodule(thing) else thing.__qualname__,
)
def test_has_an_example(thing):
    assert ">>> " in thing.__doc__
