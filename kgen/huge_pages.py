"""Huge pages for the large buffers of a verb on JAX and a CPU.

XLA allocates the buffers of each step by `malloc`. glibc maps large ones anew and gives them back
after the step, and the kernel clears their pages each time, which takes up to half of a step
(benchmarks/studies/huge_pages.py). In huge pages of 2 MiB this costs next to nothing. glibc uses
them if the environment variable `GLIBC_TUNABLES` has `glibc.malloc.hugetlb=1` when a process
begins, so a verb that runs without it replaces itself, once, by the same command with it.
"""

import contextlib
import importlib.util
import itertools
import os
import platform
import sys
from pathlib import Path

SWITCH = "KGEN_HUGE_PAGES"  # a user's 0 turns huge pages off; 1 in a process that was replaced
TUNABLES = "GLIBC_TUNABLES"
TUNABLE = "glibc.malloc.hugetlb"
FIRST_GLIBC = 2, 35  # versions before do not know the tunable
GAINING = ("jax",)  # backends with a gain in the study
MODE = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def restart_with_huge_pages(backend):
    """Replace the process by the same command with huge pages, if it is a verb that gains by them.

    Does nothing in a process that only imports kgen, such as a notebook or a test, in a second
    attempt, and under a debugger.
    """
    environment = with_huge_pages(os.environ, backend)
    if environment is os.environ or not _runs_a_verb():
        return
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    with contextlib.suppress(OSError):  # goes on without
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def with_huge_pages(environment, backend):
    """The environment of a new process with huge pages; the same one where they bring nothing."""
    chosen = SWITCH in environment or TUNABLE in _tunables(environment)
    if chosen or not _gains(environment, backend):
        return environment
    tunables = filter(None, (environment.get(TUNABLES), f"{TUNABLE}=1"))
    return {**environment, TUNABLES: ":".join(tunables), SWITCH: "1"}


def are_used(environment):
    """Whether a process of this environment has huge pages by glibc's tunable."""
    return _tunables(environment).get(TUNABLE) == "1"


def _tunables(environment):
    parts = environment.get(TUNABLES, "").split(":")
    return dict(part.partition("=")[::2] for part in parts)


def _gains(environment, backend):
    return backend in GAINING and _is_offered() and _is_known() and _computes_on_cpu(environment)


def _computes_on_cpu(environment):
    """Whether JAX computes on the CPU: it is asked to, or no plugin of an accelerator is there."""
    platforms = environment.get("JAX_PLATFORMS")
    if platforms:
        return platforms.partition(",")[0] == "cpu"
    return importlib.util.find_spec("jax_plugins") is None


def _is_known():
    """Whether the C library knows the tunable."""
    name, version = platform.libc_ver()
    numbers = version.split(".")[:2]
    return name == "glibc" and tuple(map(int, numbers)) >= FIRST_GLIBC


def _is_offered():
    """Whether the kernel gives huge pages to who asks; in its mode "always" nobody has to ask."""
    try:
        return "[madvise]" in MODE.read_text()
    except OSError:  # no Linux
        return False


def _runs_a_verb():
    """Whether the process was started by `python -m kgen.VERB`, not by a debugger."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is None or not spec.name.startswith("kgen.") or sys.gettrace():
        return False
    modules = [word for flag, word in itertools.pairwise(sys.orig_argv) if flag == "-m"]
    return modules[:1] == [spec.name]
