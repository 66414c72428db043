"""Sampling from the NADE of pytorch-generative: pixel by pixel, as its `sample` does it."""

from benchmarks.peers.pytorch_generative_nade import LEVELS, MODEL, PACKAGE, SETTINGS, network

__all__ = ["LEVELS", "MODEL", "PACKAGE", "SETTINGS"]


def drawing(image_shape):
    import torch

    height, width, channels = image_shape
    nade = network(image_shape)
    unknown = -torch.ones((16, channels, height, width))  # it draws what is below 0
    parameters = sum(weight.numel() for weight in nade.parameters())
    return lambda count: nade.sample(None, unknown[:count]), parameters
