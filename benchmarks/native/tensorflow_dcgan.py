"""The DCGAN in TensorFlow.

As in kgen, and in Goodfellow's algorithm 1, the generator's update draws noise of its own; many
codes save a pass by taking the images of the discriminator's update again. Here the moving
statistics, which no loss reads, also see the other player's update.
"""

import math

import tensorflow as tf

from . import pyramid_sizes, trainable
from . import tensorflow_training as training


class UpsampleConv(training.Layer):
    """Transposed convolution to a size; its kernel is (4, 4, outputs, inputs)."""

    def __init__(self, inputs, outputs, size, bias):
        super().__init__((4, 4, outputs, inputs), bias, outputs, normal)
        self.size = size

    def __call__(self, x):
        shape = (x.shape[0], *self.size, self.kernel.shape[2])
        return self.add_bias(tf.nn.conv2d_transpose(x, self.kernel, shape, 2))


class BatchNorm(tf.Module):
    def __init__(self, channels):
        super().__init__()
        self.scale, self.offset = tf.Variable(tf.ones(channels)), tf.Variable(tf.zeros(channels))
        self.mean = tf.Variable(tf.zeros(channels), trainable=False)
        self.variance = tf.Variable(tf.ones(channels), trainable=False)
        self.weights = [self.scale, self.offset]

    def __call__(self, x):
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            x,
            self.scale,
            self.offset,
            self.mean,
            self.variance,
            epsilon=1e-5,
            is_training=True,
            exponential_avg_factor=0.1,
        )
        self.mean.assign(mean)
        self.variance.assign(variance)
        return outputs


class Generator(tf.Module):
    def __init__(self, latent_size, image_shape, base_channels):
        super().__init__()
        *larger, self.size = pyramid_sizes(image_shape)
        depth = len(larger)
        inside = [base_channels * 2**level for level in reversed(range(depth))]  # [256, 128, 64]
        units = math.prod(self.size) * inside[0]
        self.project = training.Dense((latent_size, units), bias=False, initial=normal)
        self.blocks = []
        for level, inputs in enumerate(inside):
            last = level == depth - 1
            outputs = image_shape[-1] if last else inside[level + 1]
            doubling = UpsampleConv(inputs, outputs, larger[-1 - level], bias=last)
            self.blocks.append((BatchNorm(inputs), doubling))
        self.weights = training.weights_of([self.project, *sum(self.blocks, ())])

    def __call__(self, noise):
        count, (height, width) = noise.shape[0], self.size
        x = tf.reshape(self.project(noise), (count, height, width, -1))
        for norm, doubling in self.blocks:
            x = doubling(tf.nn.relu(norm(x)))
        return tf.tanh(x)


class Discriminator(tf.Module):
    def __init__(self, image_shape, base_channels):
        super().__init__()
        *larger, size = pyramid_sizes(image_shape)
        inside = [base_channels * 2**level for level in range(len(larger))]  # [64, 128, 256]
        self.first = training.Conv((4, 4, image_shape[-1], base_channels), initial=normal)
        self.blocks = [
            (
                training.Conv((4, 4, inputs, 2 * inputs), bias=False, initial=normal),
                BatchNorm(2 * inputs),
            )
            for inputs in inside[:-1]
        ]
        self.last = training.Dense((math.prod(size) * inside[-1], 1), initial=normal)
        self.weights = training.weights_of([self.first, *sum(self.blocks, ()), self.last])

    def __call__(self, images):
        x = tf.nn.leaky_relu(self.first(images, 2), 0.2)
        for conv, norm in self.blocks:
            x = tf.nn.leaky_relu(norm(conv(x, 2)), 0.2)
        return self.last(tf.reshape(x, (x.shape[0], -1)))


def normal(shape):
    return tf.random.normal(shape, 0.0, 0.02)


def cross_entropy(logits, target):
    labels = tf.fill(logits.shape, target)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))


class Baseline:
    """See `benchmarks.native`."""

    def __init__(self, image_shape, levels, compiled=False, latent_size=100, base_channels=64):
        self.levels, self.latent_size = levels, latent_size
        self.generator = Generator(latent_size, image_shape, base_channels)
        self.discriminator = Discriminator(image_shape, base_channels)
        self.generator_adam = adam(self.generator, 1e-3)
        self.discriminator_adam = adam(self.discriminator, 5e-4)
        self._compiled_step = tf.function(self._step, jit_compile=compiled)

    def load(self, weights):
        variables = [*self.generator.weights, *self.discriminator.weights]
        training.assign(variables, trainable(weights))

    def step(self, images, *noise):
        return self._compiled_step(images, noise)

    def _step(self, images, noise):
        noise = noise or tf.unstack(tf.random.normal((2, images.shape[0], self.latent_size)))
        return {
            "discriminator_loss": self.discriminator_update(images, noise[0]),
            "generator_loss": self.generator_update(noise[1]),
        }

    def discriminator_update(self, images, noise):
        fakes = self.generator(noise)
        with tf.GradientTape() as tape:
            real_loss = cross_entropy(self.discriminator(training.scaled(images, self.levels)), 1.0)
            loss = real_loss + cross_entropy(self.discriminator(fakes), 0.0)
        weights = self.discriminator.weights
        self.discriminator_adam.apply(tape.gradient(loss, weights))
        return loss

    def generator_update(self, noise):
        with tf.GradientTape() as tape:
            loss = cross_entropy(self.discriminator(self.generator(noise)), 1.0)
        weights = self.generator.weights
        self.generator_adam.apply(tape.gradient(loss, weights))
        return loss

    def synchronise(self):
        training.synchronise()


def adam(network, rate):
    return training.Adam(network.weights, lambda step: rate, beta1=0.5)
