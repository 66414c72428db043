"""One case: its model, made from nothing while every phase is timed."""

import dataclasses
import time

import pytest

from benchmarks.harness.cases import BUDGETS, Case
from benchmarks.harness.runner import UNSUITED
from benchmarks.speed.subject import Subject, UnsuitedError


def pytest_addoption(parser):
    group = parser.getgroup("kgen", "the case to measure")
    defaults = Case("vae", "")
    for name in ("model", "data", "device"):
        group.addoption(f"--{name}", default=getattr(defaults, name))
    group.addoption("--budget", default="quick", choices=list(BUDGETS))


@pytest.fixture(scope="session")
def subject(request):
    """The `Subject` of this process."""
    options = {f.name: request.config.getoption(f.name, None) for f in dataclasses.fields(Case)}
    started = time.perf_counter()
    import kgen

    _ = kgen.GenerativeModel  # imports Keras and the backend
    importing = time.perf_counter() - started
    options = {name: value for name, value in options.items() if value is not None}
    case = Case(**options, backend=kgen.backend.name())
    try:
        return Subject(case, importing)
    except UnsuitedError as error:
        return pytest.exit(str(error), UNSUITED)
