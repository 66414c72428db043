"""Time kgen's U-Net against one with Keras' own parts, forward + backward, by turns.

    KERAS_BACKEND=jax python -m benchmarks.studies.unet

Each case replaces one part of the network by what Keras has for it: group normalisation, or
upsampling by repetition and then a convolution. Weights, images and embeddings are the same, and
the gradients are first checked to agree. A ratio above 1 says that kgen's part is faster: it is the
median over rounds of each round's ratio, with its 95 % bootstrap interval. The raw samples go to
`benchmarks/records/unet-<backend>.json`.
"""

import argparse
import contextlib
import functools
from typing import NamedTuple
from unittest import mock

import keras
import numpy as np
from keras import ops

from benchmarks.studies.measuring import compare, interleaved
from kgen import backend, layers
from kgen.layers import unet

EMBEDDING = 128


class Case(NamedTuple):
    """A part of the U-Net, and images (batch, height, width, channels)."""

    part: str
    images: tuple

    def __str__(self):
        return f"{self.part}, {'x'.join(map(str, self.images))}"


CASES = [
    Case(part, images)
    for images in ((128, 28, 28, 1), (32, 32, 32, 3))
    for part in ("normalisation", "upsampling")
]


class RepeatingConv(layers.NearestUpsampleConv):
    """Repetition, then a convolution."""

    def call(self, x, size):
        x = ops.repeat(ops.repeat(x, 2, axis=1), 2, axis=2)
        x = backend.conv(x, self.kernel, (1, 1), "same", "channels_last", (1, 1), bias=self.bias)
        return x[:, : size[0], : size[1]]


@functools.cache
def keras_layer(groups, channels):
    layer = keras.layers.GroupNormalization(groups, epsilon=1e-5, scale=False, center=False)
    layer.build((None, None, None, channels))
    return layer


def normalised_by_keras(self, x, scale, offset):
    if len(scale.shape) == 2:
        scale, offset = scale[:, None, None], offset[:, None, None]
    return keras_layer(self.groups, x.shape[-1])(x) * scale + offset


def with_keras_part(part):
    """Context in which the U-Net has a part of Keras."""
    if part == "normalisation":
        return mock.patch.object(layers.GroupNormalization, "normalised", normalised_by_keras)
    return mock.patch.object(unet, "NearestUpsampleConv", RepeatingConv)


class Step(keras.Model):
    """A U-Net with random weights, and its images as a weight, so that they have a gradient."""

    def __init__(self, case):
        super().__init__()
        self.images = self.add_weight(shape=case.images, initializer="random_normal")
        channels = case.images[-1]
        self.unet = layers.UNet(case.images[1:], 32, (1, 2, 2), 1, 1, EMBEDDING, channels)
        self.embedding = np.random.default_rng(0).standard_normal((case.images[0], EMBEDDING))
        generator = np.random.default_rng(1)
        for weight in self.trainable_variables:
            drawn = generator.standard_normal(weight.shape)
            fan_in = np.prod(weight.shape[:-1]) if len(weight.shape) > 1 else 4.0
            weight.assign(drawn / np.sqrt(1.0 if weight is self.images else fan_in))

    def loss_of_outputs(self):
        outputs = self.unet(self.images, ops.convert_to_tensor(self.embedding, "float32"))
        return ops.mean(ops.square(outputs)), ()

    def gradients(self):
        return backend.value_and_grad(self, self.loss_of_outputs, self.trainable_variables)[1]


def measure(case, warm_ups, repeats):
    """Seconds of every repeat: {"keras": [...], "kgen": [...]}."""

    def function(context):
        with context():
            step = Step(case)
        gradients = backend.compiled(step, step.gradients)

        def call():
            with context():  # PyTorch runs the layers anew at every call
                return gradients()

        return call

    of_keras = functools.partial(with_keras_part, case.part)
    functions = {"keras": function(of_keras), "kgen": function(contextlib.nullcontext)}
    for expected, ours in zip(*(function() for function in functions.values()), strict=True):
        expected, ours = ops.convert_to_numpy(expected), ops.convert_to_numpy(ours)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-3 * np.abs(expected).max())
    return interleaved(functions, warm_ups, repeats)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--warm-ups", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    compare("unet", ("part", "Keras ms", "kgen ms"), CASES, measure, options)


if __name__ == "__main__":
    main()
