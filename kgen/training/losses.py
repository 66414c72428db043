"""What layers add to the loss of a model by themselves."""

import contextlib

from kgen import backend


@contextlib.contextmanager
def regularization(networks, variables):
    """Gathers what `networks` add to a loss that is computed meanwhile.

    Yields a function that returns the scalars: what layers of the networks `add_loss`, regularizers
    of activities included, and those of `variables`. What layers of other
    networks add is dropped: it is theirs to learn from.
    """
    with backend.added_losses() as found:

        def added():
            layers = {id(layer) for n in networks for layer in n._flatten_layers()} if found else ()
            by_layers = [part for layer, part in found if id(layer) in layers]
            return by_layers + [v.regularizer(v) for v in variables if v.regularizer is not None]

        yield added
