"""Regularization losses: weight and activity regularizers, and `add_loss`."""

import contextlib

from kgen import backend


@contextlib.contextmanager
def regularization(networks, variables):
    """Context manager: collect the regularization losses of `networks` and `variables`.

    Yields a function that returns a list of scalars: the `add_loss` calls of the networks' layers
    within the context (activity regularizers included), and the weight regularizers of `variables`.
    Losses of other networks' layers are dropped.
    """
    with backend.added_losses() as found:

        def added():
            layers = {id(layer) for n in networks for layer in n._flatten_layers()} if found else ()
            by_layers = [part for layer, part in found if id(layer) in layers]
            return by_layers + [v.regularizer(v) for v in variables if v.regularizer is not None]

        yield added
