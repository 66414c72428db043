"""PyTorch: threads that flush denormals to zero in training, and only there."""

import contextlib
import ctypes
import functools
import sys
from pathlib import Path

import torch


@contextlib.contextmanager
def flushed_denormals():
    """Within, numbers nearer to 0 than 1.2e-38 are 0, as they are in TensorFlow and XLA.

    Processors take a hundred cycles for each of them. Adam's momentum of a weight that gets no
    more gradients becomes one after 800 steps: a `vae` trained longer and longer steps.
    """
    before = sys.float_info.min * 0.5 == 0.0  # whoever calls may want it for all they do
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


@contextlib.contextmanager
def training():
    """Context of a `fit`: PyTorch's threads flush denormals to zero, as its steps do.

    Threads keep the mode they are started in, so those of before are ended, and those of training
    too: a thread that computes for others has their mode, and none is left for a child process,
    forked afterwards, to wait for.
    """
    _end_threads()
    elements_per_thread = 2**15
    with flushed_denormals():
        torch.zeros(torch.get_num_threads() * elements_per_thread).exp()  # starts them
    try:
        yield
    finally:
        _end_threads()


def _end_threads():
    """End PyTorch's idle OpenMP threads; the next parallel operation starts new ones."""
    if _openmp() is not None:
        _openmp().omp_pause_resource_all(1)  # omp_pause_soft


@functools.cache
def _openmp():
    """The OpenMP library that PyTorch brings, or None: then its threads keep their mode."""
    folder = Path(torch.__file__).parent / "lib"
    paths = [path for kind in ("gomp", "omp", "iomp5") for path in folder.glob(f"lib{kind}*")]
    library = ctypes.CDLL(str(paths[0])) if paths else None
    return library if hasattr(library, "omp_pause_resource_all") else None
