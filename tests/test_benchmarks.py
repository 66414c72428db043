"""The harness: what it measures, keeps, compares and reports."""

import contextlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import keras
import numpy as np
import pytest

from benchmarks import __main__ as harness
from benchmarks import compare, report
from benchmarks.harness import cases, load, machine, ratios, results, runner
from benchmarks.harness.cases import BUDGETS, Budget, Case, plan
from benchmarks.harness.provenance import commit, provenance, short, version
from benchmarks.speed import profiling
from benchmarks.speed.subject import Subject
from kgen.errors import KgenError
from kgen.models import REGISTRY

BACKEND = os.environ.get("KERAS_BACKEND", "jax")
CASE = Case("vae", BACKEND, data="digits", budget="test")
COMMIT = "0123456789" * 4
IDLE = {"before": 0.01, "during": 0.02, "average": 1.5}


@pytest.fixture(scope="module", params=cases.installed_backends())
def measured(request):
    """The record of one tiny case, measured in a process of its own, on every backend."""
    return runner.run(replace(CASE, backend=request.param), provenance(request.param))


@pytest.fixture
def all_backends(monkeypatch):
    """As where every framework is installed."""
    monkeypatch.setattr(cases, "installed_backends", lambda: list(cases.BACKENDS))


def made_up(factor=1.0, case=CASE, where=None, load=IDLE, started="2026-01-01", **results_changed):
    """A record whose times are those of a fixed draw, times a factor; `where` changes the
    provenance.
    """
    seconds = factor * np.random.default_rng(0).uniform(0.9, 1.1, 50)
    versions = {"kgen": "0", "python": "3.11", "keras": "3", "numpy": "2", case.backend: "1"}
    here = {"commit": COMMIT, "versions": versions, "machine": machine.description()}
    here |= where or {}
    return {
        "schema": results.SCHEMA,
        "status": "measured",
        "cell": asdict(case),
        **here,
        "hash": results.identity(asdict(case), here),
        "started": f"{started}T00:00:00+00:00",
        "seconds": 1.0,
        "load": load,
        "results": {
            "environment": {"backend": case.backend, "device": "cpu"},
            "settings": {},
            "parameters": 10,
            "cold_start": {"import": 1.0, "first_step": 2.0},
            "training": {"steps": 10, "images_per_step": 64, "seconds": list(seconds)},
            "profile": {},
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


def another(**changed):
    """A machine like this one but for what is changed."""
    return {"machine": {**machine.description(), **changed}}


def report_of(tmp_path, capsys, *records):
    """What `python -m benchmarks.report` prints of a file with these records."""
    report.main([str(written(tmp_path / "reported.jsonl", *records))])
    return capsys.readouterr().out


# === Measuring ===


@pytest.mark.usefixtures("all_backends")
def test_every_registered_model_is_a_cell_on_every_backend():
    planned = plan(None, ["jax", "torch"])
    assert {(c.model, c.backend) for c in planned} == {
        (model, backend) for model in REGISTRY for backend in ("jax", "torch")
    }


@pytest.mark.parametrize(
    ("models", "backends", "words"),
    [
        (["vea"], ["jax"], "one of .*'vea': name one of these"),
        (["vae"], ["theano"], "one of jax, tensorflow, torch.*'theano': name one"),
    ],
)
@pytest.mark.usefixtures("all_backends")
def test_unknown_models_and_backends_are_refused(models, backends, words):
    with pytest.raises(KgenError, match=words):
        plan(models, backends)


def test_backends_are_those_installed(monkeypatch):
    monkeypatch.setattr(cases, "installed_backends", lambda: ["torch"])
    assert [case.backend for case in plan(["vae"], None)] == ["torch"]
    with pytest.raises(KgenError, match="one of torch, received 'jax': install jax"):
        plan(["vae"], ["jax"])


@pytest.mark.usefixtures("all_backends")
def test_a_name_given_twice_is_one_cell():
    assert len(plan(["vae", "vae"], ["jax", "jax"])) == 1


@pytest.mark.usefixtures("all_backends")
def test_hashes_tell_cells_apart():
    variants = Case("vae", "jax", seed=1), Case("vae", "jax", data="digits")
    planned = [*plan(None, ["jax", "torch"]), *variants]
    assert len({case.hash for case in planned}) == len(planned)


def test_a_measured_cell_has_every_result(measured):
    assert measured["status"] == "measured", measured.get("reason")
    results.check(measured, "the case")
    found = measured["results"]
    assert set(found["cold_start"]) == {"import", "build", "compile", "first_step", "first_sample"}
    assert set(found["sampling"]) == {"1", "8", "64"}
    assert len(found["training"]["seconds"]) == BUDGETS["test"].rounds
    assert found["environment"]["backend"] == measured["cell"]["backend"]
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
    record = runner.run(Case("vae", "theano", data="digits", budget="test"), provenance("theano"))
    results.check(record, "the case")
    assert record["status"] == "failed"
    assert "theano" in record["reason"].splitlines()[0]
    assert record["versions"]["theano"] == "not installed"


def test_a_model_that_does_not_take_the_data_is_unsuited():
    record = runner.run(replace(CASE, model="rbm"), provenance(BACKEND))
    results.check(record, "the case")
    assert record["status"] == "unsuited"
    assert record["reason"].startswith("Expected binary images (levels=2), received levels=17: ")


def test_a_gpu_that_is_not_there_is_no_processor(monkeypatch):
    monkeypatch.setattr("kgen.backend.device", lambda: "cpu")
    with pytest.raises(KgenError, match=r"Expected a GPU that .* choose --device cpu"):
        Subject(replace(CASE, device="gpu"), importing=0.0)


def test_a_cell_that_takes_too_long_is_recorded(monkeypatch):
    monkeypatch.setitem(BUDGETS, "test", Budget(2, 0.01, 3, 1, 0.1, 64, timeout=0.5))
    record = runner.run(CASE, provenance(BACKEND))
    results.check(record, "the case")
    assert record["status"] == "timed out"


@pytest.fixture
def ran(monkeypatch):
    """The cases that the harness runs; what comes of them is made up."""
    found = []

    def run(case, where):
        found.append(case.model)
        return made_up(case=case, where=where)

    monkeypatch.setattr(runner, "run", run)
    return found


ARGUMENTS = ["--data", "digits", "--backends", BACKEND, "--models"]


def test_what_failed_is_measured_again_and_nothing_else(tmp_path, monkeypatch, capsys, ran):
    arguments = [*ARGUMENTS, "vae", "glow", "iwae", "--out", str(tmp_path / "r.jsonl")]
    succeeds = runner.run

    def run(case, where):
        failure = {"status": "failed", "reason": "made up\nbelow"} if case.model == "glow" else {}
        return {**succeeds(case, where), **failure}

    with monkeypatch.context() as patch:
        patch.setattr(runner, "run", run)
        assert harness.main(arguments) == 1  # glow failed, the others went on
    assert ran == ["vae", "glow", "iwae"]
    assert f"glow on {BACKEND}, digits, quick: failed: made up\n" in capsys.readouterr().err
    assert harness.main(arguments) == 0
    assert ran[3:] == ["glow"]
    assert len(results.read(tmp_path / "r.jsonl")) == 3


def test_models_that_do_not_take_the_data_have_failed_only_where_they_are_named(
    tmp_path, monkeypatch, capsys, ran
):
    out = ["--out", str(tmp_path / "r.jsonl")]
    entries = {name: REGISTRY[name] for name in ("vae", "rbm")}
    monkeypatch.setattr("benchmarks.harness.cases.REGISTRY", entries)
    suited = runner.run

    def run(case, where):
        other = {"status": "unsuited", "reason": "made up"} if case.model == "rbm" else {}
        return {**suited(case, where), **other}

    monkeypatch.setattr(runner, "run", run)
    assert harness.main([*ARGUMENTS[:-1], *out]) == 0
    assert "\n1 measured, 0 failed: " in capsys.readouterr().out
    assert harness.main([*ARGUMENTS[:-1], *out]) == 0
    assert ran == ["vae", "rbm"]  # neither is tried again
    assert harness.main([*ARGUMENTS, "rbm", *out]) == 1
    assert f"rbm on {BACKEND}, digits, quick: unsuited: made up\n" in capsys.readouterr().err


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch, ran):
    arguments = [*ARGUMENTS, "vae", "glow", "--out", str(tmp_path / "r.jsonl")]
    goes_on = runner.run

    def run(case, where):
        if case.model == "glow":
            raise KeyboardInterrupt
        return goes_on(case, where)

    with monkeypatch.context() as patch:
        patch.setattr(runner, "run", run)
        with pytest.raises(KeyboardInterrupt, match="start the same command again to go on"):
            harness.main(arguments)
    assert harness.main(arguments) == 0
    assert ran == ["vae", "glow"]


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs Linux")
def test_a_signal_ends_the_process_of_a_cell_too(tmp_path):
    """Else it would go on unseen, and slow down what is measured next."""
    command = [sys.executable, "-m", "benchmarks", *ARGUMENTS, "vae"]
    with subprocess.Popen(
        [*command, "--out", str(tmp_path / "r.jsonl")],
        cwd=Path(__file__).parent.parent,
        env={**without_pytest(), "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not cells_that_run(tmp_path):
            assert process.poll() is None
            time.sleep(0.05)
        process.terminate()
        error = process.stderr.read()
    assert process.returncode == 130
    assert error.splitlines()[-1].startswith("kgen: Interrupted: ")
    assert "Traceback" not in error
    patience = time.monotonic() + 20  # the system takes its time to end a process
    while cells_that_run(tmp_path) and time.monotonic() < patience:
        time.sleep(0.05)
    assert not cells_that_run(tmp_path)


def cells_that_run(folder):
    """Command lines of the processes that measure a case into a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found.append(path.read_text())
    return [line for line in found if f"--benchmark-json={folder}" in line]


def without_pytest():
    """The environment without what this pytest tells its own processes."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"commit": "f" * 40},
        {"commit": f"{COMMIT}-dirty-01234567"},
        {"versions": {"kgen": "0", "keras": "4"}},
        another(processors=1024),
        another(id="of another"),
        {"huge_pages": True},
    ],
)
def test_what_others_measured_is_measured_here(tmp_path, monkeypatch, ran, elsewhere):
    """By another commit, with other versions, on another machine, also one of the same name."""
    out = tmp_path / "r.jsonl"
    here = {name: made_up()[name] for name in ("commit", "versions", "machine")}
    monkeypatch.setattr(harness.provenance, "provenance", lambda *_: here)
    monkeypatch.setattr(harness.provenance, "commit", lambda: COMMIT)
    case = Case("vae", BACKEND, data="digits")
    written(out, made_up(case=case, where=elsewhere))
    for _ in range(2):
        assert harness.main([*ARGUMENTS, "vae", "--out", str(out)]) == 0
    assert ran == ["vae"]  # once, and not again
    assert len(results.read(out)) == 2


def test_a_run_ends_when_the_sources_change(tmp_path, monkeypatch, ran):
    out = tmp_path / "r.jsonl"
    hashes = iter(["first", "first", "second"])
    monkeypatch.setattr(harness.provenance, "commit", lambda: COMMIT)
    monkeypatch.setattr(harness.provenance, "hash_of_sources", lambda: next(hashes))
    with pytest.raises(KgenError, match=r"sources to stay .* start again"):
        harness.main([*ARGUMENTS, "vae", "glow", "--out", str(out)])
    assert ran == ["vae", "glow"]
    assert [record["cell"]["model"] for record in results.read(out)] == ["vae"]


@pytest.mark.usefixtures("ran")
def test_results_go_to_the_users_data_where_the_report_looks(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("platformdirs.user_data_path", lambda name: tmp_path / "data" / name)
    with pytest.raises(KgenError, match=r"data.kgen.benchmarks.*python -m benchmarks` first"):
        report.main([])
    harness.main([*ARGUMENTS, "vae"])
    (file,) = (tmp_path / "data" / "kgen" / "benchmarks").iterdir()
    printed = capsys.readouterr().out
    assert f"1 of 1 cases to measure at {short(commit())}, into {file}\n" in printed
    report.main([])
    assert f"| vae, {BACKEND} | " in capsys.readouterr().out


def test_the_default_place_is_no_file_of_the_checkout():
    checkout = Path(harness.__file__).parents[1]
    assert not results.default_path().is_relative_to(checkout)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "mnits"], "mnits"),
        (["--out", os.devnull + "/r.jsonl"], "Expected to write .*Choose another place"),
    ],
)
def test_mistakes_are_told_before_anything_is_measured(ran, arguments, words):
    with pytest.raises(KgenError, match=words):
        harness.main([*ARGUMENTS, "vae", *arguments])
    assert ran == []


