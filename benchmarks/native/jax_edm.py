"""EDM in JAX.

kgen computes nearest upsampling and the convolution after it as one transposed convolution, and the
gradients of convolutions in another way.
"""

import functools
import itertools
import math

import jax
import jax.numpy as jnp

from . import jax_training as training
from . import trainable

GROUPS = 8

# === Layers: lists of their arrays; what a layer does not have is None ===


def initial_conv(key, size, inputs, outputs):
    return [training.glorot(key, (size, size, inputs, outputs)), jnp.zeros(outputs)]


def conv(x, parameters, strides=1):
    kernel, bias = parameters
    return training.conv(x, kernel, strides) + bias


def dense(x, parameters):
    kernel, bias = parameters
    return x @ kernel + bias


def initial_dense(key, inputs, outputs):
    return [training.glorot(key, (inputs, outputs)), jnp.zeros(outputs)]


def initial_norm(channels):
    return [jnp.ones(channels), jnp.zeros(channels)]


def normalised(x):
    groups = math.gcd(GROUPS, x.shape[-1])
    grouped = x.reshape(*x.shape[:3], groups, -1)
    mean, variance = grouped.mean((1, 2, 4), keepdims=True), grouped.var((1, 2, 4), keepdims=True)
    return ((grouped - mean) * jax.lax.rsqrt(variance + 1e-5)).reshape(x.shape)


def norm(x, parameters):
    scale, offset = parameters
    return normalised(x) * scale + offset


def initial_attention(key, channels):
    first, second = (
        initial_conv(key, 1, channels, 3 * channels),
        jnp.zeros((1, 1, channels, channels)),
    )
    return [initial_norm(channels), first, [second, jnp.zeros(channels)]]


def attention(x, parameters):
    of_norm, inputs, outputs = parameters
    flat = conv(norm(x, of_norm), inputs).reshape(len(x), -1, 3 * x.shape[-1])
    queries, keys, values = jnp.split(flat, 3, axis=-1)
    scores = jnp.einsum("nqc,nkc->nqk", queries, keys) / math.sqrt(x.shape[-1])
    attended = jnp.einsum("nqk,nkc->nqc", jax.nn.softmax(scores), values)
    return x + conv(attended.reshape(x.shape), outputs)


def initial_block(key, inputs, outputs, embedding_size, attends):
    keys = jax.random.split(key, 4)
    second = [jnp.zeros((3, 3, outputs, outputs)), jnp.zeros(outputs)]
    return [
        initial_norm(inputs),
        initial_conv(keys[0], 3, inputs, outputs),
        initial_dense(keys[1], embedding_size, 2 * outputs),
        second,
        initial_attention(keys[2], outputs) if attends else None,
        initial_conv(keys[3], 1, inputs, outputs) if inputs != outputs else None,
    ]


def block(x, parameters, embedding):
    of_norm, first, modulation, second, of_attention, skip = parameters
    h = conv(jax.nn.silu(norm(x, of_norm)), first)
    scale, shift = jnp.split(dense(embedding, modulation)[:, None, None], 2, axis=-1)
    h = conv(jax.nn.silu(normalised(h) * (1.0 + scale) + shift), second)
    x = h + (x if skip is None else conv(x, skip))
    return x if of_attention is None else attention(x, of_attention)


def doubled(x, parameters, like):
    height, width = like.shape[1:3]
    return conv(x.repeat(2, axis=1).repeat(2, axis=2), parameters)[:, :height, :width]


# === Network ===


@functools.partial(jax.jit, static_argnums=(1, 2, 3, 4, 5))
def initial(key, channels, base_channels, multipliers, blocks, attention):
    widths, size = [base_channels * multiplier for multiplier in multipliers], 4 * base_channels
    coarsest, keys = len(widths) - 1, iter(jax.random.split(key, 1000))

    def new_block(inputs, level, attends=True):
        attends = attends and attention > coarsest - level
        return initial_block(next(keys), inputs, widths[level], size, attends)

    def new_conv(inputs, outputs):
        return initial_conv(next(keys), 3, inputs, outputs)

    before = [widths[0], *widths]
    down = [
        [new_block(width if place else before[level], level) for place in range(blocks)]
        for level, width in enumerate(widths)
    ]
    up = [
        [new_block(2 * width, level) for _ in range(blocks)] for level, width in enumerate(widths)
    ]
    middle = [new_block(widths[-1], coarsest), new_block(widths[-1], coarsest, attends=False)]
    return [
        new_conv(channels, widths[0]),
        down,
        [new_conv(width, width) for width in widths[:-1]],
        middle,
        up,
        [new_conv(after, width) for width, after in itertools.pairwise(widths)],
        initial_norm(widths[0]),
        [jnp.zeros((3, 3, widths[0], channels)), jnp.zeros(channels)],
        [initial_dense(next(keys), size, size), initial_dense(next(keys), size, size)],
    ]


