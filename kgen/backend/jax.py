"""JAX: stateful steps become pure functions, compiled with their state donated.

Keras' `StatelessScope` redirects every read and `assign` of a variable to a mapping. A stateful
function run inside it is a pure function of the mapping's values (`jax_steps.pure_function`).
Nested scopes see only the innermost mapping, so each mapping holds all variables in use.
"""

import contextlib
import functools

import jax
import keras
from keras import ops

from kgen.backend.added_losses import added_losses
from kgen.backend.averaged import by_averages, inference_sources
from kgen.backend.grouped import group_normalised
from kgen.backend.jax_convolution import conv, conv_transpose, padded_conv
from kgen.backend.jax_steps import make_test_function, make_train_function, pure_function
from kgen.backend.process import process_peak_memory
from kgen.backend.variable_names import recurring_variable_names

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


def _values(variables):
    return [variable.value for variable in variables]


def _readable(model):
    """The variables that a model's functions may read: its own, and its step counter."""
    count = getattr(model, "steps_counted", None)
    return model.variables if count is None else [*model.variables, count]


def _assign(variables, values):
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def adds_in_order():
    """Whether equal training steps give equal gradients, bit for bit."""
    return True


def value_and_grad(model, function, variables):
    """Value of `function() -> (loss, aux)`, and the gradients of loss by `variables`.

    `function` may read every variable of `model`. It may assign those that are not differentiated
    (batch normalisation statistics, seeds); they keep the new values.

    Args:
        model: the Keras model whose variables `function` uses.
        function: takes no arguments, returns a scalar loss and any structure of tensors.
        variables: list of Keras variables to differentiate.

    Returns:
        `((loss, aux), gradients)`: the gradients are in the order of `variables`, and zero for a
        variable that the loss does not depend on.
    """
    chosen = {id(variable) for variable in variables}
    others = [variable for variable in _readable(model) if id(variable) not in chosen]
    pure = pure_function(function, variables + others)

    def loss_of(values, other_values):
        (loss, aux), updated = pure(values + other_values)
        return loss, (aux, updated[len(variables) :])

    differentiate = jax.value_and_grad(loss_of, has_aux=True)
    (loss, (aux, updated)), gradients = differentiate(_values(variables), _values(others))
    _assign(others, updated)
    return (loss, aux), gradients


def apply_gradients(optimizer, gradients, variables):
    """Run one step of a Keras optimizer on `variables`, all that it was built with.

    XLA fuses Adam's operations into one loop; TensorFlow and PyTorch use their fused Adam.
    """
    optimizer.apply(gradients, variables)


def batch_normalised(x, scale, offset, epsilon):
    """Batch normalisation of `x`, float32 (batch, ..., channels), by each channel's statistics.

    Returns:
        (outputs like `x`, mean (channels,), variance (channels,)); mean and variance have no
        gradients.
    """
    mean, variance = keras.ops.moments(x, tuple(range(x.ndim - 1)))
    outputs = keras.ops.batch_normalization(x, mean, variance, -1, offset, scale, epsilon)
    return outputs, jax.lax.stop_gradient(mean), jax.lax.stop_gradient(variance)


def input_gradient(model, function, inputs):
    """d sum(function(inputs)) / d inputs; it can be differentiated again (gradient penalties)."""
    variables = _readable(model)
    pure = pure_function(function, variables)

    def total(inputs):
        with added_losses():  # regularization losses are no part of this gradient
            outputs, updated = pure(_values(variables), inputs)
        return keras.ops.sum(outputs), updated

    gradient, updated = jax.grad(total, has_aux=True)(inputs)
    _assign(variables, updated)
    return gradient


def value_and_vjp(function, inputs, vector):
    """`function(inputs)`, and the product of `vector`, like its value, with its Jacobian.

    For inference, also inside `scan`: `function` assigns no variables.
    """
    value, pull_back = jax.vjp(function, inputs)
    return value, pull_back(vector)[0]