def test_packages_that_are_missing_are_named(monkeypatch):
    monkeypatch.setitem(harness.NEEDED, "no_such_package", "no-such")
    with pytest.raises(KgenError, match="received no no-such: pip install no-such"):
        harness.main([*ARGUMENTS, "vae"])


def test_the_reason_of_a_failure_is_its_error():
    output = "x\nE   first\nE       kgen.errors.KgenError: Expected a model.\n1 error in 2.00s"
    first, *below = runner.reason_of(output, 1).splitlines()
    assert first == "kgen.errors.KgenError: Expected a model."
    assert below[-1] == "1 error in 2.00s"
    assert runner.reason_of("killed", -9).startswith("The process ended with status -9.")


# === Provenance ===


@pytest.fixture
def checkout(tmp_path):
    """A function that runs git in a checkout with one commit."""

    def git(*arguments):
        names = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *names, *arguments], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "kgen" / "models").mkdir(parents=True)
    (tmp_path / "kgen" / "models" / "vae.py").write_text("1\n")
    git("init")
    git("add", ".")
    git("commit", "--message", "first")
    return git


def test_a_commit_names_the_sources(checkout, tmp_path):
    source = tmp_path / "kgen" / "models" / "vae.py"
    first = commit(tmp_path)
    assert re.fullmatch("[0-9a-f]{40}", first)
    (tmp_path / "README.md").write_text("no source\n")
    (tmp_path / "results.jsonl").write_text("no source\n")
    assert commit(tmp_path) == first
    source.write_text("2\n")
    second = commit(tmp_path)
    assert re.fullmatch(f"{first}-dirty-[0-9a-f]{{8}}", second)
    assert short(second) == f"{first[:12]}{second[40:]}"
    source.write_text("1\n")
    assert commit(tmp_path) == first
    (tmp_path / "kgen" / "new.py").write_text("3\n")  # which git does not know
    assert commit(tmp_path) not in (first, second)
    checkout("add", ".")
    checkout("commit", "--message", "second")
    assert re.fullmatch("[0-9a-f]{40}", commit(tmp_path))
    assert commit(tmp_path) != first


