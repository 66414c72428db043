"""Glow in JAX."""

import functools
import math

import jax
import jax.numpy as jnp
import jax.scipy.linalg

from . import fixed, trainable
from . import jax_training as training

ALPHA = 1e-3  # pixels become logits of alpha + (1 - 2 alpha) y

# === Steps: (x, parameters) -> (y, log|det dy/dx|), the latter of each image or of all ===


def actnorm(x, parameters):
    bias, log_scale = parameters
    return (x + bias) * jnp.exp(log_scale), x.shape[1] * x.shape[2] * log_scale.sum()


def fitted_actnorm(x):
    """Parameters that leave this batch with mean 0 and variance 1."""
    return -x.mean((0, 1, 2)), -jnp.log(x.std((0, 1, 2)) + 1e-6)


def initial_actnorm(channels):
    return jnp.zeros(channels), jnp.zeros(channels)


def invertible_conv(x, parameters, constants):
    """1x1 convolution by W = P L (U + diag(s))."""
    lower, upper, log_scale = parameters
    permutation, sign = constants
    lower = jnp.tril(lower, -1) + jnp.eye(len(sign))
    upper = jnp.triu(upper, 1) + jnp.diag(sign * jnp.exp(log_scale))
    weight = permutation @ lower @ upper
    return x @ weight.T, x.shape[1] * x.shape[2] * log_scale.sum()


def initial_invertible_conv(key, channels):
    """A rotation: parameters and constants."""
    rotation = jax.random.orthogonal(key, channels)
    permutation, lower, upper = jax.scipy.linalg.lu(rotation)
    scale = jnp.diag(upper)
    parameters = jnp.tril(lower, -1), jnp.triu(upper, 1), jnp.log(jnp.abs(scale))
    return parameters, (permutation, jnp.sign(scale))


