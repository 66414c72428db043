"""Errors of kgen's checks in batches of the user's own, which tf.data hides in one of its own."""

import functools
import re

import tensorflow as tf

from kgen.errors import KgenError

HIDDEN = re.compile(r"^kgen\.errors\.KgenError: (.+)$", re.MULTILINE)


def raising_as_raised(function):
    """The function; a KgenError in a generator's batch is raised as one, not as TensorFlow's."""

    @functools.wraps(function)
    def call(iterator):
        try:
            return function(iterator)
        except tf.errors.OpError as error:
            if found := HIDDEN.search(error.message or ""):
                raise KgenError(found[1]) from None
            raise

    return call
