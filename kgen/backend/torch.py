"""PyTorch: steps build a graph only inside `value_and_grad`, and are recorded to be run again."""

import contextlib
import functools

import keras
import torch
from torch.nn import functional

from kgen.backend.adam import adam_slots
from kgen.backend.added_losses import added_losses
from kgen.backend.averaged import by_averages
from kgen.backend.process import process_peak_memory
from kgen.backend.torch_adam import fused_adam, fuses
from kgen.backend.torch_convolution import conv, conv_transpose, to_channels_last
from kgen.backend.torch_recording import Recorded, cond, opaque
from kgen.backend.torch_threads import flushed_denormals, training
from kgen.backend.variable_names import recurring_variable_names
from kgen.errors import KgenError

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

    See `kgen.backend.jax.value_and_grad`. Nothing accumulates in `.grad`, and the gradients of
    other variables that the loss depends on are not computed.
    """
    with torch.enable_grad():
        loss, aux = function()
    parameters = [variable.value for variable in variables]
    if parameters and loss.requires_grad:
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    else:  # of a player that is frozen
        gradients = [torch.zeros_like(parameter) for parameter in parameters]
    return keras.tree.map_structure(_detached, (loss, aux)), list(gradients)


def apply_gradients(optimizer, gradients, variables):
    """One step of a Keras optimizer, see `kgen.backend.jax.apply_gradients`.

    On a CPU PyTorch's fused Adam reads and writes every number once, Keras' passes over all of them
    a dozen times. (On a GPU those passes cost little, and this would wait for the step's number.)
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
    """The learning rate, in a list: outside of `opaque` a schedule's operations are recorded.

    An empty one for a schedule that looks at the number of the step, as one with a warm-up does.
    """
    try:
        return [keras.ops.convert_to_tensor(optimizer.learning_rate)]
    except RuntimeError:
        return []


def normal(shape, seeds):
    """Standard normal noise by a Keras `SeedGenerator`, see `kgen.backend.jax.normal`."""
    return torch.ops.kgen.noise(seeds.next(), list(shape), True)


def uniform(shape, seeds):
    """Uniform noise in [0, 1), see `kgen.backend.jax.uniform`."""
    return torch.ops.kgen.noise(seeds.next(), list(shape), False)


torch.library.define("kgen::noise", "(Tensor seed, int[] shape, bool normal) -> Tensor")


@torch.library.impl("kgen::noise", "default")
def _noise(seed, shape, normal):
    # An operation of its own, for it looks at the seed: as Keras does, sum and 32 bits included.
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
    """`x` normalised over all axes but the last, see `kgen.backend.jax.batch_normalised`."""
    outputs, mean, inverse_deviation = torch.native_batch_norm(
        x.movedim(-1, 1), scale, offset, None, None, True, 0.0, epsilon
    )
    variance = inverse_deviation.detach() ** -2 - epsilon
    return outputs.movedim(1, -1), mean.detach(), variance


def input_gradient(model, function, inputs):
    """d sum(function(inputs)) / d inputs, itself differentiable (for gradient penalties)."""
    differentiable = torch.is_grad_enabled()  # inside value_and_grad, not in a test step
    with torch.enable_grad(), added_losses():
        inputs = inputs if inputs.requires_grad else inputs.detach().requires_grad_()
        total = function(inputs).sum()
        (gradient,) = torch.autograd.grad(total, inputs, create_graph=differentiable)
    return gradient


def categorical_log_prob(values, logits):
    """log softmax(logits)[..., values], see `kgen.backend.jax.categorical_log_prob`."""
    logits = logits.reshape(-1, logits.shape[-1])  # elsewhere than last PyTorch is slower
    cross_entropy = functional.cross_entropy(logits, values.reshape(-1).long(), reduction="none")
    return -cross_entropy.reshape(values.shape)


def compiled(model, function, loop=False):
    """`function(*arrays)` for inference: eager on PyTorch, no graph kept.

    A `loop` of small operations runs in one thread: waking a second one takes longer than they do.
    """

    function = by_averages(model, function)
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


def padded_conv(images, kernel, rows, columns, bias=None):
    """Convolution of `images` after zeros, see `kgen.backend.jax.padded_conv`."""
    images = functional.pad(images, (0, 0, *columns, *rows))
    return conv(images, kernel, (1, 1), "valid", "channels_last", (1, 1), bias)


def affine(inputs, matrix, bias):
    """`inputs @ matrix + bias`, (n, inputs) -> (n, outputs), where every microsecond counts."""
    return torch.addmm(bias, inputs.to(matrix.dtype), matrix)


def scan(function, carry, inputs):
    """`carry, output = function(carry, input)` for each input; returns (carry, all outputs).

    See `kgen.backend.jax.scan`.
    """
    outputs = []
    for entries in zip(*map(torch.unbind, keras.tree.flatten(inputs)), strict=True):
        carry, output = function(carry, keras.tree.pack_sequence_as(inputs, entries))
        outputs.append(output)
    return carry, keras.tree.map_structure(lambda *parts: torch.stack(parts), *outputs)


def default_jit_compile(model):
    """What `jit_compile="auto"` stands for in training: yes, which here means recorded steps."""
    return True


def batch_source(model, batches):
    """What Keras' `fit` takes for `batches`, see `kgen.backend.jax.batch_source`."""
    return batches


def make_train_function(model):
    """The function Keras' PyTorch `fit` calls with a list of `steps_per_execution` batches.

    Keras' own refuses more than one step, and compiles the whole step for `jit_compile=True`,
    which recompiles again and again, ends slower than eager and has no double backward.
    """
    _check_one_process()
    variables = model.variables + model.optimizer.variables + model.metrics_variables
    to_channels_last(variables)
    if model.run_eagerly or not model.jit_compile:
        return _step_function(model.train_step)
    return _step_function(Recorded(model.train_step, variables))


def make_test_function(model):
    """As `make_train_function`, for `evaluate`, whose steps are run as they are."""
    _check_one_process()
    return _step_function(model.test_step)


def _check_one_process():
    """Keras 3.16 splits the data over a group of processes; gradients here are each one's own."""
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
    """Most bytes in use so far: of the device where it counts them, else of this process."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else process_peak_memory()


@functools.cache
def device():
    """What the computation runs on, in words: "cpu" or the accelerator's name."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def version():
    """The framework's version."""
    return torch.__version__


def seed_framework(seed):
    """Seed PyTorch's global generator (the shuffles of the user's own `DataLoader`s)."""
    torch.manual_seed(seed)
