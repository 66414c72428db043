"""What reaches the terminal: output that fails ends nothing, and names do nothing to it."""

import errno
import io
import json
import logging
import os
import subprocess
import sys

import pytest
import tqdm

from kgen import cli, data
from kgen.errors import KgenError, printable
from kgen.output import Output, unfailing

HOSTILE = "a\x1b[31m\x07\u202e\udc80\u2028b"
ESCAPED = r"a\x1b[31m\x07\u202e\udc80 b"


class Failing(io.StringIO):
    """A stream without a number that can be written to a few times."""

    def __init__(self, number, times=0):
        super().__init__()
        self.number, self.left = number, times

    def write(self, text):
        if self.left == 0:
            raise OSError(self.number, os.strerror(self.number))
        self.left -= 1
        return super().write(text)


def ended(main, stdout, stderr, monkeypatch):
    """The exit status of a verb with these streams."""
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "stderr", stderr)
    with pytest.raises(SystemExit) as stop:
        cli.run(main)
    assert (sys.stdout, sys.stderr) == (stdout, stderr)
    return stop.value.code


def talks(_):
    for _ in tqdm.trange(3, mininterval=0):
        print("a line")
    logging.getLogger("kgen").warning("a warning")
    talks.done += 1


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_full_disk_ends_nothing_and_shows_in_the_exit_status(stream, monkeypatch):
    for times in range(4):
        streams = {"stdout": io.StringIO(), "stderr": io.StringIO()}
        streams[stream] = Failing(errno.ENOSPC, times)
        talks.done = 0
        status = ended(talks, *streams.values(), monkeypatch)
        assert (status, talks.done) == (1, 1)
        (other,) = (text.getvalue() for name, text in streams.items() if name != stream)
        name = {"stdout": "output", "stderr": "error"}[stream]
        line = f"kgen: standard {name} could not be written: No space left on device."
        assert other.splitlines()[-1].startswith(line)


def test_a_reader_that_went_away_wants_no_line(monkeypatch):
    talks.done, errors = 0, io.StringIO()
    assert ended(talks, Failing(errno.EPIPE), errors, monkeypatch) == 1
    assert talks.done == 1
    assert "could not be written" not in errors.getvalue()


def test_where_both_fail_the_exit_status_says_so(monkeypatch):
    talks.done = 0
    assert ended(talks, Failing(errno.ENOSPC), Failing(errno.ENOSPC), monkeypatch) == 1
    assert talks.done == 1


def test_a_mistakes_own_status_is_kept(monkeypatch):
    def mistaken(_):
        print("a line")
        raise KgenError("Expected this, received that: mend it")

    assert ended(mistaken, Failing(errno.ENOSPC), io.StringIO(), monkeypatch) == 2


def test_closed_streams_are_no_mistake(monkeypatch):
    talks.done = 0
    assert ended(talks, None, None, monkeypatch) == 0
    assert talks.done == 1


def test_what_a_verb_returns_is_its_status(monkeypatch):
    assert ended(lambda _: 1, io.StringIO(), io.StringIO(), monkeypatch) == 1


def started(*arguments, folder, redirected):
    """A verb in a shell's redirection: (exit status, standard output, standard error)."""
    command = [sys.executable, "-m", "kgen.fit", *arguments]
    result = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirected}', "sh", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
    )
    return result.returncode, result.stdout, result.stderr


def test_closed_and_full_streams_of_a_process(tmp_path):
    """As a user makes them; nothing that Python itself adds at its end reaches the terminal."""
    assert started("--list", folder=tmp_path, redirected=">&-") == (0, "", "")
    assert started("--list", folder=tmp_path, redirected=">&- 2>&- <&-") == (0, "", "")
    status, _, errors = started("--list", folder=tmp_path, redirected=">/dev/full")
    assert (status, errors.count("\n")) == (1, 1)
    status, output, _ = started("--nonsense", folder=tmp_path, redirected="2>/dev/full")
    assert (status, output.count("\n")) == (2, 1)


