"""Glow in TensorFlow."""

import itertools
import math

import tensorflow as tf

from . import fixed, trainable
from . import tensorflow_training as training

ALPHA = 1e-3  # pixels become logits of alpha + (1 - 2 alpha) y


class ActNorm(tf.Module):
    def __init__(self, channels):
        super().__init__()
        self.bias = tf.Variable(tf.zeros(channels))
        self.log_scale = tf.Variable(tf.zeros(channels))
        self.weights = [self.bias, self.log_scale]

    def __call__(self, x):
        log_det = x.shape[1] * x.shape[2] * tf.reduce_sum(self.log_scale)
        return (x + self.bias) * tf.exp(self.log_scale), log_det

    def fit(self, x):
        """Leave this batch with mean 0 and variance 1."""
        mean, variance = tf.nn.moments(x, (0, 1, 2))
        self.bias.assign(-mean)
        self.log_scale.assign(-tf.math.log(tf.sqrt(variance) + 1e-6))


class InvertibleConv(tf.Module):
    """1x1 convolution by W = P L (U + diag(s)), at first a rotation."""

    def __init__(self, channels):
        super().__init__()
        rotation, _ = tf.linalg.qr(tf.random.normal((channels, channels)))
        factors, order = tf.linalg.lu(rotation)
        scale = tf.linalg.diag_part(factors)
        permutation = tf.transpose(tf.gather(tf.eye(channels), order))
        self.permutation = tf.Variable(permutation, trainable=False)
        self.sign = tf.Variable(tf.sign(scale), trainable=False)
        self.lower = tf.Variable(strictly_lower(factors))
        self.upper = tf.Variable(strictly_upper(factors))
        self.log_scale = tf.Variable(tf.math.log(tf.abs(scale)))
        self.weights = [self.lower, self.upper, self.log_scale]

    def __call__(self, x):
        lower = strictly_lower(self.lower) + tf.eye(x.shape[3])
        scale = tf.linalg.diag(self.sign * tf.exp(self.log_scale))
        weight = self.permutation @ lower @ (strictly_upper(self.upper) + scale)
        log_det = x.shape[1] * x.shape[2] * tf.reduce_sum(self.log_scale)
        return tf.nn.conv2d(x, tf.transpose(weight)[None, None], 1, "SAME"), log_det


def strictly_lower(matrix):
    return tf.linalg.set_diag(tf.linalg.band_part(matrix, -1, 0), tf.zeros(matrix.shape[0]))


def strictly_upper(matrix):
    return tf.linalg.set_diag(tf.linalg.band_part(matrix, 0, -1), tf.zeros(matrix.shape[0]))


class AffineCoupling(tf.Module):
    """Changes the first half of the channels, given the others."""

    def __init__(self, channels, base_channels):
        super().__init__()
        changed = channels // 2
        seen = channels - changed
        self.parts = changed, seen
        self.layers = []
        if base_channels:
            self.layers.append(training.Conv((3, 3, seen, base_channels), initial=he_normal))
            self.layers.append(
                training.Conv((1, 1, base_channels, base_channels), initial=he_normal)
            )
        self.layers.append(
            training.Conv((3, 3, base_channels or seen, 2 * changed), initial=tf.zeros)
        )
        self.weights = training.weights_of(self.layers)

    def __call__(self, x):
        changed, seen = tf.split(x, self.parts, axis=-1)
        *hidden, last = self.layers
        h = seen
        for layer in hidden:
            h = tf.nn.relu(layer(h))
        log_scale, shift = tf.split(last(h), 2, axis=-1)
        log_scale = 2.0 * tf.tanh(log_scale / 2.0)
        y = tf.concat([changed * tf.exp(log_scale) + shift, seen], axis=-1)
        return y, tf.reduce_sum(log_scale, (1, 2, 3))


def he_normal(shape):
    return tf.random.normal(shape, 0.0, math.sqrt(2.0 / math.prod(shape[:-1])))