def test_sources_outside_git_have_a_name_too(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "a.py").write_text("1\n")
    first = commit(tmp_path)
    assert re.fullmatch("unknown-[0-9a-f]{8}", first)
    (tmp_path / "benchmarks" / "a.py").write_text("2\n")
    assert commit(tmp_path) != first


def test_provenance_names_the_versions_that_are_installed():
    versions = provenance(BACKEND)["versions"]
    assert versions.keys() == {"kgen", "python", "keras", "numpy", BACKEND}
    assert versions["keras"] == keras.__version__
    assert version("PIL") == version("pillow")  # a package of another name than its distribution


def test_accelerators_are_part_of_a_machine(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100'\necho 'NVIDIA H100'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = machine.description()
    assert found["accelerators"] == ["NVIDIA H100", "NVIDIA H100"]
    assert "NVIDIA H100" in machine.words(found)
    tool.write_text("#!/bin/sh\necho 'no devices were found'\nexit 6\n")
    assert machine.description()["accelerators"] == []


def test_the_id_of_a_machine_stays_and_gives_no_name_away():
    first, second = (machine.description()["id"] for _ in range(2))
    assert first == second
    assert re.fullmatch("[0-9a-f]{8}", first)


# === Load ===


def test_processors_are_read_as_linux_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 2}, raising=False)
    ticks = os.sysconf("SC_CLK_TCK")
    file = tmp_path / "stat"
    file.write_text(
        "cpu  9 9 9 9 9 9 9 9 9 9\n"
        f"cpu0 {ticks} {ticks} {ticks} 999 999 {ticks} {ticks} {ticks} {ticks} 0\n"
        "cpu1 77777 0 0 0 0 0 0 0 0 0\n"  # not for this process
        f"cpu2 {4 * ticks} 0 0 999 999 0 0 0 0 0\nintr 1\n"
    )
    assert load.busy_seconds(file) == 10
    assert load.busy_seconds(tmp_path / "nothing") is None


