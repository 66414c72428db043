"""EDM in TensorFlow.

kgen computes nearest upsampling and the convolution after it as one transposed convolution.
"""

import itertools
import math

import numpy as np
import tensorflow as tf

from . import tensorflow_training as training
from . import trainable

GROUPS = 8


class GroupNorm(tf.Module):
    def __init__(self, channels):
        super().__init__()
        self.scale, self.offset = tf.Variable(tf.ones(channels)), tf.Variable(tf.zeros(channels))
        self.weights = [self.scale, self.offset]

    def __call__(self, x):
        return normalised(x) * self.scale + self.offset


def normalised(x):
    groups = math.gcd(GROUPS, x.shape[-1])
    grouped = tf.reshape(x, (*x.shape[:3], groups, x.shape[-1] // groups))
    mean, variance = tf.nn.moments(grouped, (1, 2, 4), keepdims=True)
    return tf.reshape((grouped - mean) * tf.math.rsqrt(variance + 1e-5), x.shape)


class Attention(tf.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = GroupNorm(channels)
        self.inputs = training.Conv((1, 1, channels, 3 * channels))
        self.outputs = training.Conv((1, 1, channels, channels), initial=tf.zeros)
        self.weights = training.weights_of([self.norm, self.inputs, self.outputs])

    def __call__(self, x):
        count, height, width, channels = x.shape
        flat = tf.reshape(self.inputs(self.norm(x)), (count, height * width, 3 * channels))
        queries, keys, values = tf.split(flat, 3, axis=-1)
        scores = tf.matmul(queries, keys, transpose_b=True) / math.sqrt(channels)
        return x + self.outputs(tf.reshape(tf.matmul(tf.nn.softmax(scores), values), x.shape))


class Block(tf.Module):
    def __init__(self, inputs, outputs, embedding_size, attends):
        super().__init__()
        self.norm = GroupNorm(inputs)
        self.first = training.Conv((3, 3, inputs, outputs))
        self.modulation = training.Dense((embedding_size, 2 * outputs))
        self.second = training.Conv((3, 3, outputs, outputs), initial=tf.zeros)
        self.attention = Attention(outputs) if attends else None
        self.skip = training.Conv((1, 1, inputs, outputs)) if inputs != outputs else None
        layers = [self.norm, self.first, self.modulation, self.second, self.attention, self.skip]
        self.weights = training.weights_of(filter(None, layers))

    def __call__(self, x, embedding):
        h = self.first(tf.nn.silu(self.norm(x)))
        scale, shift = tf.split(self.modulation(embedding)[:, None, None], 2, axis=-1)
        h = self.second(tf.nn.silu(normalised(h) * (1.0 + scale) + shift))
        x = h + (self.skip(x) if self.skip else x)
        return self.attention(x) if self.attention else x


class UpsampleConv(training.Conv):
    def __call__(self, x, size):
        x = tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2)
        return super().__call__(x)[:, : size[0], : size[1]]


class UNet(tf.Module):
    def __init__(self, channels, base_channels, multipliers, blocks, attention):
        super().__init__()
        widths, size = [base_channels * m for m in multipliers], 4 * base_channels
        coarsest = len(widths) - 1

        def block(inputs, level, attends=True):
            attends = attends and attention > coarsest - level
            return Block(inputs, widths[level], size, attends)

        self.first = training.Conv((3, 3, channels, widths[0]))
        self.down, self.halved, self.up, self.doubled = [], [], [], []
        for level, width in enumerate(widths):
            before, after = widths[max(level - 1, 0)], widths[min(level + 1, coarsest)]
            inputs = [before, *[width] * (blocks - 1)]
            self.down.append([block(count, level) for count in inputs])
            self.up.append([block(2 * width, level) for _ in range(blocks)])
            if level < coarsest:
                self.halved.append(training.Conv((3, 3, width, width)))
                self.doubled.append(UpsampleConv((3, 3, after, width)))
        self.middle = [block(widths[-1], coarsest), block(widths[-1], coarsest, attends=False)]
        self.norm = GroupNorm(widths[0])
        self.last = training.Conv((3, 3, widths[0], channels), initial=tf.zeros)
        self.embed = [training.Dense((size, size)), training.Dense((size, size))]
        self.frequencies = np.geomspace(0.1, 16.0, size // 2, dtype="float32")
        down, up = itertools.chain(*self.down), itertools.chain(*self.up)
        self.weights = training.weights_of(
            [self.first, *down, *self.halved, *self.middle, *up, *self.doubled]
        ) + training.weights_of([self.norm, self.last, *self.embed])

    def __call__(self, x, times):
        angles = times[:, None] * self.frequencies
        embedding = tf.concat([tf.sin(angles), tf.cos(angles)], axis=-1)
        for dense in self.embed:
            embedding = tf.nn.silu(dense(embedding))
        x, skips = self.first(x), []
        for level, blocks in enumerate(self.down):
            for block in blocks:
                x = block(x, embedding)
                skips.append(x)
            if level < len(self.halved):
                x = self.halved[level](x, 2)
        for block in self.middle:
            x = block(x, embedding)
        for level in reversed(range(len(self.up))):
            for block in self.up[level]:
                x = block(tf.concat([x, skips.pop()], axis=-1), embedding)
            if level:
                x = self.doubled[level - 1](x, skips[-1].shape[1:3])
        return self.last(tf.nn.silu(self.norm(x)))


class Baseline:
    """See `benchmarks.native`."""

    def __init__(
        self,
        image_shape,
        levels,
        compiled=False,
        base_channels=32,
        multipliers=(1, 2, 2),
        blocks=1,
        attention=1,
    ):
        self.levels = levels
        self.network = UNet(image_shape[-1], base_channels, multipliers, blocks, attention)
        self.adam = training.Adam(self.network.weights, rate_at)
        self.averages = [tf.Variable(weight) for weight in self.network.weights]
        self.data = tf.Variable(0.0)  # root mean square of the images
        self.measured = False
        self._compiled_step = tf.function(self._step, jit_compile=compiled)

    def load(self, weights):
        training.assign(self.network.weights, trainable(weights))

    def step(self, images, *noise):
        if not self.measured:
            self.data.assign(tf.sqrt(tf.reduce_mean(self.values(images, 0.5) ** 2)))
            self.measured = True
        return self._compiled_step(images, noise)

    def _step(self, images, noise):
        if not noise:
            noise = [tf.random.uniform(images.shape), tf.random.uniform((1,))]
            noise += [tf.random.normal(images.shape)]
        place, first, noise = noise
        with tf.GradientTape() as tape:
            loss = self.loss(self.values(images, place), first, noise)
        gradients = tape.gradient(loss, self.network.weights)
        gradients, _ = tf.clip_by_global_norm(gradients, 1.0)
        kept = tf.minimum(0.999, self.adam.count / (self.adam.count + 10.0))
        self.adam.apply(gradients)
        for average, weight in zip(self.averages, self.network.weights, strict=True):
            average.assign_sub((1.0 - kept) * (average - weight))
        return {"loss": loss}

    def values(self, images, place):
        """Levels as floats from -1 to 1, at a place in each level's bin."""
        return (tf.cast(images, "float32") + place) * (2.0 / self.levels) - 1.0

    def loss(self, images, first, noise):
        """Mean squared error of the network's output."""
        count, data = images.shape[0], tf.identity(self.data)
        uniform = (first + tf.range(count, dtype="float32") / count) % 1.0
        normal = tf.math.ndtri(tf.clip_by_value(uniform, 1e-6, 1.0 - 1e-6))
        sigma = tf.exp(-1.2 + 1.2 * normal) * (data / 0.5)
        times, sigma = tf.math.log(sigma) / 4.0, sigma[:, None, None, None]
        scale = tf.math.rsqrt(sigma**2 + data**2)
        output = self.network(scale * (images + sigma * noise), times)
        target = scale * (sigma / data * images - data * noise)
        return tf.reduce_mean((output - target) ** 2)

    def synchronise(self):
        training.synchronise()


def rate_at(step):
    warm = 1e-5 + (1e-3 - 1e-5) * step / 500
    return tf.where(step < 500, warm, training.cosine(1e-3, steps=20_000, end=0.02)(step - 500))
