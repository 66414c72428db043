"""TensorFlow: Keras' compiled steps are stateful already; gradients come from `GradientTape`."""

import contextlib
import functools

import keras
import numpy as np
import tensorflow as tf
from keras.ops import cond, softplus

from kgen.backend.adam import adam_slots
from kgen.backend.added_losses import added_losses
from kgen.backend.averaged import by_averages
from kgen.backend.grouped import group_normalised
from kgen.backend.process import process_peak_memory
from kgen.backend.tensorflow_convolution import (
    computes_with_onednn,
    conv,
    conv_transpose,
    padded_conv,
)
from kgen.backend.tensorflow_errors import raising_as_raised
from kgen.backend.tensorflow_loops import scan, with_gradients
from kgen.backend.tensorflow_names import recurring_variable_names

__all__ = [
    "added_losses",
    "adds_in_order",
    "affine",
    "apply_gradients",
    "batch_normalised",
    "batch_source",
    "categorical_log_prob",
    "compiled",
    "cond",
    "conv",
    "conv_transpose",
    "default_jit_compile",
    "device",
    "group_normalised",
    "input_gradient",
    "make_test_function",
    "make_train_function",
    "normal",
    "padded_conv",
    "peak_memory",
    "pointwise_conv",
    "recurring_variable_names",
    "scan",
    "seed_framework",
    "softplus",
    "synchronise",
    "training",
    "uniform",
    "value_and_grad",
    "value_and_vjp",
    "version",
]


def adds_in_order():
    # `AddN` adds up three or more gradients of one tensor. It begins with the first whose memory no
    # other operation reads any longer, and which that is depends on the threads.
    return False


