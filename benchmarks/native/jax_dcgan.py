"""The DCGAN in JAX.

As in kgen, and in Goodfellow's algorithm 1, the generator's update draws noise of its own; many
codes save a pass by taking the images of the discriminator's update again. Transposed convolutions
are JAX's, whose gradients XLA computes slowly on CPUs; kgen has others there. Here the moving
statistics, which no loss reads, also see the other player's update.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from . import jax_training as training
from . import pyramid_sizes, trainable

# === Networks: lists of their arrays, and the moving (mean, variance) of each normalisation ===


def initial_generator(key, latent_size, image_shape, base_channels):
    *larger, size = pyramid_sizes(image_shape)
    depth = len(larger)
    channels = [base_channels * 2**level for level in reversed(range(depth))]  # [256, 128, 64]
    outputs = [*channels[1:], image_shape[-1]]
    keys = jax.random.split(key, depth + 1)
    parameters = [normal(keys[0], (latent_size, math.prod(size) * channels[0]))]
    for key, before, after in zip(keys[1:], channels, outputs, strict=True):
        parameters.append((jnp.ones(before), jnp.zeros(before)))
        parameters.append(normal(key, (4, 4, before, after)))
    return [*parameters, jnp.zeros(image_shape[-1])], list(map(initial_statistics, channels))


def generate(parameters, statistics, noise, sizes):
    project, *blocks, bias = parameters
    smallest, *sizes = sizes  # [(4, 4), (7, 7), (14, 14), (28, 28)]
    x = (noise @ project).reshape(len(noise), *smallest, -1)
    moved = []
    blocks = zip(blocks[::2], blocks[1::2], statistics, sizes, strict=True)
    for norm, kernel, moving, (height, width) in blocks:
        x, new = batch_norm(x, norm, moving)
        moved.append(new)
        x = lax.conv_transpose(
            jax.nn.relu(x), kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )[:, :height, :width]
    return jnp.tanh(x + bias), moved


def initial_discriminator(key, image_shape, base_channels):
    *larger, size = pyramid_sizes(image_shape)
    depth = len(larger)
    channels = [base_channels * 2**level for level in range(depth)]  # [64, 128, 256]
    keys = jax.random.split(key, depth + 1)
    parameters = [normal(keys[0], (4, 4, image_shape[-1], base_channels)), jnp.zeros(base_channels)]
    for key, before, after in zip(keys[1:-1], channels[:-1], channels[1:], strict=True):
        parameters += [normal(key, (4, 4, before, after)), (jnp.ones(after), jnp.zeros(after))]
    parameters += [normal(keys[-1], (math.prod(size) * channels[-1], 1)), jnp.zeros(1)]
    return parameters, list(map(initial_statistics, channels[1:]))


def discriminate(parameters, statistics, images):
    kernel, bias, *blocks, last_kernel, last_bias = parameters
    x = jax.nn.leaky_relu(training.conv(images, kernel, 2) + bias, 0.2)
    moved = []
    for kernel, norm, moving in zip(blocks[::2], blocks[1::2], statistics, strict=True):
        x, new = batch_norm(training.conv(x, kernel, 2), norm, moving)
        moved.append(new)
        x = jax.nn.leaky_relu(x, 0.2)
    return x.reshape(len(x), -1) @ last_kernel + last_bias, moved


def batch_norm(x, parameters, moving):
    scale, offset = parameters
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    outputs = (x - mean) * (scale * lax.rsqrt(variance + 1e-5)) + offset
    moved = [0.9 * old + 0.1 * new for old, new in zip(moving, (mean, variance), strict=True)]
    return outputs, moved


def initial_statistics(channels):
    return [jnp.zeros(channels), jnp.ones(channels)]


def normal(key, shape):
    return 0.02 * jax.random.normal(key, shape)


# === Losses ===


def discriminator_loss(discriminator, generator, statistics, images, noise, sizes):
    of_generator, of_discriminator = statistics
    fakes, of_generator = generate(generator, of_generator, noise, sizes)
    real_logits, of_discriminator = discriminate(discriminator, of_discriminator, images)
    fake_logits, of_discriminator = discriminate(discriminator, of_discriminator, fakes)
    loss = jax.nn.softplus(-real_logits).mean() + jax.nn.softplus(fake_logits).mean()
    return loss, (of_generator, of_discriminator)


def generator_loss(generator, discriminator, statistics, noise, sizes):
    of_generator, of_discriminator = statistics
    fakes, of_generator = generate(generator, of_generator, noise, sizes)
    logits, of_discriminator = discriminate(discriminator, of_discriminator, fakes)
    return jax.nn.softplus(-logits).mean(), (of_generator, of_discriminator)


# === Training ===


class Baseline:
    """See `benchmarks.native`."""

    def __init__(self, image_shape, levels, latent_size=100, base_channels=64):
        sizes = tuple(reversed(pyramid_sizes(image_shape)))
        update = functools.partial(jax.value_and_grad, has_aux=True)
        discriminator_update = update(functools.partial(discriminator_loss, sizes=sizes))
        generator_update = update(functools.partial(generator_loss, sizes=sizes))

        @functools.partial(jax.jit, donate_argnums=0)
        def step(state, images, *noise):
            (generator, discriminator), (g_adam, d_adam), statistics, key = state
            if not noise:
                key, now = jax.random.split(key)
                noise = jax.random.normal(now, (2, len(images), latent_size))
            images = training.scaled(images, levels)
            (d_loss, statistics), gradients = discriminator_update(
                discriminator, generator, statistics, images, noise[0]
            )
            d_adam, discriminator = d_adam.update(gradients, discriminator, 5e-4, beta1=0.5)
            (g_loss, statistics), gradients = generator_update(
                generator, discriminator, statistics, noise[1]
            )
            g_adam, generator = g_adam.update(gradients, generator, 1e-3, beta1=0.5)
            state = (generator, discriminator), (g_adam, d_adam), statistics, key
            return state, {"discriminator_loss": d_loss, "generator_loss": g_loss}

        keys = jax.random.split(training.seed(), 3)
        generator, of_generator = initial_generator(
            keys[0], latent_size, image_shape, base_channels
        )
        discriminator, of_discriminator = initial_discriminator(keys[1], image_shape, base_channels)
        players, statistics = (generator, discriminator), (of_generator, of_discriminator)
        self.state = players, tuple(map(training.Adam.start, players)), statistics, keys[2]
        self.depth = len(of_generator)
        self._step = step

    def load(self, weights):
        project, *arrays = trainable(weights)
        # Keras' transposed convolutions are the gradients of ordinary ones, JAX's are not: their
        # kernels are turned around.
        of_generator, of_discriminator = arrays[: 3 * self.depth + 1], arrays[3 * self.depth + 1 :]
        turned = [a[::-1, ::-1].swapaxes(2, 3) if a.ndim == 4 else a for a in of_generator]
        players, *others = self.state
        self.state = training.loaded(players, [project, *turned, *of_discriminator]), *others

    def step(self, images, *noise):
        self.state, terms = self._step(self.state, images, *noise)
        return terms

    def synchronise(self):
        jax.block_until_ready(self.state)