def test_the_share_of_others_is_what_is_not_ones_own(monkeypatch):
    """In 10 s of 2 processors 13 s were computed, 9 of them by the harness: 4 of 20."""
    clocks = {"time.monotonic": [100, 110], "busy_seconds": [50, 63], "own_seconds": [1, 10]}
    with mock.patch.multiple(
        load,
        time=SimpleNamespace(monotonic=iter(clocks["time.monotonic"]).__next__),
        busy_seconds=iter(clocks["busy_seconds"]).__next__,
        own_seconds=iter(clocks["own_seconds"]).__next__,
    ):
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
        assert load.Others().share() == 0.2


def test_own_seconds_hold_those_of_children_that_ended():
    before = load.own_seconds()
    subprocess.run([sys.executable, "-c", "sum(range(10**7))"], check=True)
    assert load.own_seconds() > before


def test_the_load_of_a_cell_is_measured(measured):
    assert measured["load"].keys() == {"before", "during", "average"}
    if load.busy_seconds() is not None:
        assert 0 <= measured["load"]["before"] <= 1
        assert 0 <= measured["load"]["during"] <= 1


def test_a_loaded_machine_is_told_before_a_cell(monkeypatch, caplog):
    monkeypatch.setattr(load, "share_before", lambda: 0.3)
    monkeypatch.setattr(runner, "_run_process", lambda case, found: ("failed", "made up"))
    record = runner.run(CASE, provenance(BACKEND))
    assert record["load"]["before"] == 0.3
    assert "other processes take 30% of the processors' time" in caplog.text


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
    other = Case("glow", "jax")
    written(path, made_up())
    path.write_text(path.read_text() + '{"schema": 1, "cell"')
    assert results.read(path) == [made_up()]
    results.append(path, made_up(case=other))
    with pytest.raises(KgenError, match=r"line 2: expected JSON"):
        results.read(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 1}, "schema 2, received 1: take the line out and measure its case anew"),
        ({"commit": "another"}, "expected the hash"),
        ({"load": {**IDLE, "during": "much"}}, "during to be float"),
        ({"machine": {"processor": "x"}}, "processors to be int"),
        ({"status": "fine"}, "'fine'"),
        ({"hash": "0" * 16}, "expected the hash"),
        ({"cell": {"model": "vae", "host": 1}}, "expected a case"),
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


