"""Loops of TensorFlow: `scan` as a `tf.while_loop`."""

import contextlib
import contextvars

import tensorflow as tf

__all__ = ["scan", "with_gradients"]

_with_gradients = contextvars.ContextVar("with_gradients", default=True)


@contextlib.contextmanager
def with_gradients(taken):
    """Within, gradients through loops are taken, or none are; also a decorator.

    `scan` traces what a loop repeats, to learn its outputs. Where no gradient is taken, the loop
    calls that trace, and a U-Net is traced once, not twice. XLA cannot compile the gradient of such
    a call (TensorFlow 2.21).
    """
    before = _with_gradients.set(taken)
    try:
        yield
    finally:
        _with_gradients.reset(before)


def scan(function, carry, inputs):
    """Loop `carry, output = function(carry, input)` over the inputs; returns (carry, outputs).

    See `kgen.backend.jax.scan`.
    """
    carry, inputs = tf.nest.map_structure(tf.convert_to_tensor, (carry, inputs))
    first = tf.nest.flatten(inputs)[0]
    length = first.shape[0] or tf.shape(first)[0]  # None after retracing for another length

    def entry(index):
        return tf.nest.map_structure(lambda values: values[index], inputs)

    def step(index, carry, outputs):
        carry, output = (function if _with_gradients.get() else traced)(carry, entry(index))
        written = [
            array.write(index, value)
            for array, value in zip(outputs, tf.nest.flatten(output), strict=True)
        ]
        return index + 1, carry, written

    # The outputs' shapes and dtypes are to be known before the loop.
    traced = tf.function(function, autograph=False).get_concrete_function(carry, entry(0))
    _, output = traced.structured_outputs
    arrays = [
        tf.TensorArray(tensor.dtype, length, element_shape=tensor.shape)
        for tensor in tf.nest.flatten(output)
    ]
    # One iteration at a time: TensorFlow would run up to ten at once where one does not wait for
    # another's result. Two runs of the same convolution by oneDNN write over each other's memory
    # then, and end in NaN or a segmentation fault.
    _, carry, arrays = tf.while_loop(
        lambda index, *_: index < length,
        step,
        (0, carry, arrays),
        parallel_iterations=1,
        maximum_iterations=length,
    )
    return carry, tf.nest.pack_sequence_as(output, [array.stack() for array in arrays])
