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

from kgen.runs.folder import trained_model
from kgen.saving import load

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
    "realnvp": ["scales=1", "base_channels=4"],
}
SHARES = len(SETTINGS) + 2  # the models, the images' cache, two processes

# A process that has imported all that `kgen.fit` uses and computed nothing. For each line of JSON
# {folder, deaths: [[how, at], ...], arguments} it forks into processes of `kgen.fit`, which kill
# themselves: at the nth operation on a file of the folder, before it is done or right after it, or
# after some seconds. It answers by their exit statuses and the last lines that they said.
SERVER = """
import builtins, json, os, signal, sys, threading
import matplotlib.pyplot
from kgen import cli, fit
from kgen.data import folders
import kgen, kgen.evaluation.sample_quality, kgen.saving
import kgen.runs.interruption, kgen.runs.progress_bar, kgen.runs.recorder
for name in json.loads(sys.argv[1]):
    kgen.models.get(name)
answers = os.fdopen(os.dup(1), "w")

def end():
    os.kill(os.getpid(), signal.SIGKILL)

def doomed(name, function, how, at):
    here = os.getcwd()
    def call(*given, **named):
        global calls
        path = given[0] if given else ""
        inside = isinstance(path, int) or os.path.abspath(os.fsdecode(path)).startswith(here)
        counts = inside and (name != "open" or set("wax+") & set(str(given[1:2])))
        calls += bool(counts)
        dies = counts and calls == at
        if dies and how == "before":
            end()
        result = function(*given, **named)
        if dies:
            end()
        return result
    return call

def fit_in(folder, how, at, arguments, errors):
    global calls
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    os.dup2(2, 1)
    os.chdir(folder)
    os.environ["XDG_CACHE_HOME"] = os.path.join(folder, "cache")
    folders.SECONDS_WORTH_KEEPING = 0  # every folder goes into the cache
    calls = 0
    if how == "seconds":
        timer = threading.Timer(at, end)
        timer.daemon = True
        timer.start()
    elif how != "never":
        for name in ("replace", "fsync", "mkdir", "rmdir", "unlink", "rename"):
            setattr(os, name, doomed(name, getattr(os, name), how, at))
        builtins.open = doomed("open", open, how, at)
    cli.run(fit.main, arguments)

for line in sys.stdin:
    asked = json.loads(line)
    forked = []
    for number, death in enumerate(asked["deaths"]):
        errors = os.path.join(asked["folder"], f"errors-{number}.txt")
        pid = os.fork()
        if not pid:
            try:
                fit_in(asked["folder"], *death, asked["arguments"], errors)
            except SystemExit as status:
                sys.stderr.flush()
                os._exit(status.code or 0)
            finally:  # of any other exception
                import traceback
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(70)
        forked.append((pid, errors))
    statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid, _ in forked]
    lines = [open(errors, errors="replace").read().splitlines()[-1:] for _, errors in forked]
    print(json.dumps([statuses, lines]), file=answers, flush=True)
"""


@pytest.fixture(scope="module")
def fits(tmp_path_factory):
    """(folder, deaths, arguments) -> [(exit status, last line)] of a process for each death."""
    with open(tmp_path_factory.mktemp("server") / "errors.txt", "w+") as errors:
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER, json.dumps(list(SETTINGS))],
            env={**os.environ, "PYTHONPATH": os.getcwd()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )

        def ask(folder, deaths, given):
            asked = {"folder": str(folder), "deaths": deaths, "arguments": given}
            print(json.dumps(asked), file=server.stdin, flush=True)
            answer = server.stdout.readline()
            if not answer:
                errors.seek(0)
                raise RuntimeError(errors.read()[-2000:])
            return list(zip(*json.loads(answer), strict=True))

        yield ask
        server.stdin.close()
        server.wait()
        server.stdout.close()


def a_death(choose):
    """How and when a process is killed."""
    if choose.random() < 0.25:
        return "seconds", round(choose.uniform(0.0, 4.0), 2)
    return choose.choice(["before", "after"]), choose.randint(1, choose.choice([12, 60, 120]))


def arguments(model, data=()):
    size = ["--limit", "100", "--batch-size", "32", "--epochs", str(EPOCHS)]
    size += ["--checkpoint-every", "3", "--out", "run", *data]
    return ["--model", model, *size, "--set", *SETTINGS[model]]


def whole(fits, folder, given):
    """What a run that nobody killed ends with."""
    folder.mkdir()
    ((status, line),) = fits(folder, [["never", 0]], given)
    assert status == 0, line
    return contents(folder)


def contents(folder):
    names = ("history.csv", "model/variables.safetensors")
    return [(folder / "run" / name).read_bytes() for name in names]


class Campaign:
    """Kills a run again and again, continues it, and compares it when it has ended.

    Args:
        fits: the fixture.
        folder: to work in.
        given: the arguments it begins with.
        again: those that it is continued with, beside `--resume`.
        choose: a `random.Random`.
    """

    def __init__(self, fits, folder, given, again, choose):
        self.fits, self.folder, self.choose = fits, folder, choose
        self.given, self.again = given, again
        self.run = folder / "run"
        self.kills = self.ends = 0

    def next_arguments(self):
        if (self.run / "run.json").exists():
            load(trained_model(self.run)[0])  # what there is can be sampled at any time
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
        for death, (status, line) in zip(
            deaths, self.fits(self.folder, deaths, given), strict=True
        ):
            line = "".join(line)
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
def test_killed_at_files_and_at_times_a_run_is_never_lost_and_ends_the_same(model, fits, tmp_path):
    expected = whole(fits, tmp_path / "whole", arguments(model))
    campaign = Campaign(fits, tmp_path, arguments(model), [], random.Random(model))
    campaign.until(-(-KILLS // SHARES), expected)


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (120, 8, 8), np.uint8)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number}.png")
    return folder


def test_killed_while_the_cache_of_images_is_filled_a_run_ends_the_same(
    photographs, fits, tmp_path
):
    data = ["--data", str(photographs)]
    given = arguments("vae", data)
    expected = whole(fits, tmp_path / "whole", given)
    choose = random.Random("cache")

    def empty_the_cache():
        if choose.random() < 0.7:
            shutil.rmtree(tmp_path / "cache", ignore_errors=True)

    campaign = Campaign(fits, tmp_path, given, data, choose)
    campaign.until(-(-KILLS // SHARES), expected, between=empty_the_cache)


def test_two_that_start_at_once_in_one_folder_are_killed_and_the_run_ends_the_same(fits, tmp_path):
    expected = whole(fits, tmp_path / "whole", arguments("vae"))
    campaign = Campaign(fits, tmp_path, arguments("vae"), [], random.Random("two"))
    campaign.until(-(-KILLS // SHARES), expected, processes=2)