def test_rounds_by_turns_are_as_many_of_each(tmp_path):
    pairs = {"eager": {"kgen": [1.0] * 3, "native": [1.0] * 3, "step": [1.0] * 2}}
    with pytest.raises(KgenError, match="as many rounds of each"):
        written(tmp_path / "wrong.jsonl", made_up(native=pairs))


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
    after = written(tmp_path / "b.jsonl", made_up(case=Case("glow", "jax")))
    with pytest.raises(KgenError, match="both files"):
        compare.main([str(before), str(after)])


def compared(tmp_path, capsys, before, after):
    """Exit status, output and warnings of a comparison of two files of one record."""
    paths = [str(written(tmp_path / f"{n}.jsonl", r)) for n, r in enumerate([before, after])]
    status = compare.main(paths)
    return status, *capsys.readouterr()


def test_compare_names_the_commits_in_one_line(tmp_path, capsys):
    after = made_up(where={"commit": "f" * 40})
    status, printed, warnings = compared(tmp_path, capsys, made_up(), after)
    assert status == 0
    first = printed.splitlines()[0]
    assert first == "Before: commit 012345678901. After: commit ffffffffffff."
    assert warnings == ""


def test_compare_warns_where_machines_differ(tmp_path, capsys):
    _, printed, warnings = compared(tmp_path, capsys, made_up(), made_up(where=another(id="x")))
    assert "THE MACHINES DIFFER" in warnings
    assert "measure both commits on one machine" in warnings
    assert "training step" in printed  # it still compares


