"""Public packages beside kgen: processes by turns, and the report's table."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import peers, report
from benchmarks.harness import turns
from benchmarks.harness.turns import Subject, by_turns
from benchmarks.peers import __main__ as verb
from benchmarks.peers import records
from kgen import models
from kgen.errors import KgenError

BACKEND = os.environ.get("KERAS_BACKEND", "jax")
# A subject whose step takes a time of its own, prints, and says how often it was called.
SLEEPER = """
import sys, time
from benchmarks.harness.turns import serve

calls = []

def run(steps):
    print("not an answer")
    calls.extend([0] * steps)
    time.sleep(steps * float(sys.argv[1]))

if float(sys.argv[1]) < 0:
    sys.exit("broken")
serve(run, lambda: {"calls": len(calls)})
"""


@pytest.fixture
def sleeper(tmp_path):
    """A function that starts a subject whose step takes so many seconds."""
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    paths = os.pathsep.join([str(tmp_path), str(turns.ROOT)])
    return lambda seconds: Subject(["sleeper", str(seconds)], {**os.environ, "PYTHONPATH": paths})


def test_subjects_take_turns_of_equal_length(sleeper):
    with sleeper(0.005) as slow, sleeper(0.001) as fast:
        found = by_turns({"slow": slow, "fast": fast}, rounds=4, seconds=0.02)
        assert {name: len(answers) for name, answers in found.items()} == {"slow": 4, "fast": 4}
        assert 2 <= slow.steps <= 4 < fast.steps <= 20
    for name, least in (("slow", 0.005), ("fast", 0.001)):
        assert all(least <= answer["seconds"] for answer in found[name])
    # Every turn begins with a step that is not timed; three single ones chose the length.
    assert [answer["calls"] for answer in found["slow"]] == [
        3 * 2 + turn * (slow.steps + 1) for turn in (1, 2, 3, 4)
    ]
    assert slow.process.poll() is not None  # it has ended with the block


def test_a_subject_that_fails_is_named(sleeper):
    with sleeper(-1) as broken, pytest.raises(KgenError, match=r"of sleeper -1, received none"):
        broken.round()


@pytest.mark.parametrize("name", peers.ROWS)
def test_a_row_imports_its_package_only_when_it_is_measured(name):
    row = peers.find(name)
    assert row.PACKAGE == "sklearn" or row.PACKAGE not in sys.modules  # kgen imports scikit-learn
    ways = [getattr(row, way, None) for way in ("create", "stepping", "drawing")]
    assert sum(callable(way) for way in ways) == 1
    assert models.get(row.MODEL)((28, 28, 1), row.LEVELS, **row.SETTINGS)


def test_kgens_side_has_the_networks_of_pythae():
    from benchmarks.harness.environments import environment_of

    with Subject(["benchmarks.peers.serve", "pythae", "kgen"], environment_of(BACKEND, "cpu")) as s:
        answer = s.round()
    layers = [(784, 512), (512, 2 * 20), (20, 512), (512, 784)]
    assert answer["parameters"] == sum((inputs + 1) * outputs for inputs, outputs in layers)
    assert answer["seconds"] > 0


def test_scikit_learns_row_counts_its_parameters():
    row = peers.find("scikit-learn")
    rows = np.random.default_rng(0).integers(0, 2, (4, 6, 6, 1), "uint8")
    run, parameters = row.stepping(rows)
    run(2)
    assert parameters == 36 * 500 + 36 + 500


def made_up(backend="jax", factor=2.0, **changes):
    """A result in which kgen takes `1 / factor` of the package's time."""
    return {
        "schema": records.SCHEMA,
        "peer": "normflows",
        "peer_version": "1.7.3",
        "cell": {"model": "glow", "backend": backend, "settings": {}},
        "commit": "f" * 40,
        "versions": {},
        "machine": {
            **{"processor": "one", "processors": 2, "memory_gib": 8, "system": "Linux"},
            **{"accelerators": [], "id": "01234567"},
        },
        "huge_pages": backend == "jax",
        "started": "2026-01-01T00:00:00+00:00",
        "load": {"average": 1.0, "before": 0.0, "during": 0.01},
        "parameters": {"kgen": 12345, "peer": 12000},
        "seconds": {"kgen": [0.1 / factor] * 5, "peer": [0.1] * 5},
        **changes,
    }


def test_the_table_has_ratios_of_throughputs(tmp_path):
    path = tmp_path / "peers.jsonl"
    for record in (made_up(factor=9.0), made_up(), made_up("torch", 0.5)):
        records.append(path, record)
    table = records.section(records.read(path))
    assert "2026-01-01 on one, 2 processors" in table.note
    assert table.note.endswith("jax with huge pages.")
    sizes = ["normflows 1.7.3", "12,345", "12,000"]
    assert table.rows == [
        ["glow, jax", *sizes, "50.0", "100.0", "2.00", "2.00 to 2.00", "faster"],
        ["glow, torch", *sizes, "200.0", "100.0", "0.50", "0.50 to 0.50", "slower"],
    ]


@pytest.mark.parametrize(
    "line", ["", "{", "[]", json.dumps({**made_up(), "schema": 0}), json.dumps({"schema": 1})]
)
def test_other_lines_are_refused(tmp_path, line):
    (tmp_path / "peers.jsonl").write_text(f"{json.dumps(made_up())}\n{line}\n")
    with pytest.raises(KgenError, match="line 2: expected a result of `python -m bench"):
        records.read(tmp_path / "peers.jsonl")


def test_the_report_has_the_table(tmp_path, capsys):
    (cells,) = Path(report.__file__).parent.glob("results/*.jsonl")
    records.append(tmp_path / "peers.jsonl", made_up())
    report.main([str(cells), "--peers", str(tmp_path / "peers.jsonl")])
    assert "| glow, jax | normflows 1.7.3 | 12,345 |" in capsys.readouterr().out
    page = tmp_path / "page.html"
    report.main([str(cells), "--peers", str(tmp_path / "peers.jsonl"), "--html", str(page)])
    assert "Beside public packages" in page.read_text()
    report.main([str(cells)])
    assert "Beside public packages" not in capsys.readouterr().out


def test_the_verb_measures_what_is_here_and_says_what_is_not(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(verb, "reason_to_skip", lambda name, _: name != "normflows" and "no reason")
    monkeypatch.setattr(verb, "measure", lambda name, backends, _: [made_up(b) for b in backends])
    out = str(tmp_path / "peers.jsonl")
    verb.main(["--backends", "jax", "torch", "--out", out])
    printed = capsys.readouterr().out
    assert "without pythae: no reason" in printed
    assert "normflows: beside kgen on jax, torch" in printed
    assert [record["cell"]["backend"] for record in records.read(out)] == ["jax", "torch"]
    with pytest.raises(KgenError, match="Expected pythae to be measured, received no reason"):
        verb.main(["--packages", "pythae", "--out", out])


def test_a_missing_package_is_told(monkeypatch):
    options = verb.parser().parse_args([])
    monkeypatch.setattr(verb.importlib.util, "find_spec", lambda package: None)
    assert "pip install --group peers" in verb.reason_to_skip("pythae", options)
    assert "--pytorch-generative PATH" in verb.reason_to_skip("pytorch-generative", options)
    with pytest.raises(KgenError, match="Expected a package to compare with"):
        verb.main([])