def predict(parameters, x, times):
    first, down, halvings, middle, up, doublings, of_norm, last, (dense1, dense2) = parameters
    frequencies = jnp.geomspace(0.1, 16.0, len(dense1[0]) // 2)
    angles = times[:, None] * frequencies
    features = jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)
    embedding = jax.nn.silu(dense(jax.nn.silu(dense(features, dense1)), dense2))
    x, skips = conv(x, first), []
    for level, blocks in enumerate(down):
        for of_block in blocks:
            x = block(x, of_block, embedding)
            skips.append(x)
        if level < len(halvings):
            x = conv(x, halvings[level], 2)
    for of_block in middle:
        x = block(x, of_block, embedding)
    for level in reversed(range(len(up))):
        for of_block in up[level]:
            x = block(jnp.concatenate([x, skips.pop()], axis=-1), of_block, embedding)
        if level:
            x = doubled(x, doublings[level - 1], skips[-1])
    return conv(jax.nn.silu(norm(x, of_norm)), last)


# === Training ===


def values(images, place, levels):
    """Levels as floats from -1 to 1, at a place in each level's bin."""
    return (images.astype("float32") + place) * (2.0 / levels) - 1.0


def loss(parameters, data, images, first, noise):
    """Mean squared error of the network's output; `data` is the root mean square of images."""
    uniform = (first + jnp.arange(len(images)) / len(images)) % 1.0
    normal = jax.scipy.special.ndtri(jnp.clip(uniform, 1e-6, 1.0 - 1e-6))
    sigma = jnp.exp(-1.2 + 1.2 * normal) * (data / 0.5)
    times, sigma = jnp.log(sigma) / 4.0, sigma[:, None, None, None]
    scale = jax.lax.rsqrt(sigma**2 + data**2)
    output = predict(parameters, scale * (images + sigma * noise), times)
    target = scale * (sigma / data * images - data * noise)
    return ((output - target) ** 2).mean()


def clipped(gradients, norm):
    squares = sum((gradient**2).sum() for gradient in jax.tree.leaves(gradients))
    scale = jnp.minimum(1.0, norm / jnp.sqrt(squares))
    return jax.tree.map(lambda gradient: gradient * scale, gradients)


def rate_at(step):
    warm = 1e-5 + (1e-3 - 1e-5) * step / 500
    return jnp.where(step < 500, warm, training.cosine(step - 500, 1e-3, steps=20_000, end=0.02))


class Baseline:
    """See `benchmarks.native`."""

    def __init__(
        self, image_shape, levels, base_channels=32, multipliers=(1, 2, 2), blocks=1, attention=1
    ):
        value_and_grad = jax.value_and_grad(loss)

        @functools.partial(jax.jit, donate_argnums=0)
        def step(state, data, images, noise):
            parameters, averages, adam, key = state
            if not noise:
                key, *keys = jax.random.split(key, 4)
                place = jax.random.uniform(keys[0], images.shape)
                noise = place, jax.random.uniform(keys[1]), jax.random.normal(keys[2], images.shape)
            place, first, noise = noise
            images = values(images, place, levels)
            value, gradients = value_and_grad(parameters, data, images, first, noise)
            kept = jnp.minimum(0.999, adam.count / (adam.count + 10.0))
            adam, parameters = adam.update(clipped(gradients, 1.0), parameters, rate_at(adam.count))
            averages = jax.tree.map(
                lambda old, new: kept * old + (1.0 - kept) * new, averages, parameters
            )
            return (parameters, averages, adam, key), {"loss": value}

        @jax.jit
        def measured(images):
            return jnp.sqrt((values(images, 0.5, levels) ** 2).mean())

        key, new = jax.random.split(training.seed())
        parameters = initial(new, image_shape[-1], base_channels, multipliers, blocks, attention)
        averages = jax.tree.map(jnp.copy, parameters)
        self.state = parameters, averages, training.Adam.start(parameters), key
        self._step, self._measured, self.data = step, measured, None

    def load(self, weights):
        parameters, *others = self.state
        self.state = training.loaded(parameters, trainable(weights)), *others

    def step(self, images, *noise):
        if self.data is None:
            self.data = self._measured(images)
        self.state, terms = self._step(self.state, self.data, images, noise)
        return terms

    def synchronise(self):
        jax.block_until_ready(self.state)
