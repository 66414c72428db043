"""Sampling from the MADE of pytorch-generative: pixel by pixel, as its `sample` does it."""

from benchmarks.peers.pytorch_generative_made import LEVELS, MODEL, PACKAGE, SETTINGS, network

__all__ = ["LEVELS", "MODEL", "PACKAGE", "SETTINGS"]


def drawing(image_shape):
    import torch

    height, width, channels = image_shape
    made = network(image_shape)
    unknown = -torch.ones((16, channels, height, width))  # it draws what is below 0
    parameters = sum(weight.numel() for weight in made.parameters())
    return lambda count: made.sample(None, unknown[:count]), parameters
