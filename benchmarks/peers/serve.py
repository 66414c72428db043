"""The process of one side of a row: `python -m benchmarks.peers.serve ROW kgen|peer`."""

import sys

import numpy as np

from benchmarks import peers
from benchmarks.harness.turns import serve

BATCH, DRAWN, IMAGE_SHAPE = 64, 16, (28, 28, 1)


def images_of(row):
    return np.random.default_rng(0).integers(0, row.LEVELS, (BATCH, *IMAGE_SHAPE), "uint8")


def kgen_side(row):
    """(function of a number of steps, number of parameters) of kgen's model."""
    from benchmarks.speed.bare import bare_loop
    from kgen import models

    model = models.get(row.MODEL)(IMAGE_SHAPE, row.LEVELS, **row.SETTINGS)
    parameters = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    if hasattr(row, "drawing"):
        return repeated(model.sample), parameters
    model.compile()
    loop, images = bare_loop(model), images_of(row)
    return lambda steps: loop([images] * steps), parameters


def repeated(sample):
    """A function of a number of steps, each of which draws `DRAWN` images."""

    def run(steps):
        for _ in range(steps):
            sample(DRAWN)

    return run


def peer_side(row):
    """The same of the package's model."""
    if hasattr(row, "stepping"):
        return row.stepping(images_of(row))
    if hasattr(row, "drawing"):
        draw, parameters = row.drawing(IMAGE_SHAPE)
        return repeated(draw), parameters
    import torch

    network, optimizer, loss = row.create(IMAGE_SHAPE)
    images = torch.from_numpy(images_of(row)).permute(0, 3, 1, 2).contiguous()

    def run(steps):
        for _ in range(steps):
            optimizer.zero_grad()
            loss(images).backward()
            optimizer.step()

    parameters = (weight for weight in network.parameters() if weight.requires_grad)
    return run, sum(weight.numel() for weight in parameters)


if __name__ == "__main__":
    name, side = sys.argv[1:]
    run, parameters = {"kgen": kgen_side, "peer": peer_side}[side](peers.find(name))
    serve(run, lambda: {"parameters": parameters})
