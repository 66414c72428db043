"""What layers add to the loss of a model by themselves."""

import contextlib

from kgen import backend


@contextlib.contextmanager
def regularization(network):
    """Gathers what `network` adds to a loss that is computed meanwhile.

    Yields a function that returns the scalars: what layers of the network `add_loss`, regularizers
    of activities included, and the regularizers of its trainable weights. What layers of other
    networks add is dropped: it is theirs to learn from.
    """
    with backend.added_losses() as found:

        def added():
            layers = set(map(id, network._flatten_layers())) if found else ()
            by_layers = [part for layer, part in found if id(layer) in layers]
            weights = [v for v in network.trainable_variables if v.regularizer is not None]
            return by_layers + [weight.regularizer(weight) for weight in weights]

        yield added
