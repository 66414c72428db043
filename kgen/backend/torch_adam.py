"""PyTorch's fused Adam, with the results of Keras' Adam."""

import math

import torch
from torch.optim.adam import adam


def fuses(states):
    """Whether `fused_adam` supports these variables, momentums and velocities."""
    tensors = [[variable.value for variable in kind] for kind in states]
    return all(
        state.device.type == "cpu" and state.stride() == value.stride()
        for value, *slots in zip(*tensors, strict=True)
        for state in (value, *slots)
    )


def fused_adam(optimizer, rate, gradients, *states):
    """Run one Adam step.

    Args:
        optimizer: a Keras Adam, see `adam_slots`.
        rate: [learning rate], or [] to read the optimizer's.
        gradients: one per variable.
        states: lists of the variables, momentums and velocities.
    """
    values, momentums, velocities = ([variable.value for variable in kind] for kind in states)
    gradients = [
        gradient if gradient.stride() == value.stride() else torch.empty_like(value).copy_(gradient)
        for value, gradient in zip(values, gradients, strict=True)
    ]
    done = int(optimizer.iterations)
    adam(
        *(list(map(_in_memory, kind)) for kind in (values, gradients, momentums, velocities)),
        max_exp_avg_sqs=[],
        state_steps=list(torch.full((len(values),), float(done)).unbind()),
        fused=True,
        grad_scale=_excess(gradients, optimizer.global_clipnorm),
        amsgrad=False,
        maximize=False,
        weight_decay=0.0,
        beta1=optimizer.beta_1,
        beta2=optimizer.beta_2,
        lr=float(*(rate or [optimizer.learning_rate])),
        # Keras adds epsilon to the root of the uncorrected velocity, PyTorch to the corrected one.
        eps=optimizer.epsilon / math.sqrt(1.0 - optimizer.beta_2 ** (done + 1)),
    )
    optimizer.iterations.assign(done + 1)


def _in_memory(tensor):
    """A view in memory order: PyTorch's operation would copy a non-contiguous tensor."""
    if tensor.is_contiguous():
        return tensor
    return tensor.as_strided((tensor.numel(),), (1,), tensor.storage_offset())


def _excess(gradients, largest):
    """The divisor that clips the gradients' global norm to `largest`; None for no clipping."""
    if largest is None:
        return None
    norm = torch.nn.utils.get_total_norm(gradients)
    # As in Keras' clipping, non-finite gradients stay visible.
    return torch.where(norm.isfinite(), torch.clamp(norm / largest, min=1.0), torch.nan)
