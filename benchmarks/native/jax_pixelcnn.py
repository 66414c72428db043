"""The PixelCNN of grey images in JAX.

Kernels are square and multiplied by a mask, as everybody writes them; kgen leaves out the rows
below the centre, and has gradients of its own for convolutions on CPUs.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from . import jax_training as training
from . import trainable, whole_kernels

# === Network: parameters are a list of (kernel, bias) ===


def initial(key, levels, features, blocks):
    half = features // 2
    block = [(1, 1, features, half), (3, 3, half, half), (1, 1, half, features)]
    shapes = [(7, 7, 1, features), *blocks * block, *2 * [(1, 1, features, features)]]
    shapes.append((1, 1, features, 1 if levels == 2 else levels))
    keys = jax.random.split(key, len(shapes))
    return [
        (training.glorot(key, shape), jnp.zeros(shape[-1:]))
        for key, shape in zip(keys, shapes, strict=True)
    ]


def mask(kind, size):
    """(size, size, 1, 1); type "A" does not see the centre, "B" does."""
    mask, centre = np.ones((size, size, 1, 1), "float32"), size // 2
    mask[centre, centre + (kind == "B") :] = 0
    mask[centre + 1 :] = 0
    return mask


def layer(x, parameters, mask=1.0):
    kernel, bias = parameters
    return training.conv(x, kernel * mask) + bias


def network(parameters, x):
    relu = jax.nn.relu
    first, *residual, hidden, last, output = parameters
    x = layer(x, first, mask("A", 7))
    for narrow, masked, widen in zip(residual[::3], residual[1::3], residual[2::3], strict=True):
        inside = layer(relu(x), narrow)
        inside = layer(relu(inside), masked, mask("B", 3))
        x = x + layer(relu(inside), widen)
    x = layer(relu(x), hidden)
    x = layer(relu(x), last)
    return layer(relu(x), output)  # (n, height, width, levels)


def loss(parameters, images, levels):
    logits = network(parameters, training.scaled(images, levels))
    if levels == 2:
        log_prob = images * logits - jax.nn.softplus(logits)
    else:
        log_prob = jnp.take_along_axis(jax.nn.log_softmax(logits), images.astype("int32"), axis=-1)
    return -log_prob.sum() / len(images)


# === Training ===


class Baseline:
    """See `benchmarks.native`."""

    def __init__(self, image_shape, levels, features=64, blocks=7):
        if image_shape[-1] != 1:
            raise ValueError(f"Expected grey images, received {image_shape}")
        value_and_grad = jax.value_and_grad(functools.partial(loss, levels=levels))

        @functools.partial(jax.jit, donate_argnums=0)
        def step(state, images):
            parameters, adam = state
            value, gradients = value_and_grad(parameters, images)
            rate = training.cosine(adam.count, 4e-3, steps=25_000, end=0.01)
            adam, parameters = adam.update(gradients, parameters, rate)
            return (parameters, adam), {"loss": value}

        parameters = initial(training.seed(), levels, features, blocks)
        self.state = parameters, training.Adam.start(parameters)
        self._step = step

    def load(self, weights):
        parameters, adam = self.state
        self.state = training.loaded(parameters, whole_kernels(trainable(weights))), adam

    def step(self, images):
        self.state, terms = self._step(self.state, images)
        return terms

    def synchronise(self):
        jax.block_until_ready(self.state)
