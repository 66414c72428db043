"""Whose code a training step spends its time in."""

import cProfile
from collections import Counter

OPERATIONS = "operations"
COMPILED = "compiled_step"  # a function of `kgen.backend.jax` that only calls compiled code
PACKAGES = ("keras", "tensorflow", "torch", "kgen")


def shares(function):
    """{owner: share of the seconds that `function()` takes}, the largest first.

    Operations are what is written in C: those of the framework, a compiled step being one of them,
    and Python's own functions. All else is Python code, by the package it belongs to. The profiler
    slows each call of a Python function, and no operation: their shares are upper bounds.
    """
    profile = cProfile.Profile()
    profile.runcall(function)
    own = Counter()
    # Not by `pstats`, which keeps one of all operations of a name, and PyTorch's share theirs.
    for entry in profile.getstats():
        own[owner(entry.code)] += entry.inlinetime
    return {name: seconds / own.total() for name, seconds in own.most_common()}


def owner(code):
    """Who wrote a function; operations have a description in the place of a code object."""
    if isinstance(code, str) or code.co_name == COMPILED:
        return OPERATIONS
    parts = code.co_filename.split("/")
    return next((name for name in PACKAGES if name in parts), "other")