def test_compare_warns_where_a_machine_is_not_known(tmp_path, capsys):
    """The committed lines have no id: a machine of the same name may be another."""
    old = made_up(where=another(id=machine.UNKNOWN))
    assert "not known to be one" in compared(tmp_path, capsys, old, old)[2]


def test_compare_warns_where_versions_differ_and_of_a_loaded_machine(tmp_path, capsys):
    versions = {**made_up()["versions"], "keras": "4"}
    after = made_up(where={"versions": versions}, load={**IDLE, "during": 0.5})
    _, _, warnings = compared(tmp_path, capsys, made_up(), after)
    assert "versions differ: keras 3 before, 4 after." in warnings
    assert "more than 5% of the processors' time in 1 of 2 measurements" in warnings


def test_compare_warns_where_one_side_has_huge_pages(tmp_path, capsys):
    with_pages = made_up(where={"huge_pages": True})
    _, _, warnings = compared(tmp_path, capsys, made_up(), with_pages)
    assert "huge pages on one side only in 1 of 1 pairs" in warnings
    assert "huge pages" not in compared(tmp_path, capsys, with_pages, with_pages)[2]


def test_compare_takes_the_latest_measurement_of_a_cell(tmp_path, capsys):
    before = written(tmp_path / "a.jsonl", made_up())
    newer = made_up(3.0, where={"commit": "f" * 40}, started="2026-02-02")
    after = written(tmp_path / "b.jsonl", newer, made_up(started="2026-02-01"))
    assert compare.main([str(before), str(after)]) == 1
    assert "commit ffffffffffff" in capsys.readouterr().out


@pytest.mark.parametrize("ratio", [ratios.paired_ratio, ratios.unpaired_ratio])
def test_intervals_of_ratios_hold_the_ratio(ratio):
    random = np.random.default_rng(0)
    held = 0
    for _ in range(40):
        first, second = 2 * random.lognormal(0, 0.1, 30), random.lognormal(0, 0.1, 30)
        _, low, high = ratio(first, second)
        held += low <= 2 <= high
    assert held >= 34  # 95 % of 40 are 38


def test_what_slows_both_of_a_pair_cancels():
    """A ratio of 2 in every round of a machine that is now fast, now slow."""
    moods = np.random.default_rng(0).uniform(1, 3, 15)
    assert ratios.paired_ratio(2 * moods, moods) == (2, 2, 2)
    ratio, low, high = ratios.unpaired_ratio(2 * moods, moods)
    assert ratio == 2
    assert low < 1.8
    assert high > 2.2


def test_a_paired_ratio_is_the_median_of_the_rounds():
    """Not the ratio of the medians, which is 2 here."""
    assert ratios.paired_ratio([1, 2, 8], [1, 4, 1])[0] == 1
    assert ratios.unpaired_ratio([1, 2, 8], [1, 4, 1])[0] == 2


# === Report ===


