"""The harness: what it measures, keeps, compares and reports."""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import keras
import numpy as np
import pytest

from benchmarks import __main__ as harness
from benchmarks import compare, machine, report, results, runner
from benchmarks.cells import BUDGETS, Budget, Cell, plan
from benchmarks.speed import profiling
from kgen.errors import KgenError
from kgen.models import REGISTRY

BACKEND = os.environ.get("KERAS_BACKEND", "jax")
CELL = Cell("vae", BACKEND, data="digits", budget="test")


@pytest.fixture(scope="module")
def measured():
    """The record of one tiny cell, measured in a process of its own."""
    return runner.run(CELL, machine.description())


def made_up(factor=1.0, cell=CELL, **results_changed):
    """A record whose times are those of a fixed draw, times a factor."""
    seconds = factor * np.random.default_rng(0).uniform(0.9, 1.1, 50)
    return {
        "schema": results.SCHEMA,
        "status": "measured",
        "cell": asdict(cell),
        "hash": cell.hash,
        "started": "2026-01-01T00:00:00+00:00",
        "seconds": 1.0,
        "machine": machine.description(),
        "results": {
            "environment": {"versions": {"keras": "3"}, "device": "cpu", "commit": "abc"},
            "settings": {},
            "parameters": 10,
            "cold_start": {"import": 1.0, "first_step": 2.0},
            "training": {"steps": 10, "images_per_step": 64, "seconds": list(seconds)},
            "native": {},
            "sampling": {"1": list(seconds), "64": list(seconds)},
            "training_of_quality": {"steps": 5, "seconds": 2.0},
            "peak_memory": {"process_bytes": 2**20, "device_bytes": 2**20},
            "quality": {"likelihood": None, "rows": {}, "used": {"images": 9}},
            "samples": "",
            **results_changed,
        },
    }


def written(path, *records):
    for record in records:
        results.append(path, record)
    return path


# === Measuring ===


def test_every_registered_model_is_a_cell_on_every_backend():
    cells = plan(None, ["jax", "torch"])
    assert {(c.model, c.backend) for c in cells} == {
        (model, backend) for model in REGISTRY for backend in ("jax", "torch")
    }


@pytest.mark.parametrize(("models", "backends"), [(["vea"], ["jax"]), (["vae"], ["theano"])])
def test_unknown_models_and_backends_are_refused(models, backends):
    with pytest.raises(KgenError, match="one of"):
        plan(models, backends)


def test_hashes_tell_cells_apart():
    variants = Cell("vae", "jax", seed=1), Cell("vae", "jax", data="digits")
    cells = [*plan(None, ["jax", "torch"]), *variants]
    assert len({cell.hash for cell in cells}) == len(cells)


def test_a_measured_cell_has_every_result(measured):
    assert measured["status"] == "measured", measured.get("reason")
    results.check(measured, "the cell")
    found = measured["results"]
    assert set(found["cold_start"]) == {"import", "build", "compile", "first_step", "first_sample"}
    assert set(found["sampling"]) == {"1", "8", "64"}
    assert len(found["training"]["seconds"]) == BUDGETS["test"].rounds
    assert found["environment"]["backend"] == BACKEND
    for pair in found["native"].values():
        assert {name: len(samples) for name, samples in pair.items()} == dict.fromkeys(
            ("kgen", "native", "step"), BUDGETS["test"].rounds
        )
    assert found["native"]
    assert sum(found["profile"].values()) == pytest.approx(1.0)
    assert found["profile"]["operations"] > 0
    assert found["quality"]["likelihood"]["likelihood"] == "bound"
    assert found["quality"]["rows"]["samples"]["frechet_distance"] > 0


def test_training_goes_on_until_the_deadline(measured):
    trained = measured["results"]["training_of_quality"]
    assert trained["steps"] >= 1
    assert BUDGETS["test"].training_seconds <= trained["seconds"] < 60


def test_a_failing_cell_is_recorded_with_its_reason():
    record = runner.run(Cell("vae", "theano", data="digits", budget="test"), machine.description())
    results.check(record, "the cell")
    assert record["status"] == "failed"
    assert "theano" in record["reason"]


def test_a_cell_that_takes_too_long_is_recorded(monkeypatch):
    monkeypatch.setitem(BUDGETS, "test", Budget(2, 0.01, 3, 1, 0.1, 64, timeout=0.5))
    record = runner.run(CELL, machine.description())
    results.check(record, "the cell")
    assert record["status"] == "timed out"


