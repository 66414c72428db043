"""PyTorch: steps build an autograd graph only inside `value_and_grad`, and are traced once."""

import contextlib
import functools

import keras
import torch
from keras.ops import softplus
from torch.nn import functional

from kgen.backend.adam import adam_slots
from kgen.backend.added_losses import added_losses
from kgen.backend.averaged import by_averages
from kgen.backend.process import process_peak_memory
from kgen.backend.torch_adam import fused_adam, fuses
from kgen.backend.torch_convolution import (
    conv,
    conv_transpose,
    padded_conv,
    pointwise_conv,
    to_channels_last,
)
from kgen.backend.torch_loops import refuse_tracing, scan, traced_loops
from kgen.backend.torch_recording import TracedStep, cond, opaque
from kgen.backend.torch_threads import flushed_denormals, training
from kgen.backend.variable_names import recurring_variable_names
from kgen.errors import KgenError

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
    return True


def value_and_grad(model, function, variables):
    """Value of `function() -> (loss, aux)`, and the gradients of loss by `variables`.

    See `kgen.backend.jax.value_and_grad`. Nothing accumulates in `.grad`. No gradients are computed
    for other variables that the loss depends on.
    """
    with torch.enable_grad():
        loss, aux = function()
    parameters = [variable.value for variable in variables]
    if parameters and loss.requires_grad:
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    else:  # a frozen player
        gradients = [torch.zeros_like(parameter) for parameter in parameters]
    return keras.tree.map_structure(_detached, (loss, aux)), list(gradients)


def apply_gradients(optimizer, gradients, variables):
    """Run one step of a Keras optimizer, see `kgen.backend.jax.apply_gradients`.

    On a CPU, PyTorch's fused Adam reads and writes every number once; Keras' Adam passes over all
    of them a dozen times. On a GPU these passes cost little, and the fused Adam would sync to read
    the step count.
    """
    slots = adam_slots(optimizer, variables)
    states = (variables, *(slots or ()))
    fused = slots and fuses(states)
    rate = _rate(optimizer) if fused else []

    def apply(tensors):
        if fused:
            fused_adam(optimizer, tensors[: len(rate)], tensors[len(rate) :], *states)
        else:
            optimizer.apply(tensors, variables)

    opaque(apply, [*rate, *gradients], [*optimizer.variables, *variables])


def _rate(optimizer):
    """A list of the learning rate: outside of `opaque`, a schedule's operations are traced.

    Empty for a schedule that branches on the step count, as one with a warm-up does.
    """
    try:
        return [keras.ops.convert_to_tensor(optimizer.learning_rate)]
    except RuntimeError:
        return []


def normal(shape, seeds):
    """Standard normal noise from a Keras `SeedGenerator`, see `kgen.backend.jax.normal`."""
    return torch.ops.kgen.noise(seeds.next(), list(shape), True)


def uniform(shape, seeds):
    """Uniform noise in [0, 1), see `kgen.backend.jax.uniform`."""
    return torch.ops.kgen.noise(seeds.next(), list(shape), False)


torch.library.define("kgen::noise", "(Tensor seed, int[] shape, bool normal) -> Tensor")


@torch.library.impl("kgen::noise", "default")
def _noise(seed, shape, normal):
    # A custom op, because it reads the seed's value. As in Keras: the sum, in 32 bits.
    generator = torch.Generator(device=seed.device)
    generator.manual_seed(int(seed.sum()) & 0xFFFFFFFF)
    draw = torch.randn if normal else torch.rand
    return draw(shape, generator=generator, device=seed.device, dtype=torch.float32)


@torch.library.register_fake("kgen::noise")
def _noise_without_values(seed, shape, normal):
    return seed.new_empty(shape, dtype=torch.float32)


def _detached(value):
    return value.detach() if isinstance(value, torch.Tensor) else value


def batch_normalised(x, scale, offset, epsilon):
    """Batch normalisation of `x`, see `kgen.backend.jax.batch_normalised`."""
    outputs, mean, inverse_deviation = torch.native_batch_norm(
        x.movedim(-1, 1), scale, offset, None, None, True, 0.0, epsilon
    )
    variance = inverse_deviation.detach() ** -2 - epsilon
    return outputs.movedim(1, -1), mean.detach(), variance


def group_normalised(x, scale, offset, groups, epsilon):
    """Group normalisation of images, see `kgen.backend.grouped.group_normalised`.

    PyTorch 2.13 crashes where the scale has a gradient and the images (channels last) have none.
    """
    images, channels = x.movedim(-1, 1), x.shape[-1]
    if scale.ndim == 1 and (x.requires_grad or not torch.is_grad_enabled()):
        return functional.group_norm(images, groups, scale, offset, epsilon).movedim(1, -1)
    normalised = functional.group_norm(images, groups, eps=epsilon).movedim(1, -1)
    scale, offset = (value.reshape(-1, 1, 1, channels) for value in (scale, offset))
    return torch.addcmul(offset, normalised, scale)


