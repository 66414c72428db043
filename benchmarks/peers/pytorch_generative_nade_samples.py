"""Sampling from the NADE of pytorch-generative: pixel by pixel, as its `sample` does it."""

from benchmarks.peers.pytorch_generative_nade import LEVELS, MODEL, PACKAGE, SETTINGS, network
from benchmarks.peers.pytorch_generative_rows import drawn_by

__all__ = ["LEVELS", "MODEL", "PACKAGE", "SETTINGS"]


def drawing(image_shape):
    return drawn_by(network(image_shape), image_shape)
