"""TensorFlow: Keras' own compiled steps already are stateful; gradients come from tapes."""

import functools

import keras
import tensorflow as tf
from keras.ops import cond, conv, conv_transpose

from kgen.backend.process import process_peak_memory

__all__ = [
    "compiled",
    "cond",
    "conv",
    "conv_transpose",
    "device",
    "input_gradient",
    "make_test_function",
    "make_train_function",
    "peak_memory",
    "seed_framework",
    "synchronise",
    "value_and_grad",
    "version",
]


def value_and_grad(model, function, variables):
    """Value of `function() -> (loss, aux)` and the gradient of loss with respect to `variables`.

    See `kgen.backend.jax.value_and_grad`; variables assigned by `function` keep their new values.
    """
    variables = [variable.value for variable in variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(variables)
        loss, aux = function()
    return (loss, aux), tape.gradient(loss, variables, unconnected_gradients="zero")


def input_gradient(model, function, inputs):
    """d sum(function(inputs)) / d inputs, itself differentiable (for gradient penalties)."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        total = tf.reduce_sum(function(inputs))
    return tape.gradient(total, inputs)


def compiled(model, function):
    """`function(*arrays)` compiled for inference; it reads the model's variables, writes none."""
    graph = tf.function(
        function, autograph=False, reduce_retracing=True, jit_compile=model.jit_compile
    )

    def call(*args):
        args = [tf.convert_to_tensor(argument) for argument in args]
        return function(*args) if model.run_eagerly else graph(*args)

    return call


def make_train_function(model):
    """The function Keras' TensorFlow `fit` calls; its own runs k steps in a `tf.while_loop`."""
    keras.Model.make_train_function(model, force=True)
    return model.train_function


def make_test_function(model):
    """As `make_train_function`, for `evaluate`."""
    keras.Model.make_test_function(model, force=True)
    return model.test_function


def synchronise(tensors):
    """Wait until `tensors` (any structure) are computed; return them."""
    tf.test.experimental.sync_devices()
    return tensors


def peak_memory():
    """Most bytes in use so far: of the device where it counts them, else of this process."""
    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return process_peak_memory()


@functools.cache
def device():
    """What the computation runs on, in words: "cpu" or the accelerator's name."""
    accelerators = tf.config.list_physical_devices("GPU")
    if not accelerators:
        return "cpu"
    return tf.config.experimental.get_device_details(accelerators[0])["device_name"]


def version():
    """The framework's version."""
    return tf.__version__


def seed_framework(seed):
    """Seed TensorFlow's global generator (`tf.data` shuffles of the user's own pipelines)."""
    tf.random.set_seed(seed)
