"""Batches of PyTorch's DataLoader, which serves models on every backend."""

import torch


def as_tensor(values):
    """A part of a batch as a PyTorch tensor, which Keras expects of a DataLoader."""
    return torch.as_tensor(values)
