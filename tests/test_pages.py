"""What the README and the pages tell a newcomer to run runs, line by line, with one backend.

The first steps and the page on backends run on every backend, the rest of the README and the page
on training on one of them.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import blocks
import numpy as np
import pytest
from PIL import Image

from kgen import backend
from kgen.backend_choice import BACKENDS

ROOT = Path(__file__).parent.parent
HERE = backend.name()
XLA_FLAGS = os.environ.get("XLA_FLAGS", "")
TWO_DEVICES = "--xla_force_host_platform_device_count=2"
# Losses of three epochs, without and with the batches split over two devices.
DISTRIBUTED = """
import json
import jax, keras, kgen

assert len(jax.devices()) == 2
losses = []
for distribution in (None, keras.distribution.DataParallel()):
    keras.distribution.set_distribution(distribution)
    kgen.set_seed(0)
    data = kgen.data.load("digits").limit(128)
    model = kgen.models.create("vae", data, latent_size=4, hidden=(16,))
    model.compile()
    history = model.fit(data.train.images, batch_size=32, epochs=3, verbose=0)
    losses.append(history.history["loss"])
weights = model.encoder.trainable_variables[0].value
assert len(weights.sharding.device_set) == 2
print(json.dumps(losses))
"""


def alone(home, name=HERE):
    """The environment of somebody who has one backend and never ran Keras."""
    environment = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    return environment | {
        "HOME": str(home),
        "KGEN_TEST_BACKEND": name,
        "KGEN_TEST_HIDDEN": " ".join(set(BACKENDS) - {name}),
        "PYTHONPATH": f"{ROOT / 'tests' / 'alone'}:{ROOT}",
        "MPLBACKEND": "agg",
    }


def ran(page, *sections, folder, **variables):
    """What a page's blocks printed, run in a folder."""
    (folder / "home").mkdir()
    result = subprocess.run(
        [sys.executable, ROOT / "tests" / "blocks.py", page, *sections],
        cwd=folder,
        env=alone(folder / "home") | variables,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, f"{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    return result.stdout


@pytest.fixture
def pictures(tmp_path):
    """README's path/to/pictures."""
    folder = tmp_path / "path" / "to" / "pictures"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(80):
        Image.fromarray(random.integers(0, 256, (8, 8), "uint8")).save(folder / f"{number}.png")


def test_the_first_steps_of_the_readme_run(tmp_path):
    ran(ROOT / "README.md", "Start", folder=tmp_path)
    assert (tmp_path / "home" / ".keras" / "keras.json").is_file()  # which names another backend
    assert list(tmp_path.rglob("*.png"))


@pytest.mark.skipif(HERE != "jax", reason="one backend is enough: other tests run each command")
def test_the_readme_runs_line_by_line(tmp_path, pictures):
    printed = ran(ROOT / "README.md", "Start", "Use", folder=tmp_path)
    assert printed.count("=== ") > 12
    for file in ("grid.png", "models.html", "my-dcgan/model.json", "ways.png"):
        assert (tmp_path / file).is_file()


@pytest.mark.skipif(HERE != "torch", reason="one backend is enough: other tests run each command")
def test_the_page_on_training_runs(tmp_path):
    ran(ROOT / "docs" / "generate" / "training.md", folder=tmp_path)
    record = json.loads((tmp_path / "runs" / "MeanImage-digits" / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["epochs"] == 2


def test_the_page_on_backends_runs(tmp_path):
    page = ROOT / "docs" / "generate" / "backends.md"
    titles = re.findall("^## (.*)$", page.read_text(), re.MULTILINE)
    sections = [title for title in titles if HERE == "jax" or title != "Several devices"]
    printed = ran(page, *sections, folder=tmp_path, XLA_FLAGS=f"{XLA_FLAGS} {TWO_DEVICES}")
    assert f"{HERE} " in printed
    assert " on cpu" in printed


@pytest.mark.skipif(HERE != "jax", reason="keras.distribution splits batches on JAX only")
def test_two_devices_train_as_one(tmp_path):
    environment = {**os.environ, "XLA_FLAGS": f"{XLA_FLAGS} {TWO_DEVICES}", "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", DISTRIBUTED], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    one, two = json.loads(result.stdout.splitlines()[-1])
    np.testing.assert_allclose(one, two, rtol=1e-5)


def test_a_line_that_fails_fails_the_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("## Use\n```\npython -m kgen.fit --list\npython -m kgen.sample nowhere\n```\n")
    with pytest.raises(AssertionError, match="no such folder"):
        ran(page, "Use", folder=tmp_path)


def test_blocks_are_those_of_the_sections_in_order():
    text = "```\na\n```\n## One\n```python\nb\n```\n```\nc\nd\n```\n## Two\n```\ne\n```\n"
    assert list(blocks.blocks(text, ["One"])) == [("python", "b\n"), ("", "c\nd\n")]
    assert [block for _, block in blocks.blocks(text)] == ["a\n", "b\n", "c\nd\n", "e\n"]
    with pytest.raises(KeyError):
        blocks.blocks(text, ["Three"])
