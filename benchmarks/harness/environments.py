"""The environment variables of a process that measures."""

import os

from kgen.huge_pages import with_huge_pages

SETTINGS = {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_WAIT_POLICY": "PASSIVE"}


def environment_of(backend, device):
    """Environment variables of a process that measures on a backend and a device.

    They are those of this process, and what a verb would set: `kgen/huge_pages.py`.
    """
    # Without what a pytest that runs this one tells its own processes.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    environment["KERAS_BACKEND"] = backend
    if device == "cpu":
        environment |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    return with_huge_pages({**SETTINGS, **environment}, backend)
