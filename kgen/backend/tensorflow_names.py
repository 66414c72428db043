"""Variable names on TensorFlow, which caches a kernel per name and never frees it."""

import contextlib

import tensorflow as tf


@contextlib.contextmanager
def recurring_variable_names():
    """Context manager: all TensorFlow variables made in it share one name; Keras' names stay.

    TensorFlow keeps 30 KB per new name, and Keras numbers layers through the whole process: a model
    that is loaded repeatedly would leak a megabyte each time.
    """

    def named(create, **arguments):
        with tf.name_scope("loaded/"):  # the final / makes the scope absolute
            return create(**{**arguments, "name": "variable"})

    with tf.variable_creator_scope(named):
        yield
