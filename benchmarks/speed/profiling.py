"""Whose code a training step that is not compiled as a whole spends its time in."""

import cProfile
import pstats
from collections import Counter

OPERATIONS = "operations"
PACKAGES = ("keras", "torch", "kgen")


def shares(function):
    """{owner: share of the seconds that `function()` takes}, the largest first.

    Operations are what is written in C: those of the framework, and Python's own functions. All
    else is Python code, by the package it belongs to. The profiler slows each call of a Python
    function, and no operation: their shares are upper bounds.
    """
    profile = cProfile.Profile()
    profile.runcall(function)
    own = Counter()
    for (path, *_), (_, _, seconds_of_its_own, *_) in pstats.Stats(profile).stats.items():
        own[owner(path)] += seconds_of_its_own
    return {name: seconds / own.total() for name, seconds in own.most_common()}


def owner(path):
    """Who wrote the function of a file; operations have none, which is called "~"."""
    if path == "~":
        return OPERATIONS
    parts = path.split("/")
    return next((name for name in PACKAGES if name in parts), "other")