def test_what_is_measured_is_not_measured_again(tmp_path, monkeypatch, capsys):
    out, ran = tmp_path / "r.jsonl", []

    def run(cell, where):
        ran.append(cell)
        record = made_up(cell=cell)
        if cell.model == "glow" and len(ran) < 4:
            return {**record, "status": "failed", "reason": "made up"}
        return record

    monkeypatch.setattr(runner, "run", run)
    arguments = ["--models", "vae", "glow", "iwae", "--backends", "jax", "--out", str(out)]
    assert harness.main(arguments) == 1  # glow failed, the others went on
    assert [cell.model for cell in ran] == ["vae", "glow", "iwae"]
    assert "glow on jax" in capsys.readouterr().err
    assert harness.main(arguments) == 0
    assert [cell.model for cell in ran[3:]] == ["glow"]
    assert len(results.read(out)) == 3


def test_machines_are_named_by_what_they_are():
    name = machine.short_name(
        {"processor": "AMD EPYC (tm)", "processors": 2, "system": "Linux x86_64"}
    )
    assert name == "amd-epyc-tm-2-processors-linux-x86-64"


# === Lines ===


def test_lines_are_read_as_they_were_written(tmp_path):
    record = made_up()
    assert results.read(written(tmp_path / "r.jsonl", record)) == [record]


def test_the_last_line_of_a_cell_counts(tmp_path):
    path = written(tmp_path / "r.jsonl", made_up(), made_up(2.0))
    assert results.read(path) == [made_up(2.0)]


def test_a_torn_line_is_left_out_and_takes_no_other_with_it(tmp_path):
    path = tmp_path / "r.jsonl"
    other = Cell("glow", "jax")
    written(path, made_up())
    path.write_text(path.read_text() + '{"schema": 1, "cell"')
    assert results.read(path) == [made_up()]
    results.append(path, made_up(cell=other))
    with pytest.raises(KgenError, match=r"line 2: expected JSON"):
        results.read(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 2}, "schema 1, received 2"),
        ({"status": "fine"}, "'fine'"),
        ({"hash": "0" * 16}, "expected the hash"),
        ({"cell": {"model": "vae", "host": 1}}, "expected a cell"),
        ({"machine": None}, "machine to be dict"),
        ({"results": {}}, "environment to be dict"),
        ({"status": "failed"}, "reason to be str"),
    ],
)
def test_lines_of_another_schema_are_refused(tmp_path, change, words):
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps({**made_up(), **change}) + "\n")
    with pytest.raises(KgenError, match=f"line 1: .*{words}"):
        results.read(path)


def test_a_profile_may_be_missing_but_not_be_something_else(tmp_path):
    written(tmp_path / "without.jsonl", made_up())
    with pytest.raises(KgenError, match="profile to be dict"):
        written(tmp_path / "wrong.jsonl", made_up(profile=["operations"]))


def test_times_that_are_none_are_refused(tmp_path):
    record = made_up(training={"steps": 1, "images_per_step": 64, "seconds": [0.0]})
    with pytest.raises(KgenError, match="times above 0"):
        results.append(tmp_path / "r.jsonl", record)


# === Comparing ===


@pytest.mark.parametrize(("factor", "status"), [(1.0, 0), (1.02, 0), (1.5, 1), (0.5, 0)])
def test_compare_exits_1_on_a_regression_only(tmp_path, factor, status):
    before = written(tmp_path / "a.jsonl", made_up())
    after = written(tmp_path / "b.jsonl", made_up(factor))
    assert compare.main([str(before), str(after)]) == status


def test_compare_needs_common_cells(tmp_path):
    before = written(tmp_path / "a.jsonl", made_up())
    after = written(tmp_path / "b.jsonl", made_up(cell=Cell("glow", "jax")))
    with pytest.raises(KgenError, match="both files"):
        compare.main([str(before), str(after)])


def test_intervals_of_ratios_hold_the_ratio():
    random = np.random.default_rng(0)
    held = 0
    for _ in range(40):
        first, second = 2 * random.lognormal(0, 0.1, 30), random.lognormal(0, 0.1, 30)
        _, low, high = compare.ratio_of_medians(first, second)
        held += low <= 2 <= high
    assert held >= 34  # 95 % of 40 are 38


# === Report ===


def test_report_has_the_measured_figures(tmp_path, capsys):
    report.main([str(written(tmp_path / "r.jsonl", made_up()))])
    text = capsys.readouterr().out
    (row,) = re.findall(rf"\| vae, {BACKEND} \| ([\d,]+) \|.*\| 10 \|", text)
    assert 580 <= int(row) <= 700  # 64 images in about 0.1 s
    assert "Not measured" not in text


def test_report_tells_machines_apart(tmp_path, capsys):
    records = [made_up(), made_up()]
    records[1]["machine"] = {**records[1]["machine"], "processor": "another one"}
    paths = [written(tmp_path / f"{n}.jsonl", record) for n, record in enumerate(records)]
    report.main([*map(str, paths)])
    assert f"| vae, {BACKEND}, another one | " in capsys.readouterr().out