def coupling(x, parameters):
    """Changes the first half of the channels, given the others."""
    changed, seen = jnp.split(x, [x.shape[-1] // 2], axis=-1)
    *hidden, (kernel, bias) = parameters
    h = seen
    for weights, offsets in hidden:
        h = jax.nn.relu(training.conv(h, weights) + offsets)
    log_scale, shift = jnp.split(training.conv(h, kernel) + bias, 2, axis=-1)
    log_scale = 2.0 * jnp.tanh(log_scale / 2.0)
    y = jnp.concatenate([changed * jnp.exp(log_scale) + shift, seen], axis=-1)
    return y, log_scale.sum((1, 2, 3))


def initial_coupling(key, channels, base_channels):
    changed = channels // 2
    seen, layers, keys = channels - changed, [], jax.random.split(key)
    he = jax.nn.initializers.he_normal()
    if base_channels:
        layers = [
            (he(keys[0], (3, 3, seen, base_channels)), jnp.zeros(base_channels)),
            (he(keys[1], (1, 1, base_channels, base_channels)), jnp.zeros(base_channels)),
        ]
    return [
        *layers,
        (jnp.zeros((3, 3, base_channels or seen, 2 * changed)), jnp.zeros(2 * changed)),
    ]


def squeeze(x):
    """Blocks of 2x2 pixels become channels, where both sides are even."""
    count, height, width, channels = x.shape
    if height % 2 or width % 2:
        return x
    x = x.reshape(count, height // 2, 2, width // 2, 2, channels).swapaxes(2, 3)
    return x.reshape(count, height // 2, width // 2, 4 * channels)


# === Network: of each scale, its steps (actnorm, convolution, coupling) and its prior ===


@functools.partial(jax.jit, static_argnums=(1, 2, 3, 4))
def initial(key, image_shape, scales, depth, base_channels):
    """Parameters and constants."""
    height, width, channels = image_shape
    parameters, constants = [], []
    for scale in range(scales):
        if height % 2 == width % 2 == 0:
            height, width, channels = height // 2, width // 2, 4 * channels
        steps = []
        for _ in range(depth):
            key, *keys = jax.random.split(key, 3)
            conv, of_conv = initial_invertible_conv(keys[0], channels)
            of_coupling = initial_coupling(keys[1], channels, base_channels)
            steps.append((initial_actnorm(channels), conv, of_coupling))
            constants.append(of_conv)
        last = scale == scales - 1
        prior = initial_actnorm(channels) if last else initial_coupling(key, channels, 0)
        parameters.append((steps, prior))
        channels -= channels // 2
    return parameters, constants


def log_density(parameters, constants, x):
    """(n,)"""
    total, constants = 0.0, iter(constants)
    for steps, prior in parameters:
        x = squeeze(x)
        for of_actnorm, of_conv, of_coupling in steps:
            x, change = actnorm(x, of_actnorm)
            total += change
            x, change = invertible_conv(x, of_conv, next(constants))
            total += change
            x, change = coupling(x, of_coupling)
            total += change
        last = steps is parameters[-1][0]
        x, change = actnorm(x, prior) if last else coupling(x, prior)
        leaving, x = jnp.split(x, [x.shape[-1] if last else x.shape[-1] // 2], axis=-1)
        total += change - 0.5 * (leaving**2 + math.log(2 * math.pi)).sum((1, 2, 3))
    return total


def data_dependent_init(parameters, constants, images, noise, levels):
    """Parameters with every actnorm set by its inputs."""
    x, _ = to_logits(images, noise, levels)
    found, constants = [], iter(constants)
    for steps, prior in parameters:
        x = squeeze(x)
        new_steps = []
        for _, of_conv, of_coupling in steps:
            of_actnorm = fitted_actnorm(x)
            new_steps.append((of_actnorm, of_conv, of_coupling))
            x, _ = actnorm(x, of_actnorm)
            x, _ = invertible_conv(x, of_conv, next(constants))
            x, _ = coupling(x, of_coupling)
        if steps is parameters[-1][0]:
            prior = fitted_actnorm(x)
        found.append((new_steps, prior))
        x = x[..., x.shape[-1] // 2 :]  # a prior changes only what leaves
    return found


def to_logits(images, noise, levels):
    y = ALPHA + (1.0 - 2.0 * ALPHA) * (images.astype("float32") + noise) / levels
    low, high = jnp.log(y), jnp.log1p(-y)
    return low - high, (math.log(1.0 - 2.0 * ALPHA) - low - high).sum((1, 2, 3))


def loss(parameters, constants, images, noise, levels):
    """A bound in nats per image."""
    x, log_det = to_logits(images, noise, levels)
    log_prob = log_density(parameters, constants, x) + log_det
    return math.prod(images.shape[1:]) * math.log(levels) - log_prob.mean()


# === Training ===


def clipped(gradients, norm):
    squares = sum((gradient**2).sum() for gradient in jax.tree.leaves(gradients))
    scale = jnp.minimum(1.0, norm / jnp.sqrt(squares))
    return jax.tree.map(lambda gradient: gradient * scale, gradients)


def rate_at(step):
    warm = 1e-5 + (1e-3 - 1e-5) * step / 200
    return jnp.where(step < 200, warm, training.cosine(step - 200, 1e-3, steps=20_000, end=0.02))


class Baseline:
    """See `benchmarks.native`."""

    def __init__(self, image_shape, levels, scales=3, depth=8, base_channels=48):
        self.pixels = math.prod(image_shape)
        value_and_grad = jax.value_and_grad(functools.partial(loss, levels=levels))

        @functools.partial(jax.jit, donate_argnums=0)
        def step(state, constants, images, noise=None):
            parameters, adam, key = state
            if noise is None:
                key, noise = drawn(key, images.shape)
            value, gradients = value_and_grad(parameters, constants, images, noise)
            gradients = clipped(gradients, 100.0)
            adam, parameters = adam.update(gradients, parameters, rate_at(adam.count), epsilon=1e-3)
            bits = value / (self.pixels * math.log(2))
            return (parameters, adam, key), {"loss": value, "bits_per_dimension": bits}

        key = training.seed()
        parameters, self.constants = initial(key, image_shape, scales, depth, base_channels)
        self.state = parameters, training.Adam.start(parameters), key
        self._step = step
        self._data_dependent_init = jax.jit(functools.partial(data_dependent_init, levels=levels))
        self.started = False

    def load(self, weights):
        parameters, *others = self.state
        self.state = training.loaded(parameters, trainable(weights)), *others
        matrices = zip(fixed(weights, "permutation"), fixed(weights, "sign"), strict=True)
        self.constants = [(jnp.asarray(p), jnp.asarray(s)) for p, s in matrices]

    def step(self, images, *noise):
        if not self.started:
            self.fit(images, *noise)
        self.state, terms = self._step(self.state, self.constants, images, *noise)
        return terms

    def fit(self, images, noise=None):
        """Before the first step: the actnorms."""
        parameters, adam, key = self.state
        if noise is None:
            key, noise = drawn(key, images.shape)
        parameters = self._data_dependent_init(parameters, self.constants, images, noise)
        self.state = parameters, adam, key
        self.started = True

    def synchronise(self):
        jax.block_until_ready(self.state)


def drawn(key, shape):
    key, now = jax.random.split(key)
    return key, jax.random.uniform(now, shape)