def categorical_log_prob(values, logits):
    """log softmax(logits)[..., values], in nats: values int32 (...), logits (..., levels)."""
    chosen = values[..., None] == jax.numpy.arange(logits.shape[-1])
    chosen_logits = jax.numpy.sum(jax.numpy.where(chosen, logits, 0.0), axis=-1)
    return chosen_logits - jax.nn.logsumexp(logits, axis=-1)


def compiled(model, function, loop=False):
    """`function(*arrays)` compiled for inference; it reads the model's variables, assigns none.

    Args:
        loop: whether it is a long loop of small operations, which TensorFlow and PyTorch run
            differently.
    """
    variables = _readable(model)
    sources = inference_sources(model, variables)
    pure = jax.jit(lambda values, *args: pure_function(function, variables)(values, *args)[0])

    def call(*args):
        if model.run_eagerly:
            return by_averages(model, function)(*args)
        return pure(_values(sources), *args)

    return call


def affine(inputs, matrix, bias):
    """`inputs @ matrix + bias`, (n, inputs) -> (n, outputs), with the least overhead."""
    return inputs.astype(matrix.dtype) @ matrix + bias


def pointwise_conv(images, matrix, bias):
    """1x1 convolution by a matrix (channels, filters): a product, faster than a convolution here.

    Args:
        images: (batch, height, width, channels), or rows (batch, width, channels).
        matrix: (channels, filters).
        bias: (filters,).
    """
    outputs = affine(images.reshape(-1, images.shape[-1]), matrix, bias)
    return outputs.reshape(*images.shape[:-1], matrix.shape[-1])


@jax.custom_jvp
def softplus(values):
    """log(1 + exp(values)), of every entry; twice as fast here as `keras.ops.softplus`."""
    return ops.maximum(values, 0) + ops.log1p(ops.exp(-ops.abs(values)))


softplus.defjvps(lambda tangent, result, values: tangent * ops.sigmoid(values))


def normal(shape, seeds):
    """Standard normal noise of a shape from a Keras `SeedGenerator`, new at every call."""
    return keras.random.normal(shape, seed=seeds)


def uniform(shape, seeds):
    """Uniform noise in [0, 1), see `normal`."""
    return keras.random.uniform(shape, seed=seeds)


def scan(function, carry, inputs):
    """Loop `carry, output = function(carry, input)` over the inputs; returns (carry, outputs).

    Args:
        function: takes and returns any structures of tensors; those of `carry` keep their shapes.
        carry: the first call's carry.
        inputs: a structure of tensors; each call gets the next entry along their first axis.

    Returns:
        The last carry, and the outputs, stacked along a new first axis.
    """
    return jax.lax.scan(function, carry, inputs)


def cond(predicate, if_true, if_false):
    """`if_true()` or `if_false()`; outside of a compiled function neither is compiled.

    `jax.lax.cond` would compile both at every such call.
    """
    if isinstance(predicate, jax.core.Tracer):
        return jax.lax.cond(predicate, if_true, if_false)
    return if_true() if predicate else if_false()


def default_jit_compile(model):
    """The meaning of `jit_compile="auto"` in training: Keras' choice, which is True on JAX."""
    return model.jit_compile


def batch_source(model, batches):
    """The form of `batches`, a PyDataset, that Keras' `fit` iterates fastest: itself on JAX."""
    return batches


def training():
    """Context manager of a `fit`; only PyTorch needs one, see `kgen.backend.torch.training`."""
    return contextlib.nullcontext()


def synchronise(tensors):
    """Wait until `tensors` (any structure) are computed; return them."""
    return jax.block_until_ready(tensors)


def peak_memory():
    """Peak memory in bytes: of the device if it reports it, else of this process."""
    statistics = jax.devices()[0].memory_stats() or {}
    return statistics.get("peak_bytes_in_use") or process_peak_memory()


@functools.cache
def device():
    """The name of the device: "cpu", or the accelerator's name."""
    first = jax.devices()[0]
    return "cpu" if first.platform == "cpu" else first.device_kind


def version():
    """The framework's version."""
    return jax.__version__


def seed_framework(seed):
    """Does nothing: JAX has no global random generator."""
