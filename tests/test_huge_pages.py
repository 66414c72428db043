"""Verbs on JAX and a CPU start again with huge pages, once; nothing else does."""

import json
import os
import platform
import subprocess
import sys

import pytest

from kgen import huge_pages
from kgen.huge_pages import SWITCH, TUNABLES, with_huge_pages

ON = "glibc.malloc.hugetlb=1"

# What a process does when it starts: it says so, and takes this machine for one with huge pages,
# and the backend of the tests for one that gains by them.
AT_START = f"""
import json, os, platform, sys
from pathlib import Path
from kgen import huge_pages

huge_pages.GAINING = (os.environ.get("KERAS_BACKEND"),)
huge_pages.MODE = Path(__file__).parent / "mode"
platform.libc_ver = lambda: ("glibc", "2.35")
tunables = os.environ.{{read}}("{TUNABLES}", None)
with open(int(os.environ["STARTS"]), "w", closefd=False) as file:
    file.write(json.dumps([sys.orig_argv[1:], tunables, os.getpid()]) + "\\n")
"""
MISTAKE = ["kgen.fit", "--data", "no such data"]  # found after the backend is chosen


@pytest.fixture
def offered(monkeypatch, tmp_path):
    """A machine on which huge pages help."""
    (tmp_path / "mode").write_text("always [madvise] never\n")
    monkeypatch.setattr(huge_pages, "MODE", tmp_path / "mode")
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.35"))
    monkeypatch.setattr(huge_pages.importlib.util, "find_spec", lambda package: None)
    return tmp_path


@pytest.mark.usefixtures("offered")
@pytest.mark.parametrize("platforms", [{}, {"JAX_PLATFORMS": "cpu"}, {"JAX_PLATFORMS": ""}])
def test_jax_on_a_cpu_gets_huge_pages(platforms):
    assert with_huge_pages(platforms, "jax") == {**platforms, TUNABLES: ON, SWITCH: "1"}
    assert huge_pages.are_used(with_huge_pages(platforms, "jax"))


@pytest.mark.usefixtures("offered")
def test_other_tunables_are_kept():
    given = {TUNABLES: "glibc.malloc.check=1:glibc.malloc.arena_max=2"}
    assert with_huge_pages(given, "jax")[TUNABLES] == f"{given[TUNABLES]}:{ON}"


@pytest.mark.usefixtures("offered")
@pytest.mark.parametrize(
    "environment",
    [
        {SWITCH: "0"},
        {SWITCH: "1"},  # of a process that has started again
        {TUNABLES: "glibc.malloc.hugetlb=0"},
        {TUNABLES: "glibc.malloc.check=1:glibc.malloc.hugetlb=2"},
        {"JAX_PLATFORMS": "cuda"},
        {"JAX_PLATFORMS": "cuda,cpu"},
    ],
    ids=str,
)
def test_the_users_wish_goes_first(environment):
    assert with_huge_pages(environment, "jax") is environment
    assert not huge_pages.are_used(environment)


@pytest.mark.parametrize("backend", ["tensorflow", "torch", None])
@pytest.mark.usefixtures("offered")
def test_other_backends_do_not_gain(backend):
    assert with_huge_pages({}, backend) == {}


def test_a_plugin_of_an_accelerator_is_no_cpu(offered, monkeypatch):
    monkeypatch.setattr(huge_pages.importlib.util, "find_spec", lambda package: package)
    assert with_huge_pages({}, "jax") == {}
    assert huge_pages.are_used(with_huge_pages({"JAX_PLATFORMS": "cpu"}, "jax"))


@pytest.mark.parametrize(
    "library", [("glibc", "2.34"), ("glibc", "1.9"), ("", ""), ("libc", "2.40")], ids=str
)
def test_the_c_library_must_know_the_tunable(offered, monkeypatch, library):
    monkeypatch.setattr(platform, "libc_ver", lambda: library)
    assert with_huge_pages({}, "jax") == {}


@pytest.mark.parametrize("mode", ["[always] madvise never", "always madvise [never]", None])
def test_the_kernel_must_give_them_on_request(offered, mode):
    (offered / "mode").unlink()
    if mode:
        (offered / "mode").write_text(mode)
    assert with_huge_pages({}, "jax") == {}


def test_a_process_that_is_no_verb_goes_on(offered, monkeypatch):
    """Such as that of these tests, which calls verbs."""
    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.delenv(TUNABLES, raising=False)
    monkeypatch.setattr(os, "execve", lambda *arguments: pytest.fail("it was replaced"))
    huge_pages.restart_with_huge_pages("jax")


@pytest.fixture
def starts(tmp_path):
    """A function that runs Python: (starts of the process, its result).

    A start is [arguments, tunables, process id].
    """
    (tmp_path / "mode").write_text("always [madvise] never\n")

    def run(*arguments, read="get", **environment):
        (tmp_path / "sitecustomize.py").write_text(AT_START.format(read=read))
        paths = os.pathsep.join([str(tmp_path), os.getcwd()])
        reads, writes = os.pipe()
        bare = {k: v for k, v in os.environ.items() if k not in (SWITCH, TUNABLES)}
        environment = {**bare, "PYTHONPATH": paths, "STARTS": str(writes), **environment}
        environment["JAX_PLATFORMS"] = "cpu"
        command = [sys.executable, *arguments]
        result = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            pass_fds=[writes],
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        os.close(writes)
        with open(reads) as file:
            return [json.loads(line) for line in file], result

    return run


def test_a_verb_starts_again_once_as_it_was_started(starts):
    """With the interpreter's options, the same process id and open files."""
    flags = ["-X", "utf8", "-W", "error::FutureWarning", "-m"]
    found, result = starts(*flags, *MISTAKE, GLIBC_TUNABLES="glibc.malloc.check=0")
    first, second = found
    assert first[:2] == [[*flags, *MISTAKE], "glibc.malloc.check=0"]
    assert second[:2] == [[*flags, *MISTAKE], f"glibc.malloc.check=0:{ON}"]
    assert first[2] == second[2]
    assert result.returncode == 2
    assert result.stderr.startswith(b"kgen: ")
    assert result.stderr.count(b"\n") == 1


def test_a_tunable_that_is_taken_away_is_not_asked_for_again(starts):
    """As glibc takes it away from programs with special rights."""
    found, _ = starts("-m", *MISTAKE, read="pop")
    assert [tunables for _, tunables, _ in found] == [None, ON]


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["-m", "kgen.fit", "--help"], {}),
        (["-m", "kgen.fit", "--list"], {}),
        (["-m", "kgen.fit", "--no-such-option"], {}),
        (["-c", "from kgen import cli, fit; cli.run(fit.main, ['--data', 'no such data'])"], {}),
        (["-m", *MISTAKE], {SWITCH: "0"}),
        (["-m", "pdb", "-c", "continue", "-m", *MISTAKE], {}),
    ],
    ids=lambda value: " ".join(value),
)
def test_what_computes_nothing_is_observed_or_told_not_to_starts_once(
    starts, arguments, environment
):
    assert len(starts(*arguments, **environment)[0]) == 1