def test_report_has_the_measured_figures(tmp_path, capsys):
    report.main([str(written(tmp_path / "r.jsonl", made_up()))])
    text = capsys.readouterr().out
    (row,) = re.findall(rf"\| vae, {BACKEND} \| ([\d,]+) \|.*\| 10 \|", text)
    assert 580 <= int(row) <= 700  # 64 images in about 0.1 s
    assert "Not measured" not in text


def test_report_names_the_conditions(tmp_path, capsys):
    text = report_of(
        tmp_path, capsys, made_up(), made_up(case=Case("glow", BACKEND, "digits", "test"))
    )
    introduction = text.partition("##")[0]
    for words in (
        "2 cases (a model on a backend), measured 2026-01-01",
        *("data set digits", "budget test", "batch size 64", "device cpu", "commit 012345678901"),
        *("kgen 0", "python 3.11", "keras 3", "numpy 2", f"{BACKEND} 1"),
        f"Machine: {machine.words(machine.description())}.",
        "Load: other processes took at most 2.0% of the processors' time.",
    ):
        assert words in introduction
    assert "Warning" not in text
    assert "[1]" not in text  # there is nothing to tell apart
    assert f"| vae, {BACKEND} | 1.0% | 2.0% | 1.5 |" in text


@pytest.mark.parametrize(
    ("elsewhere", "heading", "row"),
    [
        (another(processor="another one"), "machine", "another one"),
        ({"commit": "f" * 40}, "commit", "ffffffffffff"),
    ],
)
def test_report_marks_rows_of_other_conditions(tmp_path, capsys, elsewhere, heading, row):
    first, second = made_up(), made_up(2.0, where=elsewhere, started="2026-02-02")
    text = report_of(tmp_path, capsys, first, made_up(case=Case("glow", BACKEND)), second)
    assert f"Cases differ in data set, budget, {heading}: " in text
    assert re.search(rf"\| number \| data set \| budget \| {heading} \| measured \| cases \|", text)
    assert re.search(rf"\| \[2\] \| digits \| test \| .*{row}.* \| 2026-02-02 \| 1 \|", text)
    training = text.partition("## Training\n")[2].partition("##")[0]
    names = re.findall(r"^\| (\w+, \w+ \[\d\]) \|", training, re.M)
    assert names == [f"vae, {BACKEND} [1]", f"vae, {BACKEND} [2]", f"glow, {BACKEND} [3]"]


def test_report_tells_cases_with_huge_pages_apart(tmp_path, capsys):
    """Earlier lines, which do not say, had none."""
    case = Case("vae", "jax")
    records = [made_up(case=case), made_up(case=case, where={"huge_pages": True})]
    text = report_of(tmp_path, capsys, *records, made_up(case=Case("vae", "torch")))
    assert "Cases differ in huge pages on jax:" in text
    assert re.findall(r"\| \[(\d)\] \| (no|yes) \|", text) == [("1", "no"), ("2", "yes")]


def test_frameworks_of_two_backends_are_no_difference(tmp_path, capsys):
    records = [made_up(case=Case("vae", backend)) for backend in ("jax", "torch")]
    assert "differ in" not in report_of(tmp_path, capsys, *records)
    newer = {"versions": {**records[0]["versions"], "jax": "2"}}
    text = report_of(tmp_path, capsys, made_up(case=Case("glow", "jax"), where=newer))
    assert "Cases differ in jax:" in text


def test_report_warns_of_a_loaded_machine(tmp_path, capsys):
    loaded = made_up(case=Case("glow", BACKEND, "digits", "test"), load={**IDLE, "before": 0.34})
    text = report_of(tmp_path, capsys, made_up(), loaded)
    assert "Warning: a loaded machine. Beside 1 of 2 cases" in text
    assert "up to 34%" in text
    assert f"| glow, {BACKEND}, loaded | 34.0% | 2.0% | 1.5 |" in text
    assert f"| vae, {BACKEND} | " in text
    page = tmp_path / "page.html"
    report.main([str(tmp_path / "reported.jsonl"), "--html", str(page)])
    assert '<p class="warning">Warning: a loaded machine.' in page.read_text()


