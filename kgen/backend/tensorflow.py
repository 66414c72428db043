"""TensorFlow: Keras' own compiled steps already are stateful; gradients come from tapes."""

import contextlib
import functools

import keras
import numpy as np
import tensorflow as tf
from keras.ops import cond

from kgen.backend.adam import adam_slots
from kgen.backend.added_losses import added_losses
from kgen.backend.averaged import by_averages
from kgen.backend.process import process_peak_memory
from kgen.backend.tensorflow_convolution import (
    computes_with_onednn,
    conv,
    conv_transpose,
    padded_conv,
)
from kgen.backend.tensorflow_names import recurring_variable_names

__all__ = [
    "added_losses",
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
    "input_gradient",
    "make_test_function",
    "make_train_function",
    "normal",
    "padded_conv",
    "peak_memory",
    "recurring_variable_names",
    "scan",
    "seed_framework",
    "synchronise",
    "training",
    "uniform",
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
    gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
    # An embedding's come as slices, several for a row that is looked up more than once; Keras'
    # optimizers would square each by itself. As tensors they are summed.
    return (loss, aux), [tf.convert_to_tensor(gradient) for gradient in gradients]


def apply_gradients(optimizer, gradients, variables):
    """One step of a Keras optimizer, see `kgen.backend.jax.apply_gradients`.

    TensorFlow's own operation of Adam takes the place of a dozen for every variable.
    """
    slots = adam_slots(optimizer, variables)
    if slots is None:
        # Outside a replica's context, where Keras gathers all gradients in an IdentityN. TensorFlow
        # 2.21 relies on it to keep the update of a weight behind its reading, then optimizes it
        # away: of the wgan's several moves, some read weights before or after by chance.
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
    """`x` normalised over all axes but the last, see `kgen.backend.jax.batch_normalised`."""
    channels = x.shape[-1]
    images = x if len(x.shape) == 4 else tf.reshape(x, (-1, 1, 1, channels))
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=images, scale=scale, offset=offset, mean=[], variance=[], epsilon=epsilon
    )
    count = tf.cast(tf.size(x) // channels, "float32")
    biased = variance * (count - 1.0) / count  # TensorFlow's is the unbiased estimate
    return (
        tf.reshape(outputs, tf.shape(x)),
        tf.stop_gradient(mean),
        tf.stop_gradient(biased),
    )


def input_gradient(model, function, inputs):
    """d sum(function(inputs)) / d inputs, itself differentiable (for gradient penalties)."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        with added_losses():
            total = tf.reduce_sum(function(inputs))
    return tape.gradient(total, inputs)


def categorical_log_prob(values, logits):
    """log softmax(logits)[..., values], see `kgen.backend.jax.categorical_log_prob`."""
    return -tf.nn.sparse_softmax_cross_entropy_with_logits(values, logits)


def compiled(model, function, loop=False):
    """`function(*arrays)` compiled for inference; it reads the model's variables, writes none.

    Unless the user asks for it, only a `loop` of small operations is compiled by XLA, anew for
    every shape: between two of them TensorFlow's own executor spends more time than in them.
    """
    function = by_averages(model, function)

    @functools.cache
    def graph(xla):
        return tf.function(function, autograph=False, reduce_retracing=not xla, jit_compile=xla)

    def call(*args):
        args = keras.tree.map_structure(_tensor, args)
        if model.run_eagerly:
            return function(*args)
        return graph(loop or getattr(model, "jit_compile_inference", False))(*args)

    return call


def _tensor(array):
    return None if array is None else tf.convert_to_tensor(array)


def affine(inputs, matrix, bias):
    """`inputs @ matrix + bias`, (n, inputs) -> (n, outputs), where every microsecond counts."""
    return tf.nn.bias_add(tf.cast(inputs, matrix.dtype) @ matrix, bias)


def normal(shape, seeds):
    """Standard normal noise by a Keras `SeedGenerator`, see `kgen.backend.jax.normal`."""
    return keras.random.normal(shape, seed=seeds)


def uniform(shape, seeds):
    """Uniform noise in [0, 1), see `kgen.backend.jax.uniform`."""
    return keras.random.uniform(shape, seed=seeds)


def scan(function, carry, inputs):
    """`carry, output = function(carry, input)` for each input; returns (carry, all outputs).

    See `kgen.backend.jax.scan`.
    """
    carry, inputs = tf.nest.map_structure(tf.convert_to_tensor, (carry, inputs))
    length = tf.nest.flatten(inputs)[0].shape[0]

    def entry(index):
        return tf.nest.map_structure(lambda values: values[index], inputs)

    def step(index, carry, outputs):
        carry, output = function(carry, entry(index))
        written = [
            array.write(index, value)
            for array, value in zip(outputs, tf.nest.flatten(output), strict=True)
        ]
        return index + 1, carry, written

    # Traced once only to learn what it returns.
    traced = tf.function(function, autograph=False).get_concrete_function(carry, entry(0))
    _, output = traced.structured_outputs
    arrays = [
        tf.TensorArray(tensor.dtype, length, element_shape=tensor.shape)
        for tensor in tf.nest.flatten(output)
    ]
    _, carry, arrays = tf.while_loop(
        lambda index, *_: index < length, step, (0, carry, arrays), maximum_iterations=length
    )
    return carry, tf.nest.pack_sequence_as(output, [array.stack() for array in arrays])


def default_jit_compile(model):
    """What `jit_compile="auto"` stands for in training, see `kgen.backend.jax.default_jit_compile`.

    Keras' choice on a CPU is no. It depends on TensorFlow's own convolutions: where oneDNN computes
    them, XLA's steps take 1.2 to 1.3 of the time of TensorFlow's (dcgan, glow; pixelcnn 0.86), and
    a cold start 6 to 22 s longer (dcgan, glow); where it does not, 0.35 (dcgan). Those of dense
    models take 1.05 to 1.3 (iwae, vae, gan; vae on another machine 0.8).
    """
    return model.jit_compile or (_convolves(model) and not computes_with_onednn())


def _convolves(model):
    return any(len(variable.shape) == 4 for variable in model.trainable_variables)


def batch_source(model, batches):
    """What Keras' `fit` takes for `batches`, see `kgen.backend.jax.batch_source`.

    A loop of several steps and a distribution strategy need Keras' own pipeline.
    """
    if model.steps_per_execution > 1 or _is_distributed(model):
        return batches
    try:
        from kgen.backend.tensorflow_feed import Feed
    except ImportError:  # the class it extends is nothing public: a later Keras may move it
        return batches
    return Feed(batches)


def _is_distributed(model):
    return model.distribute_strategy.num_replicas_in_sync > 1


def make_train_function(model):
    """The function Keras' TensorFlow `fit` calls with an iterator of batches.

    Keras' own, which runs k steps in a `tf.while_loop`, reads its pipelines; batches handed over
    one by one (`batch_source`) have a step of their own, traced for every size of a batch: graphs
    for any size take 1.12 (vae), 1.06 (glow) or 1.03 (pixelcnn) of the time.
    """
    keras.Model.make_train_function(model, force=True)
    if _is_distributed(model):
        return model.train_function
    of_pipelines, of_batches = model.train_function, model.train_step
    if not model.run_eagerly:
        of_batches = _by_shapes(model.train_step, model.jit_compile)

    def function(iterator):
        if isinstance(iterator, tf.data.Iterator):
            return of_pipelines(iterator)
        return of_batches(next(iterator))

    return function


def _by_shapes(step, jit_compile):
    """`step(batch)`, compiled for every size of a batch.

    A `tf.function` takes 0.2 ms to find the graph for some arrays, a thirtieth of the vae's step;
    for those that `batch_source` hands over, their shapes and types will do.
    """
    traced, graphs = tf.function(step, autograph=False, jit_compile=jit_compile), {}

    def call(batch):
        parts = keras.tree.flatten(batch)
        if not all(isinstance(part, np.ndarray) for part in parts):  # of `train_on_batch`
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
    return model.test_function


def training():
    """Context of a `fit`; only PyTorch has something to set, see `kgen.backend.torch.training`."""
    return contextlib.nullcontext()


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
