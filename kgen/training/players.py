"""What a move of one player leaves alone in the others' networks."""

import contextlib

import keras
from keras import ops


@contextlib.contextmanager
def preserve_moving_statistics(networks, moving=()):
    """Afterwards the moving statistics of `networks` are what they were before.

    A network that takes part in another player's loss does so as it does in training, by the
    statistics of the batch, but that is no reason to remember them: normalised by what was made for
    another's move, samples would come from statistics nobody trained with. Seeds are not restored:
    noise stays new at every call. What a network has in common with those that are `moving` is not
    restored either.
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