def test_report_names_what_failed(tmp_path, capsys):
    record = {**made_up(), "status": "failed", "reason": "first\nout of memory"}
    report.main([str(written(tmp_path / "r.jsonl", record))])
    assert f"| vae, {BACKEND} | failed | out of memory |" in capsys.readouterr().out


def test_report_says_whose_code_takes_the_time(tmp_path, capsys):
    record = made_up(profile={"operations": 0.75, "keras": 0.05, BACKEND: 0.2})
    report.main([str(written(tmp_path / "r.jsonl", record))])
    assert f"| vae, {BACKEND} | 75 % | 20 % | 5 % | 0 % | 0 % |" in capsys.readouterr().out


def test_profile_tells_operations_from_python():
    def in_c():
        sorted(range(10**6), key=abs)

    shares = profiling.shares(in_c)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert shares["operations"] > 0.5
    assert profiling.owner(keras.layers.Layer.__call__.__code__) == "keras"
    assert profiling.owner(inspect.signature.__code__) == "other"


def test_profile_counts_every_operation_of_a_name():
    """All of PyTorch's have one: kept by name, the last would stand for all."""
    name = "<built-in method torch._ops.aten.>"
    code = inspect.signature.__code__
    entries = [SimpleNamespace(code=c, inlinetime=t) for c, t in [(name, 3), (name, 2), (code, 5)]]
    with mock.patch("cProfile.Profile") as profile:
        profile.return_value.getstats.return_value = entries
        assert profiling.shares(None) == {"operations": 0.5, "other": 0.5}


@pytest.mark.parametrize(("factor", "words"), [(1.0, "no difference"), (2.0, "faster")])
def test_report_says_no_difference_where_the_interval_holds_1(tmp_path, capsys, factor, words):
    random = np.random.default_rng(1)
    pairs = {"eager": {"kgen": list(random.uniform(1, 2, 40)), "native": []}}
    pairs["eager"]["native"] = list(factor * random.uniform(1, 2, 40))
    report.main([str(written(tmp_path / "r.jsonl", made_up(native=pairs)))])
    (row,) = (line for line in capsys.readouterr().out.splitlines() if "eager" in line)
    assert f"| {words} |" in row


def test_report_tells_the_step_from_the_fit_around_it(tmp_path, capsys):
    pairs = {"eager": {"kgen": [2.0] * 9, "native": [1.0] * 9, "step": [0.5] * 9}}
    shares = {"operations": 0.75, "keras": 0.05, "kgen": 0.03, "other": 0.17}
    record = made_up(native=pairs, profile=shares)
    report.main([str(written(tmp_path / "r.jsonl", record))])
    ratios, slower = (line for line in capsys.readouterr().out.splitlines() if "eager" in line)
    assert ratios.endswith("| 0.50 | 0.50 to 0.50 | slower | 2.00 | 2.00 to 2.00 |")
    assert slower.endswith("| eager | -50 % | +150 % | 75 % | 8 % |")


def test_page_stands_alone(measured, tmp_path):
    path = tmp_path / "report.html"
    report.main([str(written(tmp_path / "r.jsonl", measured)), "--html", str(path)])
    page = path.read_text()
    assert page.count("<svg") == 4
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", page)


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")
def test_page_in_a_browser(measured, tmp_path):
    """The browser finds plots and pictures of a size, and has nothing to complain of."""
    path = tmp_path / "report.html"
    report.main([str(written(tmp_path / "r.jsonl", measured)), "--html", str(path)])
    probe = """<script>
      const drawn = [...document.querySelectorAll('svg, img')];
      const sizes = drawn.map(element => element.getBoundingClientRect().width);
      document.title = 'drawn ' + sizes.length + ' smallest ' + Math.min(...sizes);
    </script></body>"""
    path.write_text(path.read_text().replace("</body>", probe))
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--enable-logging=stderr", f"--user-data-dir={tmp_path}/profile", "--dump-dom"),
    ]
    result = subprocess.run([*command, path.as_uri()], capture_output=True, text=True, timeout=120)
    drawn, smallest = re.search(r"<title>drawn (\d+) smallest ([\d.]+)", result.stdout).groups()
    assert int(drawn) == 5  # four plots and a grid
    assert float(smallest) > 100
    assert "CONSOLE" not in result.stderr


def test_pytest_benchmark_users_find_what_they_expect(tmp_path):
    command = [sys.executable, "-m", "pytest", "benchmarks", "--benchmark-only", "-q"]
    options = ["--model=autoencoder", "--data=digits", "--budget=test", "-p", "no:cacheprovider"]
    result = subprocess.run(
        [*command, *options],
        cwd=Path(__file__).parent.parent,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout
    assert "test_training" in result.stdout
    assert "Rounds" in result.stdout
    assert "autoencoder has no samples" in result.stdout