def test_report_says_where_the_load_is_not_known(tmp_path, capsys):
    text = report_of(tmp_path, capsys, made_up(load=dict.fromkeys(IDLE)))
    assert "Load: not known of 1 of 1 cases." in text
    assert "## Load" not in text


def test_report_names_what_failed(tmp_path, capsys):
    record = {**made_up(), "status": "failed", "reason": "out of memory: a | b\nbelow"}
    text = report_of(tmp_path, capsys, record)
    assert rf"| vae, {BACKEND} | failed | out of memory: a \| b |" in text


def test_report_wants_cells(tmp_path):
    (tmp_path / "r.jsonl").write_text("")
    with pytest.raises(KgenError, match="received none: run `python -m benchmarks` first"):
        report.main([str(tmp_path / "r.jsonl")])
    with pytest.raises(KgenError, match=r"received: No such file.*name its file"):
        report.main([str(tmp_path / "nothing.jsonl")])


def test_the_committed_report_is_that_of_the_committed_lines():
    """Of one harness, each case once, and README's table says the same."""
    folder = Path(harness.__file__).parent / "results"
    readme = (folder.parents[1] / "README.md").read_text().partition("## Benchmarks\n")[2]
    columns = ("jax jit", "torch eager", "torch compile", "tensorflow graph", "tensorflow xla")
    files = sorted(folder.glob("*.jsonl"))
    assert files
    for file in files:
        records = results.read(file)
        assert file.with_suffix(".md").read_text() == report.as_markdown(records)
        assert len({Case(**record["cell"]).hash for record in records}) == len(records)
        assert {len(record["results"]["training"]["seconds"]) for record in records} == {15}
    for record in results.read(*files):
        (row,) = re.findall(rf"^\| `{record['cell']['model']}` \| (.*) \|$", readme, re.M)
        cited = dict(zip(columns, row.split(" | "), strict=True))
        for form, seconds in record["results"]["native"].items():
            ratio, low, high = ratios.paired_ratio(seconds["native"], seconds["kgen"])
            words = f"{ratio:.2f} ({low:.2f} to {high:.2f})"
            assert cited[f"{record['cell']['backend']} {form}"] == words


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
    times = {name: random.uniform(1, 2, 40) for name in ("kgen", "native", "step")}
    pairs = {name: list(seconds) for name, seconds in times.items()}
    pairs["native"] = list(factor * times["native"])
    text = report_of(tmp_path, capsys, made_up(native={"eager": pairs}))
    (row,) = (line for line in text.splitlines() if "eager" in line)
    assert f"| {words} |" in row


def test_report_compares_rounds_by_turns_as_pairs(tmp_path, capsys):
    """The machine slows by up to half: kgen is 1 % faster in every round, which is a difference."""
    native = np.random.default_rng(1).uniform(1, 1.5, 15)
    pairs = {"kgen": list(native / 1.01), "native": list(native), "step": list(native)}
    text = report_of(tmp_path, capsys, made_up(native={"eager": pairs}))
    assert f"| vae, {BACKEND} | eager | 15 | 1.010 | 1.010 to 1.010 | faster | 1.000 |" in text


def test_report_tells_the_step_from_the_fit_around_it(tmp_path, capsys):
    pairs = {"eager": {"kgen": [2.0] * 9, "native": [1.0] * 9, "step": [0.5] * 9}}
    shares = {"operations": 0.75, "keras": 0.05, "kgen": 0.03, "other": 0.17}
    record = made_up(native=pairs, profile=shares)
    report.main([str(written(tmp_path / "r.jsonl", record))])
    compared, slower = (line for line in capsys.readouterr().out.splitlines() if "eager" in line)
    assert compared.endswith("| 0.500 | 0.500 to 0.500 | slower | 2.000 | 2.000 to 2.000 |")
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
        env=without_pytest(),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout
    assert "test_training" in result.stdout
    assert "Rounds" in result.stdout
    assert "autoencoder has no samples" in result.stdout
