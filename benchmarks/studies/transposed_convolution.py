"""Time kgen's convolutions against Keras' own, forward + backward, on the backend of KERAS_BACKEND.

    KERAS_BACKEND=jax python -m benchmarks.studies.transposed_convolution

Both run in one process, compiled where the backend compiles, by turns, on the same weights and
images; their gradients, with respect to both, are first checked to agree. A ratio above 1 says that
kgen is faster: it is the median over rounds of each round's ratio, with its 95 % bootstrap
interval. The raw samples go to `benchmarks/records/transposed_convolution-<backend>.json`.
"""

import argparse
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

import kgen.layers
from benchmarks.studies.measuring import compare, interleaved
from kgen import backend


class Case(NamedTuple):
    """Layers one after the other, on images (batch, height, width, channels)."""

    layer: str
    images: tuple
    filters: tuple
    kernel_size: int
    strides: int = 2

    def __str__(self):
        images = "x".join(map(str, self.images))
        filters = ", ".join(map(str, self.filters))
        kernel = f"{self.kernel_size}x{self.kernel_size}/{self.strides}"
        return f"{self.layer} {kernel}, {images} -> {filters}"


def dcgan_cases(batch, kernel_size):
    """The DCGAN for 28x28 grey images: its generator, each layer of it, its discriminator."""
    return [
        Case("Conv2DTranspose", (batch, 7, 7, 128), (64, 1), kernel_size),
        Case("Conv2DTranspose", (batch, 7, 7, 128), (64,), kernel_size),
        Case("Conv2DTranspose", (batch, 14, 14, 64), (1,), kernel_size),
        Case("Conv2D", (batch, 28, 28, 1), (64, 128), kernel_size),
    ]


CASES = [
    *dcgan_cases(batch=64, kernel_size=4),
    *dcgan_cases(batch=64, kernel_size=5),
    *dcgan_cases(batch=128, kernel_size=4),
    Case("Conv2DTranspose", (8, 4, 4, 512), (256, 128, 64, 3), 4),  # DCGAN, 64x64 in colour
    Case("Conv2D", (8, 64, 64, 3), (64, 128, 256, 512), 4),
    Case("Conv2D", (64, 28, 28, 64), (64,), 3, strides=1),  # inside a PixelCNN or U-Net
]


class Stack(keras.Model):
    """The layers of a case, and its images as a weight, so that they too have a gradient."""

    def __init__(self, case, package):
        super().__init__()
        layer = getattr(package, case.layer)
        options = {"strides": case.strides, "padding": "same"}
        self.stack = [layer(filters, case.kernel_size, **options) for filters in case.filters]
        self.images = self.add_weight(shape=case.images, initializer="random_normal")
        shape = case.images
        for layer in self.stack:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def loss_of_outputs(self):
        outputs = self.images
        for layer in self.stack:
            outputs = layer(outputs)
        return ops.mean(ops.square(outputs)), ()

    def forward_backward(self):
        """A compiled function, without arguments, that returns the gradients of the loss."""
        return backend.compiled(
            self,
            lambda: backend.value_and_grad(self, self.loss_of_outputs, self.trainable_variables)[1],
        )


def measure(case, warm_ups, repeats):
    """Seconds of every repeat: {"keras": [...], "kgen": [...]}."""
    keras_stack, kgen_stack = Stack(case, keras.layers), Stack(case, kgen.layers)
    kgen_stack.set_weights(keras_stack.get_weights())
    functions = {"keras": keras_stack.forward_backward(), "kgen": kgen_stack.forward_backward()}
    check_equal(functions["keras"](), functions["kgen"]())
    return interleaved(functions, warm_ups, repeats)


def check_equal(keras_gradients, kgen_gradients):
    for expected, ours in zip(keras_gradients, kgen_gradients, strict=True):
        expected, ours = ops.convert_to_numpy(expected), ops.convert_to_numpy(ours)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-3 * scale)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--warm-ups", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=40)
    options = parser.parse_args()
    compare("transposed_convolution", ("layers", "Keras ms", "kgen ms"), CASES, measure, options)


if __name__ == "__main__":
    main()
