"""What the tests share: settings of the frameworks, and which environment runs which file."""

import gc
import importlib.util
import os
import random
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

FRAMEWORKS = ("jax", "tensorflow", "torch")

# Failures of shipped checks are explained as those of the tests are.
pytest.register_assert_rewrite("kgen.testing")

# The tests neither use nor leave what a user has in the cache.
os.environ["XDG_CACHE_HOME"] = str(Path(".pytest_cache", "user").resolve())
# Compiling dominates the tests under JAX. Equal programs are compiled once: every check traces the
# model anew, and XLA's part is read from the disk.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(".pytest_cache", "jax").resolve()))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
# And as fast as XLA can, with little optimisation: tests run each program a few times.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1",
)
# Before a framework starts its threads: models as small as these are slower with several, and the
# processes' threads would share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Tracing leaves millions of objects that live on: looking through them again and again took a
# twentieth of the tests' time.
gc.set_threshold(100_000, 50, 1_000)

LONGEST = (
    "test_cross_backend",
    "test_pages",
    "test_tutorials",
    "test_benchmarks",
    "test_cli",
    "test_resume",
)

# Models are carried from backend to backend only where all three are installed; elsewhere there is
# nothing to carry them to, and the file is not collected.
collect_ignore = [] if all(map(importlib.util.find_spec, FRAMEWORKS)) else ["test_cross_backend.py"]
# What metrics and samplers are compared with is installed in one environment only.
ORACLES = ("cleanfid", "prdc", "torch_fidelity", "diffusers")
if not all(map(importlib.util.find_spec, ORACLES)):
    collect_ignore += ["test_metrics_oracles.py", "test_diffusion_schedulers.py"]


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the groups
def pytest_collection_modifyitems(config, items):
    """With `--dist=loadgroup`, tests that share a trained model or a fixture share a process.

    What takes longest comes first, or one process would be left with it in the end.
    """
    items.sort(key=lambda item: item.path.stem not in LONGEST)
    for item in items if config.pluginmanager.hasplugin("xdist") else ():
        item.add_marker(pytest.mark.xdist_group(name_of_case(item) or item.path.stem))


@pytest.hookimpl(tryfirst=True)  # before the test's fixtures
def pytest_runtest_setup(item):
    """A test's models begin with the same weights in every run: Keras asks `random` for seeds."""
    seed = zlib.crc32(item.name.encode())
    random.seed(seed)
    np.random.seed(seed)


def pytest_runtest_teardown(item, nextitem):
    """After the last test of a model, its trained states and compiled programs are let go.

    Kept to the end, those of all models would take 8 GB in each process under JAX.
    """
    name = name_of_case(item)
    if name is None or nextitem is None or name == name_of_case(nextitem):
        return
    for module in map(sys.modules.get, ("test_contract", "test_golden")):
        if module is not None:
            module.release(name)
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
    gc.collect()


def name_of_case(item):
    """The name of the model that a test of the contract or of the golden records is about."""
    if item.path.stem not in ("test_contract", "test_golden") or not hasattr(item, "callspec"):
        return None
    return item.callspec.params.get("name")


@pytest.fixture(autouse=True, scope="session")
def own_choice():
    """kgen has XLA compile the steps on TensorFlow, and records them on PyTorch, which takes longer
    than the tests' few steps do without; `everything_at_its_defaults_trains_and_samples` and
    `trains_and_samples_under_xla` of `kgen.testing` do it for every model."""
    from kgen import backend

    own_choice = backend.default_jit_compile
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "default_jit_compile", lambda model: model.jit_compile)
        yield own_choice


@pytest.fixture
def steps_as_kgen_compiles_them(own_choice, monkeypatch):
    """For one test, what `jit_compile="auto"` stands for in kgen."""
    monkeypatch.setattr("kgen.backend.default_jit_compile", own_choice)


@pytest.fixture
def policy():
    """Sets the dtype policy for one test."""
    import keras

    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)
