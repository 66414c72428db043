"""What layers add to the loss of a model by themselves."""

import contextlib

from kgen import backend


@contextlib.contextmanager
def regularization(networks):
    """Gathers what `networks` add to a loss that is computed meanwhile.

    Yields a function that returns the scalars: what layers of the networks `add_loss`, regularizers
    of activities included, and the regularizers of its trainable weights. What layers of other
    networks add is dropped: it is theirs to learn from.
    """
    with backend.added_losses() as found:

        def added():
            layers = {id(layer) for n in networks for layer in n._flatten_layers()} if found else ()
            by_layers = [part for layer, part in found if id(layer) in layers]
            weights = {id(v): v for n in networks for v in n.trainable_variables if v.regularizer}
            return by_layers + [weight.regularizer(weight) for weight in weights.values()]

        yield added
