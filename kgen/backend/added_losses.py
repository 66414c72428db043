"""Losses that layers add themselves: `add_loss` and activity regularizers."""

import contextlib
from unittest import mock

import keras


@contextlib.contextmanager
def added_losses():
    """Context manager: collects the losses that layers add within it, a list of (layer, scalar).

    Keras keeps such losses on the layers, and drops those of a network's first call when it is
    called again within a step. A discriminator is called twice, on real and on generated images.
    """
    found = []

    def add_loss(layer, loss):
        found.extend((layer, part) for part in keras.tree.flatten(loss))

    with mock.patch.object(keras.Layer, "add_loss", add_loss):
        yield found
