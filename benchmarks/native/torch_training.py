"""What the PyTorch baselines share."""

import math

import numpy as np
import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def on_device(array):
    return torch.from_numpy(np.ascontiguousarray(array)).to(DEVICE, non_blocking=True)


def scaled(images, levels):
    """Levels 0..levels-1 as floats from -1 to 1."""
    return images.float() * (2.0 / (levels - 1)) - 1.0


def cosine_schedule(optimizer, steps, end, warm_up=0, start=1.0):
    """Multiples of the optimizer's rate: linear from `start`, then half a cosine down to `end`."""

    def multiple(step):
        if step < warm_up:
            return start + (1.0 - start) * step / warm_up
        done = min((step - warm_up) / steps, 1.0)
        return end + (1.0 - end) * 0.5 * (1.0 + math.cos(math.pi * done))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, multiple)


def load(parameters, arrays):
    """Copy arrays of Keras' layouts into parameters."""
    with torch.no_grad():
        for parameter, array in zip(parameters, arrays, strict=True):
            parameter.copy_(on_device(channels_first(array)))


def channels_first(array):
    """Kernels (height, width, in, out) as (out, in, height, width), (in, out) as (out, in).

    Of transposed convolutions, (height, width, out, in) as (in, out, height, width).
    """
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T


def synchronise():
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
