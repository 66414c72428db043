"""The MADE of pytorch-generative as its `reproduce` trains it: one layer of 8,000 units, one mask.

Its output is a probability, to which its `reproduce` applies the loss of logits; so does this.
"""

from benchmarks.peers.pytorch_generative_rows import trained_by_adam

PACKAGE = "pytorch_generative"
MODEL, LEVELS, SETTINGS = "made", 2, {"hidden": (8000,)}


def network(image_shape):
    import math

    from pytorch_generative.models import MADE

    return MADE(math.prod(image_shape), hidden_dims=[8000], n_masks=1)


def create(image_shape):
    return trained_by_adam(network(image_shape))
