"""A model saved on one backend is the same model on the others, and a run begun on one is continued
on the others; each runs without the others."""

import csv
import itertools
import json
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import FRAMEWORKS

from kgen.models import REGISTRY

pytestmark = pytest.mark.cross
ROOT = Path(__file__).parent.parent

RUNS = {
    "vae": ["hidden=(32,)"],
    "lsgan": ["architecture=dense", "generator_units=(32,)", "discriminator_units=(32,)"],
}
# Where each model is saved; the two others load it. So each pair of backends has a third of them.
SAVED_BY = dict(zip(REGISTRY, itertools.cycle(FRAMEWORKS)))

# Each process works through all models, since importing a framework takes seconds.
BEGIN = """
for name in (name for name in SAVED_BY if SAVED_BY[name] == backend):
    model = CASES[name].compiled()
    model.fit(*CASES[name].training_data(64), batch_size=32, epochs=1, verbose=0)
    kgen.save(model, folder / name)
    np.savez(folder / f"{name}-saved.npz", **contents(model))
for name, settings in RUNS.items():
    size = ["--limit", "512", "--batch-size", "64", "--epochs", "6"]
    out = folder / "begun" / f"{name}-{backend}"
    fit.main(["--model", name, *size, "--out", str(out), "--set", *settings])
"""
CONTINUE = """
for name in SAVED_BY:
    model = kgen.load(folder / name)
    found = {**contents(model), "made": CASES[name].made_by(model)}
    np.savez(folder / f"{name}-{backend}.npz", **found)
own = dataclasses.replace(digits, name="own")
for data in (digits, own):  # the own one's encoder is trained by the first process, read by others
    encoder = kgen.encoders.for_data(data)
    np.savez(
        folder / f"features-{data.name}-{backend}.npz",
        features=encoder(images64),
        sha256=encoder.sha256,
    )
for name, begun_by in itertools.product(RUNS, backends):
    copy = folder / "continued" / f"{name}-{begun_by}-{backend}"
    shutil.copytree(folder / "begun" / f"{name}-{begun_by}", copy)
    fit.main(["--resume", str(copy), "--epochs", "8"])
"""
FRAME = """
import dataclasses, itertools, os, shutil, sys
from pathlib import Path
import numpy as np
import kgen
from kgen import fit
from kgen.testing.case import Case
backend, folder, backends = os.environ["KERAS_BACKEND"], Path(sys.argv[1]), {backends}
SAVED_BY, RUNS = {saved_by}, {runs}
CASES = {{name: Case(kgen.models.get(name)) for name in SAVED_BY}}
digits = kgen.data.load("digits")
images64 = digits.train.images[:64]
def contents(model):
    weights = {{str(number): np.array(weight) for number, weight in enumerate(model.get_weights())}}
    return {{**weights, "steps": int(model.optimizer.iterations)}}
{code}
foreign = [name for name in backends if name != backend and name in sys.modules]
print("imported:", *foreign)
"""


def run(backend, code, folder):
    """Runs `code` in a process of its own; returns the other frameworks that it imported."""
    script = FRAME.format(code=code, backends=FRAMEWORKS, saved_by=SAVED_BY, runs=RUNS)
    result = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        # A cache of its own: the tests neither use nor leave encoders that a user has.
        env={**os.environ, "KERAS_BACKEND": backend, "XDG_CACHE_HOME": str(folder)},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split("imported:")[1].split()


def run_on_all(code, folder):
    """`run` on every backend, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        imported = pool.map(lambda backend: run(backend, code, folder), FRAMEWORKS)
        return dict(zip(FRAMEWORKS, imported, strict=True))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The folder of what every backend loaded, with runs of 6 epochs on each backend, continued to
    8 on each; and the frameworks each process imported."""
    folder = tmp_path_factory.mktemp("cross")
    first, then = run_on_all(BEGIN, folder), run_on_all(CONTINUE, folder)
    return folder, {name: {*first[name], *then[name]} for name in FRAMEWORKS}


def saved(results, model):
    return np.load(results[0] / f"{model}-saved.npz")


def loaded(results, model, loaded_by):
    return np.load(results[0] / f"{model}-{loaded_by}.npz")


carried = pytest.mark.parametrize(
    ("saved_by", "loaded_by"), list(itertools.permutations(FRAMEWORKS, 2))
)
every_model = pytest.mark.parametrize("model", REGISTRY)
loaded_by_others = pytest.mark.parametrize(
    ("model", "loaded_by"),
    [(model, name) for model, by in SAVED_BY.items() for name in FRAMEWORKS if name != by],
)


@loaded_by_others
def test_weights_are_carried_exactly(results, model, loaded_by):
    here, there = saved(results, model), loaded(results, model, loaded_by)
    weights = [name for name in here if name.isdigit()]
    assert weights
    assert [name for name in weights if not np.array_equal(here[name], there[name])] == []


@loaded_by_others
def test_optimizer_steps_are_carried(results, model, loaded_by):
    assert int(loaded(results, model, loaded_by)["steps"]) == 2


