"""Hides packages from a process of the tests: as if they were not installed."""

import importlib.machinery
import os

find_spec = importlib.machinery.PathFinder.find_spec
hidden = os.environ.get("KGEN_TEST_HIDDEN", "").split()


def find_others(name, path=None, target=None):
    return None if name in hidden else find_spec(name, path, target)


importlib.machinery.PathFinder.find_spec = find_others