@pytest.mark.parametrize("redirected", [">/dev/full 2>/dev/full", ">&- 2>&-"])
def test_training_ends_whole_whatever_becomes_of_its_output(redirected, tmp_path):
    small = ["--limit", "64", "--batch-size", "32", "--epochs", "2", "--set", "hidden=(4,)"]
    status, *printed = started(*small, "--out", "run", folder=tmp_path, redirected=redirected)
    assert (status, *printed) == (int("full" in redirected), "", "")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "finished"
    assert (tmp_path / "run" / "model" / "variables.safetensors").is_file()
    for path in (tmp_path / "run").rglob("*.json"):  # no line of the output is in a file
        json.loads(path.read_text())


def test_an_interrupted_process_ends_without_what_python_does_at_its_end():
    """On JAX, interrupted in the middle of a step, that crashes (exit status -11)."""
    code = (
        "import atexit, sys; from kgen import cli; atexit.register(print, 'at exit')\n"
        "def main(_): print('printed'); raise KeyboardInterrupt\n"
        "cli.run(main)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 130
    assert (found.stdout, found.stderr) == ("printed\n", "kgen: interrupted\n")


# === Names ===


def test_names_do_nothing_to_the_terminal(monkeypatch, caplog):
    def names(_):
        print(HOSTILE, "ж", end="\n\n")
        logging.getLogger("kgen").warning("kgen: %s left out", HOSTILE)
        raise KgenError(f"Expected a name, received {HOSTILE}: choose another")

    output, errors = io.StringIO(), io.StringIO()
    assert ended(names, output, errors, monkeypatch) == 2
    assert output.getvalue() == ESCAPED.replace("80 b", r"80\u2028b") + " ж\n\n"
    assert errors.getvalue() == f"kgen: Expected a name, received {ESCAPED}: choose another\n"
    assert caplog.messages == [f"kgen: {ESCAPED} left out"]


def test_a_file_of_a_strangers_folder_is_named_by_escapes(tmp_path):
    (tmp_path / "a\x1b[31m\u202e.npz").write_bytes(b"no array")
    with pytest.raises(KgenError) as error:
        data.load(next(tmp_path.iterdir()))
    assert r"a\x1b[31m\u202e.npz, a .npz file" in str(error.value)
    assert str(error.value).isprintable()


def test_long_names_and_lines_are_shortened_and_their_ends_kept():
    text = printable(f"Expected {'x' * 10**6}, received {'a b ' * 10**5}: choose a shorter one")
    assert len(text) == 2000
    assert text.startswith("Expected xxx")
    assert text.endswith("a b : choose a shorter one")
    assert printable(text) == text
    assert printable("two\nlines\t") == "two lines"


def test_an_archive_whose_member_is_no_array_is_one_line(tmp_path):
    import zipfile

    for name, message in (("images", "Expected an array named"), ("images.npy", "cannot be read")):
        with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
            archive.writestr(name, "no array")
        with pytest.raises(KgenError, match=message):
            data.load(tmp_path / "x.npz")


def test_a_home_that_is_none_is_one_line(monkeypatch):
    monkeypatch.setenv("KGEN_DATA_DIR", "~nobody-of-this-name/x")
    for source in ("mnist", "~nobody-of-this-name/x"):
        with pytest.raises(KgenError, match="write the path in full"):
            data.load(source)


def test_the_verbs_need_no_backend_of_matplotlib(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "nonsense")
    cli.quieten()
    code = "import matplotlib; print(matplotlib.get_backend())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout == "agg\n", found.stderr


def test_streams_are_given_back_and_keep_their_own_ways(monkeypatch):
    before = sys.stdout, sys.stderr
    with unfailing() as (output, errors):
        assert (sys.stdout, sys.stderr) == (output, errors)
        assert output.isatty() == before[0].isatty()
        assert output.encoding == before[0].encoding
    assert (sys.stdout, sys.stderr) == before
    assert Output(io.StringIO()).write("four") == 4
