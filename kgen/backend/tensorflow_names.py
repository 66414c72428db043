"""Names of TensorFlow's variables, for each of which it keeps a kernel for ever."""

import contextlib

import tensorflow as tf


@contextlib.contextmanager
def recurring_variable_names():
    """Context manager: variables made in it have one name, which Keras' own names do not see.

    TensorFlow keeps 30 KB for every new name, and Keras numbers its layers through the process: a
    model that is loaded again and again would take a megabyte at every turn.
    """

    def named(create, **arguments):
        with tf.name_scope("loaded/"):  # a scope that ends in / does not add to the outer ones
            return create(**{**arguments, "name": "variable"})

    with tf.variable_creator_scope(named):
        yield