@every_model
def test_images_are_alike_up_to_rounding(results, model):
    made = [loaded(results, model, name)["made"].astype(int) for name in FRAMEWORKS]
    assert np.ptp(made, axis=0).max() <= 1


@pytest.mark.parametrize("data", ["digits", "own"])
@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_features_of_an_encoder_are_equal(results, backend, data):
    here = np.load(results[0] / f"features-{data}-{FRAMEWORKS[0]}.npz")
    there = np.load(results[0] / f"features-{data}-{backend}.npz")
    assert here["sha256"] == there["sha256"]
    assert np.abs(here["features"] - there["features"]).max() < 1e-3


# Keras itself imports JAX, where it is installed, under every backend (for its Orbax callback).
@pytest.mark.parametrize(
    ("backend", "foreign"), [("jax", "tensorflow"), ("jax", "torch"), ("torch", "tensorflow")]
)
def test_no_other_framework_is_imported(results, backend, foreign):
    assert foreign not in results[1][backend]


def history(folder):
    with open(folder / "history.csv", newline="") as file:
        return [
            {name: float(mean) for name, mean in row.items() if name != "epoch"}
            for row in csv.DictReader(file)
        ]


@pytest.mark.parametrize("model", RUNS)
@carried
def test_losses_continue_without_a_jump(results, model, saved_by, loaded_by):
    """As on the backend they began on, up to the noise, which is another one."""
    here = history(results[0] / "continued" / f"{model}-{saved_by}-{saved_by}")
    there = history(results[0] / "continued" / f"{model}-{saved_by}-{loaded_by}")
    assert len(there) == 8
    assert here[:6] == there[:6]
    for expected, received in zip(here[6:], there[6:], strict=True):
        # Not of the few test images: with other noise their means differ by a tenth.
        for term in (name for name in expected if name.endswith("loss") and "val_" not in name):
            assert received[term] == pytest.approx(expected[term], rel=0.1), term


@pytest.mark.parametrize("model", RUNS)
@carried
def test_a_run_says_where_it_was_continued(results, model, saved_by, loaded_by):
    run_folder = results[0] / "continued" / f"{model}-{saved_by}-{loaded_by}"
    record = json.loads((run_folder / "run.json").read_text())
    assert record["backend"] == saved_by
    assert [part["backend"] for part in record["resumed"]] == [loaded_by]


# Batches of TensorFlow and PyTorch, and their tensors, train on every backend alike.
GIVEN = """
import sys
import numpy as np, tensorflow as tf, torch
from torch.utils.data import DataLoader, TensorDataset
import kgen
images = np.random.default_rng(0).integers(0, 17, (48, 8, 8, 1)).astype("uint8")
labels = np.arange(48) % 4
words = [str(label) for label in labels]
def loss(model, x, y=None, **how):
    kgen.set_seed(0)
    model = model((8, 8, 1), 17)
    model.compile()
    return model.fit(x, y, shuffle=False, verbose=0, **how).history["loss"][0]
def vae(shape, levels):
    return kgen.VAE(shape, levels, latent_size=2, hidden=(8,))
def cvae(shape, levels):
    return kgen.CVAE(classes=4, image_shape=shape, levels=levels, latent_size=2, hidden=(8,))
expected, of_labels = (
    loss(vae, images, batch_size=16), loss(cvae, images, labels, batch_size=16)
)
slices, pairs = torch.tensor(images), TensorDataset(torch.tensor(images), torch.tensor(labels))
for given in (
    tf.data.Dataset.from_tensor_slices(images).batch(16),
    tf.data.Dataset.from_tensor_slices((images, labels)).batch(16),
    DataLoader(slices, batch_size=16),
    DataLoader(TensorDataset(slices), batch_size=16),
):
    np.testing.assert_allclose(loss(vae, given), expected, rtol=1e-6)
for given in (
    tf.data.Dataset.from_tensor_slices((images, labels)).batch(16),
    DataLoader(pairs, batch_size=16),
):
    np.testing.assert_allclose(loss(cvae, given), of_labels, rtol=1e-6)
for given in (tf.constant(images), slices):
    np.testing.assert_allclose(loss(vae, given, batch_size=16), expected, rtol=1e-6)
for given in (
    tf.data.Dataset.from_tensor_slices((images, words)).batch(16),
    DataLoader(list(zip(images, words)), batch_size=16),
):
    try:
        loss(cvae, given)
    except kgen.KgenError as error:
        assert "Expected" in str(error) and "whole numbers of shape" in str(error), error
    else:
        raise AssertionError(given)
print("alike")
"""


@pytest.mark.parametrize("backend", FRAMEWORKS)
def test_batches_of_other_frameworks_train_alike(backend, tmp_path):
    script = tmp_path / "given.py"  # a file: workers import it
    script.write_text('if __name__ == "__main__":\n' + textwrap.indent(GIVEN, "    "))
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.split() == ["alike"], done.stderr