@with_gradients(True)
def value_and_grad(model, function, variables):
    """Value of `function() -> (loss, aux)`, and the gradients of loss by `variables`.

    See `kgen.backend.jax.value_and_grad`; variables assigned by `function` keep their new values.
    """
    variables = [variable.value for variable in variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(variables)
        loss, aux = function()
    gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
    # An embedding's gradient is `IndexedSlices`, with several slices for a row that is looked up
    # more than once. Keras' optimizers would square each slice; converting to a tensor sums them.
    return (loss, aux), [tf.convert_to_tensor(gradient) for gradient in gradients]


def apply_gradients(optimizer, gradients, variables):
    """Run one step of a Keras optimizer, see `kgen.backend.jax.apply_gradients`.

    TensorFlow's fused Adam replaces a dozen operations per variable.
    """
    slots = adam_slots(optimizer, variables)
    if slots is None:
        # Inside a replica context Keras wraps the gradients in IdentityN, which TensorFlow 2.21's
        # optimizer removes; reads and updates of a weight then race (seen with the WGAN).
        replica = tf.distribute.get_replica_context()
        replica.merge_call(lambda strategy: optimizer.apply(gradients, variables))
        return
    if optimizer.global_clipnorm:
        gradients, _ = tf.clip_by_global_norm(gradients, optimizer.global_clipnorm)
    step = tf.cast(optimizer.iterations.value, "float32") + 1.0
    constants = {
        "lr": tf.cast(optimizer.learning_rate, "float32"),
        "beta1_power": optimizer.beta_1**step,
        "beta2_power": optimizer.beta_2**step,
        "beta1": optimizer.beta_1,
        "beta2": optimizer.beta_2,
        "epsilon": optimizer.epsilon,
    }
    for gradient, *states in zip(gradients, variables, *slots, strict=True):
        variable, momentum, velocity = (state.value.handle for state in states)
        tf.raw_ops.ResourceApplyAdam(
            var=variable, m=momentum, v=velocity, grad=gradient, **constants
        )
    optimizer.iterations.assign_add(1)


def batch_normalised(x, scale, offset, epsilon):
    """Batch normalisation of `x`, see `kgen.backend.jax.batch_normalised`."""
    channels = x.shape[-1]
    images = x if len(x.shape) == 4 else tf.reshape(x, (-1, 1, 1, channels))
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=images, scale=scale, offset=offset, mean=[], variance=[], epsilon=epsilon
    )
    count = tf.cast(tf.size(x) // channels, "float32")
    biased = variance * (count - 1.0) / count  # TensorFlow returns the unbiased estimate
    return (
        tf.reshape(outputs, tf.shape(x)),
        tf.stop_gradient(mean),
        tf.stop_gradient(biased),
    )


@with_gradients(True)
def input_gradient(model, function, inputs):
    """d sum(function(inputs)) / d inputs; it can be differentiated again (gradient penalties)."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        with added_losses():
            total = tf.reduce_sum(function(inputs))
    return tape.gradient(total, inputs)


@with_gradients(True)
def value_and_vjp(function, inputs, vector):
    """`function(inputs)` and a vector-Jacobian product, see `kgen.backend.jax.value_and_vjp`."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        value = function(inputs)
    return value, tape.gradient(value, inputs, output_gradients=vector)


def categorical_log_prob(values, logits):
    """log softmax(logits)[..., values], see `kgen.backend.jax.categorical_log_prob`."""
    return -tf.nn.sparse_softmax_cross_entropy_with_logits(values, logits)


def compiled(model, function, loop=False):
    """`function(*arrays)` compiled for inference; it reads the model's variables, assigns none.

    Unless the user asks for XLA, it compiles only a `loop` of small operations, once per shape:
    TensorFlow's executor spends more time between such operations than in them.
    """
    function = by_averages(model, function)

    @functools.cache
    def graph(xla):
        traced = with_gradients(False)(function)
        return tf.function(traced, autograph=False, reduce_retracing=not xla, jit_compile=xla)

    def call(*args):
        args = keras.tree.map_structure(_tensor, args)
        if model.run_eagerly:
            return function(*args)
        return graph(loop or getattr(model, "jit_compile_inference", False))(*args)

    return call


def _tensor(array):
    return None if array is None else tf.convert_to_tensor(array)


def affine(inputs, matrix, bias):
    """`inputs @ matrix + bias`, (n, inputs) -> (n, outputs), with the least overhead."""
    return tf.nn.bias_add(tf.cast(inputs, matrix.dtype) @ matrix, bias)


def pointwise_conv(images, matrix, bias):
    """1x1 convolution of images by a matrix, see `kgen.backend.jax.pointwise_conv`."""
    outputs = affine(tf.reshape(images, (-1, images.shape[-1])), matrix, bias)
    return tf.reshape(outputs, (-1, *images.shape[1:-1], matrix.shape[-1]))


def normal(shape, seeds):
    """Standard normal noise from a Keras `SeedGenerator`, see `kgen.backend.jax.normal`."""
    return keras.random.normal(shape, seed=seeds)


def uniform(shape, seeds):
    """Uniform noise in [0, 1), see `kgen.backend.jax.uniform`."""
    return keras.random.uniform(shape, seed=seeds)


def default_jit_compile(model):
    """The meaning of `jit_compile="auto"` in training: XLA for convolutions without oneDNN.

    Keras' choice on a CPU is False. The step times of XLA, as a multiple of TensorFlow's own, are:
    with oneDNN 1.2 to 1.3 (dcgan, glow) and 0.86 (pixelcnn), and a cold start takes 6 to 22 s
    longer (dcgan, glow); without oneDNN 0.35 (dcgan); dense models 1.05 to 1.3 (iwae, vae, gan; vae
    on another machine 0.8).
    """
    return model.jit_compile or (_convolves(model) and not computes_with_onednn())


def _convolves(model):
    return any(len(variable.shape) == 4 for variable in model.trainable_variables)


def batch_source(model, batches):
    """The form of `batches` that Keras' `fit` takes, see `kgen.backend.jax.batch_source`.

    `steps_per_execution` > 1 and distribution strategies need Keras' tf.data pipeline.
    """
    if model.steps_per_execution > 1 or _is_distributed(model):
        return batches
    try:
        from kgen.backend.tensorflow_feed import Feed
    except ImportError:  # its base class is private: a later Keras may move it
        return batches
    return Feed(batches)


def _is_distributed(model):
    return model.distribute_strategy.num_replicas_in_sync > 1


def make_train_function(model):
    """The function that Keras' TensorFlow `fit` calls with an iterator of batches.

    Keras' function runs k steps in a `tf.while_loop` and reads tf.data pipelines. Batches that
    arrive one by one (`batch_source`) use another function, traced per batch size: a graph for any
    size takes 1.12 (vae), 1.06 (glow) or 1.03 (pixelcnn) of the time.
    """
    keras.Model.make_train_function(model, force=True)
    if _is_distributed(model):
        return model.train_function
    of_pipelines, of_batches = raising_as_raised(model.train_function), model.train_step
    if not model.run_eagerly:
        of_batches = _by_shapes(model.train_step, model.jit_compile)

    def function(iterator):
        if isinstance(iterator, tf.data.Iterator):
            return of_pipelines(iterator)
        return of_batches(next(iterator))

    return function


def _by_shapes(step, jit_compile):
    """`step(batch)`, compiled once per batch size.

    A `tf.function` takes 0.2 ms to find the graph for its arguments, a thirtieth of the VAE's step.
    For the arrays of `batch_source`, looking it up by shape and dtype is enough.
    """
    traced, graphs = tf.function(step, autograph=False, jit_compile=jit_compile), {}

    def call(batch):
        parts = keras.tree.flatten(batch)
        if not all(isinstance(part, np.ndarray) for part in parts):  # from `train_on_batch`
            return traced(batch)
        key = tuple((part.shape, part.dtype) for part in parts)
        batch = keras.tree.map_structure(tf.convert_to_tensor, batch)
        if key not in graphs:
            graphs[key] = traced.get_concrete_function(batch)
        return graphs[key](batch)

    return call


def make_test_function(model):
    """As `make_train_function`, for `evaluate`."""
    keras.Model.make_test_function(model, force=True)
    return raising_as_raised(model.test_function)


def training():
    """Context manager of a `fit`; only PyTorch needs one, see `kgen.backend.torch.training`."""
    return contextlib.nullcontext()


def synchronise(tensors):
    """Wait until `tensors` (any structure) are computed; return them."""
    tf.test.experimental.sync_devices()
    return tensors


def peak_memory():
    """Peak memory in bytes: of the device if it reports it, else of this process."""
    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    return process_peak_memory()


@functools.cache
def device():
    """The name of the device: "cpu", or the accelerator's name."""
    accelerators = tf.config.list_physical_devices("GPU")
    if not accelerators:
        return "cpu"
    return tf.config.experimental.get_device_details(accelerators[0])["device_name"]


def version():
    """The framework's version."""
    return tf.__version__


def seed_framework(seed):
    """Seed TensorFlow's global generator, which shuffles the user's `tf.data` pipelines."""
    tf.random.set_seed(seed)
