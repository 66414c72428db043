"""Mutants of all that kgen reads: each is taken, or refused by one clean line, in bounded memory.

`python tests/mutants.py KIND SEED` repeats one.
"""

import os

import mutants
import pytest

from kgen import backend
from kgen.backend_choice import BACKENDS

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")

# Of 300 in all, a third on each backend: those of runs that go on are the slowest.
QUICK = {"run.json": 10, "checkpoint.json": 20}
QUICK |= dict.fromkeys(mutants.KINDS.keys() - QUICK.keys(), 54)
MANY = int(os.environ.get("KGEN_MUTANTS", 10_000)) // len(mutants.KINDS) + 1


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    worker = mutants.Worker(tmp_path_factory.mktemp("mutants"))
    yield worker
    worker.stop()


@pytest.mark.parametrize("kind", mutants.KINDS)
def test_a_mutant_is_taken_or_refused_by_one_line(kind, worker):
    seeds = range(BACKENDS.index(backend.name()), QUICK[kind], len(BACKENDS))
    assert mutants.failures(worker, kind, seeds) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", mutants.KINDS)
def test_many_mutants_are_taken_or_refused_by_one_line(kind, worker):
    found = mutants.failures(worker, kind, range(1_000, 1_000 + MANY))
    assert found == [], f"{len(found)} of {MANY}"


def test_a_mutant_is_the_same_again(tmp_path, monkeypatch):
    """Made of its seed alone, so that a failure can be repeated."""
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        arguments = mutants.of_npz(mutants.random.Random("npz-5"), None)
        made.append((arguments, (tmp_path / name / arguments[1]).read_bytes()))
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"status": 0, "errors": "", "traceback": ""}, None),
        ({"status": 2, "errors": "kgen: expected x\n", "traceback": ""}, None),
        ({"status": 1, "errors": "kgen: loss became non-finite\n", "traceback": ""}, None),
        ({"status": 1, "errors": "kgen: other\n", "traceback": ""}, "exit status 1"),
        ({"status": 2, "errors": "kgen: \x1b[31m\n", "traceback": ""}, "control characters"),
        ({"status": 2, "errors": "kgen: " + "x" * 9_999, "traceback": ""}, "10005 letters"),
        ({"status": 2, "errors": "other\n", "traceback": ""}, "no line"),
        ({"status": None, "errors": "", "traceback": "a\nTypeError: b\n"}, "TypeError: b"),
    ],
)
def test_what_is_wrong_is_seen(found, words):
    assert words is None if mutants.wrong(found) is None else words in mutants.wrong(found)
