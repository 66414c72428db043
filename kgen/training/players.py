"""Keep the batch-norm statistics of the players that are not being updated."""

import contextlib

import keras
from keras import ops


@contextlib.contextmanager
def preserve_moving_statistics(networks, moving=()):
    """Context manager: restore the moving averages of `networks` afterwards.

    While one player is updated, the others run in training mode, but their batch-norm moving
    averages are restored afterwards: only a network's own updates change the statistics it samples
    with. Seeds are not restored, so noise stays new at every call.

    Args:
        networks: networks of the players that are not updated.
        moving: networks of the player that is updated; variables shared with them are not restored.
    """
    own = {id(variable) for network in moving for variable in network.variables}
    statistics = [
        variable
        for network in networks
        for variable in network.non_trainable_variables
        if keras.backend.is_float_dtype(variable.dtype) and id(variable) not in own
    ]
    before = [ops.copy(variable) for variable in statistics]
    yield
    for variable, value in zip(statistics, before, strict=True):
        variable.assign(value)
