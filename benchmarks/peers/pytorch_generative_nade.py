"""The NADE of pytorch-generative as its `reproduce` trains it: 500 hidden units.

Its output is a probability, to which its `reproduce` applies the loss of logits; so does this.
"""

from benchmarks.peers.pytorch_generative_rows import trained_by_adam

PACKAGE = "pytorch_generative"
MODEL, LEVELS, SETTINGS = "nade", 2, {"hidden": 500}


def network(image_shape):
    import math

    from pytorch_generative.models import NADE

    return NADE(math.prod(image_shape), hidden_dim=500)


def create(image_shape):
    return trained_by_adam(network(image_shape))
