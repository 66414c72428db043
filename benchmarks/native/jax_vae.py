"""The variational autoencoder in JAX."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp

from . import jax_training as training
from . import trainable

# === Network: parameters are ([(kernel, bias)] of the encoder, [(kernel, bias)] of the decoder) ===


def initial(key, pixels, levels, latent_size, hidden):
    outputs = pixels if levels == 2 else 2 * pixels
    keys = jax.random.split(key)
    return (
        initial_perceptron(keys[0], pixels, *hidden, 2 * latent_size),
        initial_perceptron(keys[1], latent_size, *reversed(hidden), outputs),
    )


def initial_perceptron(key, *units):
    keys = jax.random.split(key, len(units) - 1)
    shapes = itertools.pairwise(units)
    return [
        (training.glorot(key, shape), jnp.zeros(shape[1:]))
        for key, shape in zip(keys, shapes, strict=True)
    ]


def perceptron(layers, x):
    *hidden, (kernel, bias) = layers
    for weights, offsets in hidden:
        x = jax.nn.relu(x @ weights + offsets)
    return x @ kernel + bias


# === Loss ===


def loss(parameters, images, noise, levels):
    encoder, decoder = parameters
    flat = images.reshape(len(images), -1) / (levels - 1)
    mean, log_variance = jnp.split(perceptron(encoder, flat), 2, axis=1)
    latents = mean + jnp.exp(0.5 * log_variance) * noise
    outputs = perceptron(decoder, latents).reshape(*images.shape[:3], -1)
    log_prob = bernoulli_log_prob if levels == 2 else logistic_log_prob
    reconstruction = -log_prob(images, outputs, levels).sum((1, 2, 3)).mean()
    kl = 0.5 * (mean**2 + jnp.exp(log_variance) - log_variance - 1.0).sum(1).mean()
    total = reconstruction + kl
    return total, {"loss": total, "reconstruction": reconstruction, "kl": kl}


def bernoulli_log_prob(images, logits, levels):
    return images * logits - jax.nn.softplus(logits)


def logistic_log_prob(images, outputs, levels):
    """A logistic density integrated over the bin of each value; the outer bins are half-open."""
    location, log_scale = jnp.split(outputs, 2, axis=-1)
    half_bin = 1.0 / (levels - 1)
    inverse_scale = jnp.exp(-jnp.clip(log_scale, -7.0, 50.0))
    centred = training.scaled(images, levels) - location
    upper = (centred + half_bin) * inverse_scale
    lower = (centred - half_bin) * inverse_scale
    below = jax.nn.log_sigmoid(upper)
    above = jax.nn.log_sigmoid(-lower)
    inner = below + above + jnp.log(-jnp.expm1(-2.0 * half_bin * inverse_scale))
    highest = jnp.where(images == levels - 1, above, inner)
    return jnp.where(images == 0, below, highest)


# === Training ===


class Baseline:
    """See `benchmarks.native`."""

    def __init__(self, image_shape, levels, latent_size=20, hidden=(500,)):
        gradient = jax.grad(functools.partial(loss, levels=levels), has_aux=True)

        @functools.partial(jax.jit, donate_argnums=0)
        def step(state, images, noise=None):
            parameters, adam, key = state
            if noise is None:
                key, now = jax.random.split(key)
                noise = jax.random.normal(now, (len(images), latent_size))
            gradients, terms = gradient(parameters, images, noise)
            rate = training.cosine(adam.count, 1.5e-3, steps=8000, end=0.1)
            adam, parameters = adam.update(gradients, parameters, rate)
            return (parameters, adam, key), terms

        key = training.seed()
        parameters = initial(key, math.prod(image_shape), levels, latent_size, hidden)
        self.state = parameters, training.Adam.start(parameters), key
        self._step = step

    def load(self, weights):
        parameters, *others = self.state
        self.state = training.loaded(parameters, trainable(weights)), *others

    def step(self, images, *noise):
        self.state, terms = self._step(self.state, images, *noise)
        return terms

    def synchronise(self):
        jax.block_until_ready(self.state)
