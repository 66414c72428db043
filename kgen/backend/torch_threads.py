"""PyTorch: flush denormals to zero in kgen's own computations, and only there."""

import contextlib
import ctypes
import functools
import sys
from pathlib import Path

import torch


@contextlib.contextmanager
def flushed_denormals():
    """Context manager: flush denormals (below 1.2e-38) to zero, as TensorFlow and XLA do.

    Processors take a hundred cycles per denormal. Adam's momentum of a weight without gradients
    becomes denormal after 800 steps, and the steps of a VAE slowed down more and more.
    """
    before = sys.float_info.min * 0.5 == 0.0  # restore the caller's setting
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


@contextlib.contextmanager
def training():
    """Context manager of a `fit`: PyTorch's worker threads flush denormals, too.

    A thread keeps the mode it was started in. So earlier threads are ended before, and training's
    threads are ended after: other code gets threads in its own mode, and a child process that is
    forked later waits for none of them.
    """
    _end_threads()
    elements_per_thread = 2**15
    with flushed_denormals():
        torch.zeros(torch.get_num_threads() * elements_per_thread).exp()  # starts the threads
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
    """The OpenMP library that PyTorch ships, or None: threads then keep their mode."""
    folder = Path(torch.__file__).parent / "lib"
    paths = [path for kind in ("gomp", "omp", "iomp5") for path in folder.glob(f"lib{kind}*")]
    library = ctypes.CDLL(str(paths[0])) if paths else None
    return library if hasattr(library, "omp_pause_resource_all") else None
