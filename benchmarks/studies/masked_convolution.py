"""Time the cropped masked convolution against the masked one, forward + backward.

    KERAS_BACKEND=jax python -m benchmarks.studies.masked_convolution [--against apart]

The masked form convolves by a whole kernel times a mask; kgen's leaves out the rows below the
centre. `--against apart` takes, instead of the masked form, one convolution of the rows above and
one of the current row, which leave out every tap that is zero. Both run in one process, compiled
where the backend compiles, by turns, on the same weights and images; their gradients are first
checked to agree. A ratio above 1 says that kgen is faster: it is the median over rounds of each
round's ratio, with its 95 % bootstrap interval. The raw samples go to
`benchmarks/records/masked_convolution-<against>-<backend>.json`.
"""

import argparse
import functools
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from benchmarks.studies.measuring import compare, interleaved
from kgen import backend
from kgen.layers import MaskedConv2D, shifted_down


class Case(NamedTuple):
    """Masked convolutions one after the other, on images (batch, height, width, channels)."""

    images: tuple
    filters: tuple
    kernel_size: int
    mask_type: str = "B"

    def __str__(self):
        images, kernel = "x".join(map(str, self.images)), f"{self.kernel_size}x{self.kernel_size}"
        return f"{kernel} {self.mask_type}, {images} -> {', '.join(map(str, self.filters))}"


CASES = [
    Case((64, 28, 28, 1), (64,), 7, "A"),
    Case((64, 28, 28, 32), (32,) * 7, 3),
    Case((64, 28, 28, 64), (64,) * 7, 3),
    Case((64, 28, 28, 32), (32,) * 3, 5),
]


class MaskedForm(keras.layers.Layer):
    """The same convolution with all k x k taps, those after the centre times zero."""

    def __init__(self, layer):
        super().__init__()
        above, own = layer.vertical.kernel, layer.horizontal.kernel
        size, (channels, filters) = layer.kernel_size, above.shape[2:]
        kernel = np.zeros((size, size, channels, filters), "float32")
        self.mask = np.zeros((size, size, 1, 1), "float32")
        half, taps = size // 2, own.shape[0]
        kernel[:half], kernel[half, :taps] = array(above), array(own)
        self.mask[:half], self.mask[half, :taps] = 1, 1
        self.kernel = self.add_weight(shape=kernel.shape)
        self.kernel.assign(kernel)
        self.bias = self.add_weight(shape=(filters,), initializer="zeros")
        self.built = True

    def call(self, images):
        kernel = self.kernel * self.mask
        outputs = backend.conv(images, kernel, (1, 1), "same", "channels_last", (1, 1))
        return outputs + self.bias


class Apart(keras.layers.Layer):
    """The same convolution as two, of the rows above and of the current row: no tap is zero."""

    def __init__(self, layer):
        super().__init__()
        self.parts = layer
        self.built = True

    def call(self, images):
        return self.parts.vertical(shifted_down(images)) + self.parts.horizontal(images)


class Stack(keras.Model):
    """Layers, and images as a weight, so that they too have a gradient."""

    def __init__(self, images, stack):
        super().__init__()
        self.stack = stack
        self.images = self.add_weight(shape=images.shape)
        self.images.assign(images)
        self.built = True

    def loss_of_outputs(self):
        outputs = self.images
        for layer in self.stack:
            outputs = layer(outputs)
        return ops.mean(ops.square(outputs)), ()

    def forward_backward(self):
        """A compiled function, without arguments: the gradients of the images and all weights."""
        return backend.compiled(
            self,
            lambda: backend.value_and_grad(
                self, self.loss_of_outputs, [self.images, *self.weights_of_layers()]
            )[1],
        )

    def weights_of_layers(self):
        return [weight for layer in self.stack for weight in layer.trainable_weights]


def array(tensor):
    return ops.convert_to_numpy(tensor)


FORMS = {"masked": MaskedForm, "apart": Apart}


def measure(against, case, warm_ups, repeats):
    """Seconds of every repeat: {against: [...], "cropped": [...]}."""
    images = np.random.default_rng(0).standard_normal(case.images).astype("float32")
    cropped, channels = [], case.images[-1]
    for filters in case.filters:
        cropped.append(MaskedConv2D(filters, case.kernel_size, case.mask_type))
        cropped[-1].build((None, None, None, channels))
        channels = filters
    functions = {
        against: Stack(images, [FORMS[against](layer) for layer in cropped]).forward_backward(),
        "cropped": Stack(images, cropped).forward_backward(),
    }
    expected, received = (array(function()[0]) for function in functions.values())
    np.testing.assert_allclose(received, expected, rtol=0, atol=1e-3 * np.abs(expected).max())
    return interleaved(functions, warm_ups, repeats)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--warm-ups", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--against", choices=FORMS, default="masked")
    options = parser.parse_args()
    name, heading = f"masked_convolution-{options.against}", f"{options.against} ms"
    of_form = functools.partial(measure, options.against)
    compare(name, ("convolutions", heading, "kgen ms"), CASES, of_form, options)


if __name__ == "__main__":
    main()
