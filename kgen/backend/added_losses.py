"""What layers add to the loss by themselves: `add_loss`, and regularizers of activities."""

import contextlib
from unittest import mock

import keras


@contextlib.contextmanager
def added_losses():
    """A list of (layer, scalar), filled with what layers that are called meanwhile add to the loss.

    Keras keeps these on the layers and forgets those of a network's first call in a step when it is
    called for the second time; a discriminator is, with real and with generated images.
    """
    found = []

    def add_loss(layer, loss):
        found.extend((layer, part) for part in keras.tree.flatten(loss))

    with mock.patch.object(keras.Layer, "add_loss", add_loss):
        yield found