def input_gradient(model, function, inputs):
    """d sum(function(inputs)) / d inputs; it can be differentiated again (gradient penalties)."""
    refuse_tracing()
    differentiable = torch.is_grad_enabled()  # True inside value_and_grad, False in a test step
    with torch.enable_grad(), added_losses():
        inputs = inputs if inputs.requires_grad else inputs.detach().requires_grad_()
        total = function(inputs).sum()
        (gradient,) = torch.autograd.grad(total, inputs, create_graph=differentiable)
    return gradient


def value_and_vjp(function, inputs, vector):
    """`function(inputs)` and a vector-Jacobian product, see `kgen.backend.jax.value_and_vjp`."""
    refuse_tracing()
    with torch.enable_grad():
        inputs = inputs.detach().requires_grad_()
        value = function(inputs)
        (product,) = torch.autograd.grad(value, inputs, vector)
    return value.detach(), product


def categorical_log_prob(values, logits):
    """log softmax(logits)[..., values], see `kgen.backend.jax.categorical_log_prob`."""
    logits = logits.reshape(-1, logits.shape[-1])  # PyTorch is fastest with classes last
    cross_entropy = functional.cross_entropy(logits, values.reshape(-1).long(), reduction="none")
    return -cross_entropy.reshape(values.shape)


def compiled(model, function, loop=False):
    """`function(*arrays)` for inference: eager on PyTorch, without an autograd graph.

    A `loop` of small operations is traced, and runs in one thread: waking a second thread takes
    longer than the operations.
    """
    function = (traced_loops if loop else by_averages)(model, function)
    threads = _one_thread if loop else contextlib.nullcontext

    def call(*args):
        with torch.no_grad(), flushed_denormals(), threads():
            return function(*keras.tree.map_structure(_tensor, args))

    return call


def _tensor(array):
    return None if array is None else keras.ops.convert_to_tensor(array)


@contextlib.contextmanager
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def affine(inputs, matrix, bias):
    """`inputs @ matrix + bias`, (n, inputs) -> (n, outputs), with the least overhead."""
    return torch.addmm(bias, inputs.to(matrix.dtype), matrix)


def default_jit_compile(model):
    """The meaning of `jit_compile="auto"` in training: True, which here means traced steps."""
    return True


def batch_source(model, batches):
    """The form of `batches` that Keras' `fit` takes, see `kgen.backend.jax.batch_source`."""
    return batches


def make_train_function(model):
    """The function that Keras' PyTorch `fit` calls with a list of `steps_per_execution` batches.

    Keras' own function refuses more than one step. For `jit_compile=True` it compiles the whole
    step by `torch.compile`, which recompiles repeatedly, is slower than eager mode in the end, and
    has no double backward.
    """
    _check_one_process()
    variables = model.variables + model.optimizer.variables + model.metrics_variables
    to_channels_last(variables)
    if model.run_eagerly or not model.jit_compile:
        return _step_function(model.train_step)
    return _step_function(TracedStep(model.train_step, variables))


def make_test_function(model):
    """As `make_train_function`, for `evaluate`, whose steps run eagerly."""
    _check_one_process()
    return _step_function(model.test_step)


def _check_one_process():
    """Raise KgenError in a group of processes.

    Keras 3.16 splits the data over them, but each process would apply only its own gradients.
    """
    group = torch.distributed
    if group.is_available() and group.is_initialized() and group.get_world_size() > 1:
        raise KgenError(
            f"Expected one process on PyTorch, received a group of {group.get_world_size()}: train "
            "without torch.distributed, or on JAX with keras.distribution.DataParallel."
        )


def _step_function(step):
    def function(batches):
        with torch.no_grad(), flushed_denormals():
            for batch in batches:
                logs = step(batch)
        return logs

    return function


def synchronise(tensors):
    """Wait until `tensors` (any structure) are computed; return them."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return tensors


def peak_memory():
    """Peak memory in bytes: of the device if it reports it, else of this process."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else process_peak_memory()


@functools.cache
def device():
    """The name of the device: "cpu", or the accelerator's name."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def version():
    """The framework's version."""
    return torch.__version__


def seed_framework(seed):
    """Seed PyTorch's global generator, which shuffles the user's `DataLoader`s."""
    torch.manual_seed(seed)