class Squeeze(tf.Module):
    weights = ()

    def __call__(self, x):
        return tf.nn.space_to_depth(x, 2), 0.0


class Glow(tf.Module):
    def __init__(self, image_shape, levels, scales, depth, base_channels):
        super().__init__()
        self.levels = levels
        height, width, channels = image_shape
        self.scales = []
        for scale in range(scales):
            steps = []
            if height % 2 == width % 2 == 0:
                height, width, channels = height // 2, width // 2, 4 * channels
                steps.append(Squeeze())
            for _ in range(depth):
                steps += [ActNorm(channels), InvertibleConv(channels)]
                steps.append(AffineCoupling(channels, base_channels))
            last = scale == scales - 1
            steps.append(ActNorm(channels) if last else AffineCoupling(channels, 0))
            self.scales.append(steps)
            channels -= channels // 2
        self.steps = list(itertools.chain(*self.scales))
        self.weights = training.weights_of(self.steps)

    def loss(self, images, noise):
        """A bound in nats per image."""
        x, log_prob = self.to_logits(images, noise)
        for number, steps in enumerate(self.scales):
            for step in steps:
                x, log_det = step(x)
                log_prob += log_det
            leaving, x = self.leave(number, x)
            log_prob -= 0.5 * tf.reduce_sum(leaving**2 + math.log(2 * math.pi), (1, 2, 3))
        pixels = math.prod(images.shape[1:])
        return pixels * math.log(self.levels) - tf.reduce_mean(log_prob)

    def to_logits(self, images, noise):
        y = ALPHA + (1.0 - 2.0 * ALPHA) * (tf.cast(images, "float32") + noise) / self.levels
        low, high = tf.math.log(y), tf.math.log1p(-y)
        return low - high, tf.reduce_sum(math.log(1.0 - 2.0 * ALPHA) - low - high, (1, 2, 3))

    def leave(self, number, x):
        """The channels that become latents after this scale, and the others."""
        channels = x.shape[-1]
        leaving = channels if number == len(self.scales) - 1 else channels // 2
        return x[..., :leaving], x[..., leaving:]

    def fit(self, images, noise):
        """Set every actnorm by its inputs."""
        x, _ = self.to_logits(images, noise)
        for number, steps in enumerate(self.scales):
            for step in steps:
                if isinstance(step, ActNorm):
                    step.fit(x)
                x, _ = step(x)
            _, x = self.leave(number, x)


class Baseline:
    """See `benchmarks.native`."""

    def __init__(self, image_shape, levels, compiled=False, scales=3, depth=8, base_channels=48):
        self.network = Glow(image_shape, levels, scales, depth, base_channels)
        self.weights = self.network.weights
        self.adam = training.Adam(self.weights, rate_at, epsilon=1e-3)
        self._compiled_step = tf.function(self._step, jit_compile=compiled)
        self.started = False

    def load(self, weights):
        training.assign(self.weights, trainable(weights))
        convolutions = [s for s in self.network.steps if isinstance(s, InvertibleConv)]
        training.assign([c.permutation for c in convolutions], fixed(weights, "permutation"))
        training.assign([c.sign for c in convolutions], fixed(weights, "sign"))

    def step(self, images, noise=None):
        if not self.started:
            first = tf.random.uniform(images.shape) if noise is None else noise
            self.network.fit(images, first)
            self.started = True
        return self._compiled_step(images, noise)

    def _step(self, images, noise):
        if noise is None:
            noise = tf.random.uniform(images.shape)
        with tf.GradientTape() as tape:
            loss = self.network.loss(images, noise)
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, self.weights), 100.0)
        self.adam.apply(gradients)
        bits = loss / (math.prod(images.shape[1:]) * math.log(2))
        return {"loss": loss, "bits_per_dimension": bits}

    def synchronise(self):
        training.synchronise()


def rate_at(step):
    warm = 1e-5 + (1e-3 - 1e-5) * step / 200.0
    return tf.where(step < 200.0, warm, training.cosine(1e-3, 20_000, 0.02)(step - 200.0))
