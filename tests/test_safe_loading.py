"""Runs and models from strangers: one line of error, no hang; nothing is run or read beside."""

import contextlib
import json
import os
import shutil
import struct
import time
import tracemalloc

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import kgen
from kgen import evaluate, fit, sample
from kgen.description.parameters import constructor_parameters
from kgen.errors import KgenError
from kgen.models import REGISTRY
from kgen.runs import checkpoint
from kgen.testing.case import Case

DIGITS = kgen.data.load("digits")
HUGE = 10**9
SECONDS = (
    60.0  # more is a hang, however busy the machine: an attack takes milliseconds to be refused
)


def small(name):
    """Arguments that make a model small."""
    return kgen.models.get(name).small_arguments


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A saved model, compiled, and its `model.json`."""
    folder = tmp_path_factory.mktemp("saved")
    model = kgen.models.create("vae", DIGITS, **small("vae"))
    model.compile()
    kgen.save(model, folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "model")
    return tmp_path / "model"


def refused(load, *arguments):
    """The one line with which it is refused, without hanging."""
    started = time.monotonic()
    with pytest.raises(KgenError) as caught:
        load(*arguments)
    assert time.monotonic() - started < SECONDS
    return " ".join(str(caught.value).split())


def change(folder, **arguments):
    """Other constructor arguments in `model.json`."""
    path = folder / "model.json"
    content = json.loads(path.read_text())
    content["config"] |= arguments
    path.write_text(json.dumps(content))


# === model.json ===


@pytest.mark.parametrize(
    "name",
    ["os.system", "../vae", "/etc/passwd", "kgen.VAE", "Lambda", "", 3, None, ["vae"], {"a": 1}],
    ids=repr,
)
def test_only_registered_models_are_made(name, folder):
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model": name}))
    assert "Expected a model" in refused(kgen.load, folder)


@pytest.mark.parametrize(
    "arguments",
    [
        {"latent_size": HUGE},
        {"latent_size": -3},
        {"latent_size": 10**400},
        {"latent_size": 4.0},
        {"latent_size": True},
        {"latent_size": "4"},
        {"latent_size": {"class_name": "Lambda", "config": {}}},
        {"hidden": [HUGE]},
        {"hidden": [3] * 100_000},
        {"hidden": 16.5},
        {"hidden": [[16]]},
        {"hidden": "__import__('os').system('true')"},
        {"image_shape": [HUGE, HUGE, 1]},
        {"image_shape": [8000, 8000, 1]},
        {"image_shape": [8, 8]},
        {"image_shape": [8, 8, -1]},
        {"image_shape": None},
        {"levels": HUGE},
        {"architecture": "../../etc"},
        {"architecture": "conv"},
        {"base_channels": float("nan")},
        {"unknown": 1},
        {"kwargs": {}},
        {"name": {"class_name": "Lambda"}},
        {"name": "a/b"},
        {"dtype": {"module": "os", "class_name": "system", "config": {"command": "true"}}},
        {"dtype": "int8_from_float32"},
    ],
    ids=lambda arguments: str(arguments)[:40],
)
def test_arguments_are_plain_checked_and_no_larger_than_the_arrays(arguments, folder):
    change(folder, **arguments)
    refused(kgen.load, folder)


def test_an_argument_is_found_under_the_name_that_an_earlier_version_saved(tmp_path):
    model = kgen.VAE((8, 8, 1), 17, latent_size=2, architecture="conv", base_channels=3)
    kgen.save(model, tmp_path)
    path = tmp_path / "model.json"
    text = path.read_text()
    path.write_text(text.replace('"base_channels"', '"width"'))
    loaded = kgen.load(tmp_path)
    assert loaded.base_channels == 3
    assert np.array_equal(loaded.sample(2, seed=0), model.sample(2, seed=0))
    path.write_text(text.replace('"base_channels"', '"width": 3, "base_channels"'))
    assert "no argument 'width': did you mean base_channels?" in refused(kgen.load, tmp_path)


def test_a_variable_that_the_file_does_not_hold_is_not_made(folder):
    change(folder, latent_size=50_000)
    assert "asks for a variable of shape (16, 100000)" in refused(kgen.load, folder)


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    kgen.save(kgen.models.create("beta_vae", DIGITS, **small("beta_vae")), tmp_path)
    for number in ("NaN", "Infinity", "1e999"):
        path = tmp_path / "model.json"
        text = path.read_text()
        path.write_text(text.replace('"beta": 2.0', f'"beta": {number}'))
        assert "to be a finite number" in refused(kgen.load, tmp_path)
        path.write_text(text)


@pytest.mark.parametrize("name", REGISTRY)
def test_no_argument_of_any_model_takes_more_memory_than_the_file(name, tmp_path):
    """A huge number is refused, or has no part in the size of this form of the model."""
    model = Case(kgen.models.get(name)).create()
    kgen.save(model, tmp_path)
    before = (tmp_path / "model.json").read_text()
    for argument in constructor_parameters(type(model)):
        value = model.get_config()[argument]
        if type(value) is int:
            huge = HUGE
        elif isinstance(value, tuple):
            huge = [HUGE] * len(value)
        else:
            continue
        change(tmp_path, **{argument: huge})
        started = time.monotonic()
        with contextlib.suppress(KgenError):
            assert kgen.load(tmp_path).count_params() == model.count_params()
        assert time.monotonic() - started < SECONDS, argument
        (tmp_path / "model.json").write_text(before)


@pytest.mark.parametrize("name", REGISTRY)
def test_large_images_take_no_memory_beside_the_arrays(name, tmp_path):
    model = Case(kgen.models.get(name)).create()
    kgen.save(model, tmp_path)
    for shape in ([4096, 4096, 1], [4096, 1, 4096], [1, 4096, 2]):
        change(tmp_path, image_shape=shape)
        started = time.monotonic()
        tracemalloc.start()
        with contextlib.suppress(KgenError):
            assert kgen.load(tmp_path).count_params() == model.count_params()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 2**24, shape
        assert time.monotonic() - started < SECONDS


@pytest.mark.parametrize("shape", [[4096, 4096, 2], [8192, 8192, 1], [67108864, 1, 1]])
def test_images_of_more_values_are_refused_before_anything_is_built(shape, tmp_path, monkeypatch):
    kgen.save(kgen.models.create("realnvp", DIGITS, **small("realnvp")), tmp_path)
    change(tmp_path, image_shape=shape)
    monkeypatch.setattr(kgen.models.get("realnvp"), "steps", lambda *_: 1 / 0)
    assert "at most 16,777,216 values" in refused(kgen.load, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"vae"',
        "{}",
        '{"model": "vae"}',
        '{"model": "vae", "config": []}',
        '{"model": "vae", "config": {}, "more": 1}',
        '{"model": "gan", "model": "vae", "config": {}}',
        "[" * 100_000,
        '{"model": ' * 100_000,
        '{"a": ' * 900 + "1" + "}" * 900,
        "\ud800",
        "\0" * 100,
        " " * (2**24 + 1),
    ],
    ids=lambda text: repr(text[:30]),
)
def test_damaged_or_hostile_json_is_refused(text, folder):
    (folder / "model.json").write_text(text, errors="surrogatepass")
    refused(kgen.load, folder)


def test_a_key_that_comes_twice_is_named(folder):
    (folder / "model.json").write_text('{"model": "vae", "config": {"levels": 2, "levels": 3}}')
    assert "comes twice" in refused(kgen.load, folder)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
ARGUMENTS = [*constructor_parameters(kgen.VAE), "name", "dtype"]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(argument=st.sampled_from(ARGUMENTS), value=JSON)
def test_any_value_of_any_argument_is_loaded_or_refused(argument, value, saved, tmp_path):
    target = tmp_path / "fuzzed"
    shutil.copytree(saved, target, dirs_exist_ok=True)
    change(target, **{argument: value})
    with contextlib.suppress(KgenError):
        assert isinstance(kgen.load(target), keras.Model)


# === variables.safetensors ===


def header(content, data=b""):
    encoded = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(encoded)) + encoded + data


def entry(shape, end, dtype="F32", start=0):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 7,
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2**31) + b"{}",
        header({}),
        header({"model/000/x": entry([HUGE, HUGE], 4 * HUGE * HUGE)}),
        header({"model/000/x": entry([HUGE], 4)}, b"1234"),
        header({"model/000/x": entry([2**63, 2], 4)}, b"1234"),
        header({"model/000/x": entry([-1], 4)}, b"1234"),
        header({"model/000/x": entry([1], 4, dtype="OBJECT")}, b"1234"),
        header({"model/000/x": entry([1], 8, start=4)}, b"12345678"),
        header(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},' * 2 + b"}", b"1234"),
        header(b"[" * 100_000),
    ],
    ids=lambda content: repr(content[:40]),
)
def test_hostile_arrays_are_refused(content, folder):
    (folder / "variables.safetensors").write_bytes(content)
    refused(kgen.load, folder)


def rewritten(folder, change):
    path = folder / "variables.safetensors"
    arrays = load_file(path)
    change(arrays)
    save_file(arrays, path)


def kernel(arrays):
    return next(name for name in arrays if name.endswith("kernel"))


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "bool"])
def test_arrays_of_another_dtype_are_refused(dtype, folder):
    rewritten(folder, lambda a: a.update({kernel(a): a[kernel(a)].astype(dtype)}))
    assert "float32" in refused(kgen.load, folder)


def test_whole_numbers_of_another_width_are_taken_if_they_fit(folder):
    """Seeds and step counts are of another width on each backend."""
    seed = "model/000/seed_generator/seed_generator_state"
    for dtype in ("int32", "uint32", "int64"):
        rewritten(folder, lambda a, dtype=dtype: a.update({seed: np.array([2**30 + 1, 5], dtype)}))
        assert kgen.load(folder).seed == 2**30 + 1
    rewritten(folder, lambda a: a.update({seed: np.array([2**63 + 1, 5], "uint64")}))
    assert "uint64" in refused(kgen.load, folder)


def test_arrays_of_another_shape_are_refused(folder):
    rewritten(folder, lambda a: a.update({kernel(a): a[kernel(a)].T.copy()}))
    refused(kgen.load, folder)


@pytest.mark.parametrize("name", ["model/999/more", "../../escape", "/etc/passwd", "other/000/x"])
def test_arrays_of_unknown_names_are_refused(name, folder):
    rewritten(folder, lambda a: a.update({name: np.zeros(1, "float32")}))
    assert repr(name) in refused(kgen.load, folder)


def test_missing_arrays_are_refused(folder):
    rewritten(folder, lambda a: a.pop(kernel(a)))
    refused(kgen.load, folder)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_truncated_file_is_refused(data, saved, tmp_path):
    target = tmp_path / "torn"
    shutil.copytree(saved, target, dirs_exist_ok=True)
    path = target / data.draw(st.sampled_from(["model.json", "variables.safetensors"]))
    content = path.read_bytes().rstrip()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    refused(kgen.load, target)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_changed_bytes_are_loaded_as_other_numbers_or_refused(data, saved, tmp_path):
    target = tmp_path / "changed"
    shutil.copytree(saved, target, dirs_exist_ok=True)
    path = target / data.draw(st.sampled_from(["model.json", "variables.safetensors"]))
    content = bytearray(path.read_bytes())
    first = min(len(content), 4000)  # the header, where all that is not plain numbers lies
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, first - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    with contextlib.suppress(KgenError):
        kgen.load(target)


# === Links, pipes, other folders ===


@pytest.mark.parametrize("name", ["model.json", "variables.safetensors"])
def test_links_are_not_followed(name, folder, tmp_path):
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    assert "a link" in refused(kgen.load, folder)


@pytest.mark.parametrize("name", ["model.json", "variables.safetensors"])
def test_pipes_do_not_keep_one_waiting(name, folder):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert "a pipe" in refused(kgen.load, folder)


# === Runs ===


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    size = ["--limit", "64", "--batch-size", "32", "--epochs", "1"]
    fit.main([*size, "--out", str(folder), "--set", "hidden=(4,)", "latent_size=2"])
    return folder


@pytest.fixture
def run(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def resume(folder):
    fit.main(["--resume", str(folder), "--epochs", "2"])


@pytest.mark.parametrize(
    "name", ["model", "model/model.json", "samples", "checkpoints", "history.csv", "new"]
)
def test_a_run_with_links_is_refused(name, run, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = run / name
    if path.exists():
        path.rename(elsewhere / "it")
    path.symlink_to(elsewhere / "it")
    assert "without links" in refused(resume, run)
    assert "without links" in refused(sample.main, [str(run)])


@pytest.mark.parametrize(
    "options",
    [
        None,
        [],
        {},
        {"out": "/tmp/elsewhere"},
        {"resume": "elsewhere"},
        {"list": True},
        {"model": "no such model"},
        {"model": "--out=/tmp/elsewhere"},
        {"model": ["vae", "--out=/tmp/elsewhere"]},
        {"data": "/etc/passwd"},
        {"data": "../digits"},
        {"data": ["digits", "/etc"]},
        {"limit": -1},
        {"limit": 10**30},
        {"batch_size": 0},
        {"batch_size": "64; true"},
        {"batch_size": 1.5},
        {"epochs": {"a": 1}},
    ],
    ids=str,
)
def test_hostile_options_of_a_run_are_refused(options, run):
    path = run / "run.json"
    record = json.loads(path.read_text())
    merged = {**record["options"], **options} if options else options
    path.write_text(json.dumps({**record, "options": merged}))
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    refused(resume, run)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"a": 1, "a": 2}'], ids=repr)
def test_a_damaged_run_json_is_refused(text, run):
    (run / "run.json").write_text(text)
    assert "run.json" in refused(resume, run)


def forged(run, **changes):
    """Every checkpoint with other content, and a checksum that fits it."""
    for path in (run / "checkpoints").iterdir():
        record = json.loads((path / "checkpoint.json").read_text())
        content = {**record["content"], **changes}
        checksum = checkpoint._checksum(checkpoint._canonical(content))
        text = json.dumps({"content": content, "checksum": checksum})
        (path / "checkpoint.json").write_text(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch": 10**9},
        {"epoch": -1},
        {"epoch": "1"},
        {"step": 5},
        {"history": {"loss": [1.0] * 1000}},
        {"history": {"loss": ["=cmd()"]}},
        {"history": [1.0]},
        {"history": {"loss": 3}},
        {"seconds": "0"},
        {"files": None},
        {"files": {"../../run.json": "0"}},
        {"files": {"/etc/passwd": "0"}},
        {"files": {"..": "0"}},
        {"files": {"model.json": None}},
        {"files": {"model.json\0": "0"}},
        {"files": {"\ud800": "0"}},
        {"files": {"m" * 10**6: "0"}},
        {"history": {f"term{number}": [1.0] for number in range(4_000)}},
        {"seconds": 1e300},
        {"seconds": -1.0},
        {"more": 1},
    ],
    ids=lambda changes: ascii(changes)[:60],
)
def test_forged_checkpoints_are_refused(changes, run):
    forged(run, **changes)
    assert "damaged ones" in refused(resume, run)


@pytest.mark.parametrize(
    "change",
    [
        lambda history: history.pop("kl"),
        lambda history: history.update(val_more=[1.0]),
        lambda history: history.update({"$\\frac{$": [1.0]}),
        lambda history: history.update({"\ud800": [1.0]}),
        lambda history: history.update({"m" * 10**6: [1.0]}),
        lambda history: history.update({f"term{number}": [1.0] for number in range(90)}),
    ],
)
def test_a_history_is_of_the_models_own_terms(change, run):
    record = next((run / "checkpoints").glob("epoch-1-*/checkpoint.json"))
    history = json.loads(record.read_text())["content"]["history"]
    change(history)
    forged(run, history=history)
    for path in (run / "checkpoints").glob("epoch-0-*"):
        shutil.rmtree(path)
    before = (run / "run.json").read_bytes()
    message = refused(resume, run)
    assert "Expected a history of loss, reconstruction, kl, val_loss, val_reconstruction" in message
    assert len(message) < 500
    assert (run / "run.json").read_bytes() == before


def test_values_at_the_ends_of_the_floats_do_not_end_a_training(run):
    record = next((run / "checkpoints").glob("epoch-1-*/checkpoint.json"))
    names = json.loads(record.read_text())["content"]["history"]
    forged(run, history={name: [1e308 if name == "kl" else -1e308] for name in names})
    for path in (run / "checkpoints").glob("epoch-0-*"):
        shutil.rmtree(path)
    resume(run)
    assert (run / "losses.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((run / "run.json").read_text())["status"] == "finished"


def grown(path, size):
    """The file with a hole after it."""
    os.truncate(path, size)


@pytest.mark.parametrize("name", ["model.json", "variables.safetensors"])
def test_a_checkpoint_with_a_hole_is_refused_unread(name, run, monkeypatch):
    for path in (run / "checkpoints").iterdir():
        grown(path / name, 2**36)
    read = checkpoint.checksum
    monkeypatch.setattr(checkpoint, "checksum", lambda p: 1 / 0 if p.name == name else read(p))
    assert "damaged ones" in refused(resume, run)


def test_arrays_with_a_hole_are_refused(folder):
    held = {"model/000/x": entry([2**38], 2**40)}
    (folder / "variables.safetensors").write_bytes(header(held))
    grown(folder / "variables.safetensors", len(header(held)) + 2**40)
    assert "a hole" in refused(kgen.load, folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"data": []},
        {"data": "digits"},
        {"data": {"name": ["digits"]}},
        {"data": {"name": {"a": 1}}},
        {"data": {"name": "d" * 10**6}},
        {"data": {"name": 1}},
        {"data": {"name": "digits", "checksum": 3}},
        {"status": 1},
        {"status": ["finished"]},
        {"seconds": "long"},
        {"seconds": -1},
        {"seconds": 10**400},
        {"seconds": float("nan")},
        {"resumed": {"a": 1}},
        {"options": {"size": 20_000}},
        {"options": {"size": 10**6}},
        {"options": {"size": [8]}},
        {"options": {"size": -8}},
        {"options": {"color": ["red"]}},
        {"options": {"grayscale": "x"}},
        {"options": {"learning_rate": 10**400}},
        {"options": None},
        {"options": []},
    ],
    ids=lambda changes: ascii(changes)[:40],
)
def test_every_value_read_of_a_run_json_has_a_type_and_a_range(changes, run, monkeypatch):
    path = run / "run.json"
    record = json.loads(path.read_text())
    if isinstance(changes.get("options"), dict):
        changes = {"options": {**record["options"], **changes["options"]}}
    path.write_text(json.dumps({**record, **changes}))
    monkeypatch.setattr(kgen.data, "load", lambda *_, **__: 1 / 0)
    for verb in (resume, lambda run: evaluate.main([str(run)])):
        message = refused(verb, run)
        assert "run.json" in message
        assert len(message) < 500


def test_a_checkpoint_of_another_model_is_refused(run):
    for path in (run / "checkpoints").iterdir():
        change(path, latent_size=HUGE)
    assert "damaged ones" in refused(resume, run)  # its checksum is another one
