"""The variational autoencoder in TensorFlow."""

import itertools
import math

import tensorflow as tf

from . import tensorflow_training as training
from . import trainable


class VAE(tf.Module):
    def __init__(self, image_shape, levels, latent_size, hidden):
        super().__init__()
        pixels = math.prod(image_shape)
        outputs = pixels if levels == 2 else 2 * pixels
        self.levels = levels
        self.output_shape = (-1, *image_shape[:2], outputs // math.prod(image_shape[:2]))
        self.encoder = layers(pixels, *hidden, 2 * latent_size)
        self.decoder = layers(latent_size, *reversed(hidden), outputs)

    def losses(self, images, noise):
        """The terms of the loss."""
        flat = tf.reshape(tf.cast(images, "float32"), (-1, math.prod(images.shape[1:])))
        flat /= self.levels - 1
        mean, log_variance = tf.split(applied(self.encoder, flat), 2, axis=1)
        latents = mean + tf.exp(0.5 * log_variance) * noise
        outputs = tf.reshape(applied(self.decoder, latents), self.output_shape)
        log_prob = tf.reduce_sum(self.log_prob(images, outputs), (1, 2, 3))
        squares = mean**2 + tf.exp(log_variance) - log_variance - 1.0
        reconstruction = -tf.reduce_mean(log_prob)
        kl = 0.5 * tf.reduce_mean(tf.reduce_sum(squares, 1))
        return {"loss": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}

    def log_prob(self, images, outputs):
        if self.levels == 2:
            labels = tf.cast(images, "float32")
            return -tf.nn.sigmoid_cross_entropy_with_logits(labels, outputs)
        return logistic_log_prob(images, *tf.split(outputs, 2, axis=-1), self.levels)


def layers(*units):
    return [training.Dense(shape) for shape in itertools.pairwise(units)]


def applied(layers, x):
    *hidden, last = layers
    for layer in hidden:
        x = tf.nn.relu(layer(x))
    return last(x)


def logistic_log_prob(images, location, log_scale, levels):
    """A logistic density integrated over the bin of each value; the outer bins are half-open."""
    half_bin = 1.0 / (levels - 1)
    inverse_scale = tf.exp(-tf.clip_by_value(log_scale, -7.0, 50.0))
    centred = training.scaled(images, levels) - location
    upper = (centred + half_bin) * inverse_scale
    lower = (centred - half_bin) * inverse_scale
    below = tf.math.log_sigmoid(upper)
    above = tf.math.log_sigmoid(-lower)
    inner = below + above + tf.math.log(-tf.math.expm1(-2.0 * half_bin * inverse_scale))
    highest = tf.where(images == levels - 1, above, inner)
    return tf.where(images == 0, below, highest)


class Baseline:
    """See `benchmarks.native`."""

    def __init__(self, image_shape, levels, compiled=False, latent_size=20, hidden=(500,)):
        self.latent_size = latent_size
        self.vae = VAE(image_shape, levels, latent_size, hidden)
        self.weights = training.weights_of([*self.vae.encoder, *self.vae.decoder])
        self.adam = training.Adam(self.weights, training.cosine(1.5e-3, steps=8000, end=0.1))
        self.step = tf.function(self._step, jit_compile=compiled)

    def load(self, weights):
        training.assign(self.weights, trainable(weights))

    def _step(self, images, noise=None):
        if noise is None:
            noise = tf.random.normal((images.shape[0], self.latent_size))
        with tf.GradientTape() as tape:
            terms = self.vae.losses(images, noise)
        self.adam.apply(tape.gradient(terms["loss"], self.weights))
        return terms

    def synchronise(self):
        training.synchronise()
