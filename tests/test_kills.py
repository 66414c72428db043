"""Runs that are killed at any operation on a file, and at any time: none is lost, none differs.

100 kills on each backend, `KGEN_KILLS=N` for fewer: in `-m slow`.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from kgen.models.saving import load
from kgen.run_folder import trained_model

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("KGEN_KILLS", 100))  # on this backend
EPOCHS = 3
SETTINGS = {
    "vae": ["hidden=(16,)"],
    "gan": [  # two players, averaged weights
        *("architecture=dense", "latent_size=4", "generator_units=(16,)"),
        *("discriminator_units=(16,)", "ema=0.9", "spectral_normalization=True"),
    ],
    "gated_pixelcnn": ["features=6", "blocks=1"],
    "realnvp": ["scales=1", "width=4"],
}
SHARES = len(SETTINGS) + 2  # the models, the images' cache, two processes

# `kgen.fit` that kills itself: at the nth operation on a file of this folder, or after some
# seconds of `main`; before the operation is done, or right after it.
DOOMED = """
import builtins, os, signal, sys, threading
from kgen import cli, fit
from kgen.data import folders
how, at, *arguments = sys.argv[1:]
here, calls = os.getcwd(), 0
folders.SECONDS_WORTH_KEEPING = 0  # every folder goes into the cache

def end():
    os.kill(os.getpid(), signal.SIGKILL)

def doomed(name, function):
    def call(*given, **named):
        global calls
        path = given[0] if given else ""
        inside = isinstance(path, int) or os.path.abspath(os.fsdecode(path)).startswith(here)
        writes = name != "open" or set("wax+") & set([*map(str, given[1:2]), ""][0])
        calls += bool(inside and writes)
        if inside and writes and calls == int(at) and how == "before":
            end()
        result = function(*given, **named)
        if inside and writes and calls == int(at) and how == "after":
            end()
        return result
    return call

if how in ("before", "after"):
    for name in ("replace", "fsync", "mkdir", "rmdir", "unlink", "rename"):
        setattr(os, name, doomed(name, getattr(os, name)))
    builtins.open = doomed("open", open)
elif how == "seconds":
    timer = threading.Timer(float(at), end)
    timer.daemon = True
    timer.start()
cli.run(fit.main, arguments)
"""


def begun(folder, how, at, given):
    """A process of `kgen.fit` in `folder`, to be killed as `how` and `at` say."""
    environment = {"PYTHONPATH": os.getcwd(), "XDG_CACHE_HOME": str(folder / "cache")}
    return subprocess.Popen(
        [sys.executable, "-c", DOOMED, how, str(at), *given],
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    """(exit status, the last line it said)."""
    _, errors = process.communicate()
    return process.returncode, (errors.splitlines() or [""])[-1]


def a_death(choose):
    """How and when a process is killed."""
    if choose.random() < 0.25:
        return "seconds", round(choose.uniform(0.0, 6.0), 2)
    return choose.choice(["before", "after"]), choose.randint(1, choose.choice([12, 60, 120]))


def arguments(model, data=()):
    size = ["--limit", "100", "--batch-size", "32", "--epochs", str(EPOCHS)]
    size += ["--checkpoint-every", "3", "--out", "run", *data]
    return ["--model", model, *size, "--set", *SETTINGS[model]]


def whole(folder, given):
    """What a run that nobody killed ends with."""
    folder.mkdir()
    status, line = ended(begun(folder, "never", 0, given))
    assert status == 0, line
    return contents(folder)


def contents(folder):
    names = ("history.csv", "model/variables.safetensors")
    return [(folder / "run" / name).read_bytes() for name in names]


class Campaign:
    """Kills a run again and again, continues it, and compares it when it has ended.

    Args:
        folder: to work in.
        given: the arguments it begins with.
        again: those that it is continued with, beside `--resume`.
        choose: a `random.Random`.
    """

    def __init__(self, folder, given, again, choose):
        self.folder, self.given, self.again, self.choose = folder, given, again, choose
        self.run = folder / "run"
        self.kills = self.ends = 0

    def next_arguments(self):
        if (self.run / "run.json").exists():
            load(trained_model(self.run))  # what there is can be sampled at any time
            return ["--resume", "run", *self.again]
        shutil.rmtree(self.run, ignore_errors=True)  # it had not begun
        return self.given

    def is_finished(self):
        record = self.run / "run.json"
        return record.exists() and json.loads(record.read_text())["status"] == "finished"

    def step(self, processes=1, spared=False):
        """One process or several at once, which die or end; none may end in another way."""
        given = self.next_arguments()
        deaths = [("never", 0) if spared else a_death(self.choose) for _ in range(processes)]
        several = [begun(self.folder, *death, given) for death in deaths]
        for death, process in zip(deaths, several, strict=True):
            status, line = ended(process)
            refused = ("another one is training", "exists already", "more than the 3 epochs")
            late = processes > 1 and status == 2 and any(words in line for words in refused)
            assert status in (0, -signal.SIGKILL) or late, (death, status, line)
            self.kills += status == -signal.SIGKILL

    def until(self, kills, expected, processes=1, between=lambda: None):
        while self.kills < kills or not self.is_finished():
            self.step(processes if self.kills < kills else 1, spared=self.kills >= kills)
            between()
            if self.is_finished():
                self.ends += 1
                assert contents(self.folder) == expected
                if self.kills < kills:
                    shutil.rmtree(self.run)
        assert not list(self.run.rglob(".partial-*"))
        print(f"{self.kills} kills, {self.ends} ends, lost 0, different 0")


@pytest.mark.parametrize("model", SETTINGS)
def test_killed_at_files_and_at_times_a_run_is_never_lost_and_ends_the_same(model, tmp_path):
    expected = whole(tmp_path / "whole", arguments(model))
    campaign = Campaign(tmp_path, arguments(model), [], random.Random(model))
    campaign.until(-(-KILLS // SHARES), expected)


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (120, 8, 8), np.uint8)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number}.png")
    return folder


def test_killed_while_the_cache_of_images_is_filled_a_run_ends_the_same(photographs, tmp_path):
    data = ["--data", str(photographs)]
    given = arguments("vae", data)
    expected = whole(tmp_path / "whole", given)
    choose = random.Random("cache")

    def empty_the_cache():
        if choose.random() < 0.7:
            shutil.rmtree(tmp_path / "cache", ignore_errors=True)

    campaign = Campaign(tmp_path, given, data, choose)
    campaign.until(-(-KILLS // SHARES), expected, between=empty_the_cache)


def test_two_that_start_at_once_in_one_folder_are_killed_and_the_run_ends_the_same(tmp_path):
    expected = whole(tmp_path / "whole", arguments("vae"))
    campaign = Campaign(tmp_path, arguments("vae"), [], random.Random("two"))
    campaign.until(-(-KILLS // SHARES), expected, processes=2)
