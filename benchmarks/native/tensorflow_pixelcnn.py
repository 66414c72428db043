"""The PixelCNN of grey images in TensorFlow.

Kernels are square and multiplied by a mask, as everybody writes them; kgen leaves out the rows
below the centre, and computes pointwise convolutions as matrix products.
"""

import numpy as np
import tensorflow as tf

from . import tensorflow_training as training
from . import trainable, whole_kernels


class MaskedConv(training.Conv):
    """Type "A" does not see the centre, "B" does."""

    def __init__(self, kind, inputs, outputs, size):
        super().__init__((size, size, inputs, outputs))
        mask, centre = np.ones((size, size, 1, 1), "float32"), size // 2
        mask[centre, centre + (kind == "B") :] = 0
        mask[centre + 1 :] = 0
        self.mask = tf.constant(mask)


class PixelCNN(tf.Module):
    def __init__(self, levels, features, blocks):
        super().__init__()
        self.levels, half = levels, features // 2
        self.first = MaskedConv("A", 1, features, 7)
        self.residual = [
            (pointwise(features, half), MaskedConv("B", half, half, 3), pointwise(half, features))
            for _ in range(blocks)
        ]
        self.last = [pointwise(features, features) for _ in range(2)]
        self.last.append(pointwise(features, 1 if levels == 2 else levels))
        self.layers = [self.first, *sum(self.residual, ()), *self.last]

    def loss(self, images):
        logits = self.logits(training.scaled(images, self.levels))  # (n, height, width, levels)
        if self.levels == 2:
            labels = tf.cast(images, "float32")
            nats = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
        else:
            labels = tf.cast(images[..., 0], "int32")
            nats = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        return tf.reduce_sum(nats) / images.shape[0]

    def logits(self, x):
        x = self.first(x)
        for layers in self.residual:
            inside = x
            for layer in layers:
                inside = layer(tf.nn.relu(inside))
            x = x + inside
        for layer in self.last:
            x = layer(tf.nn.relu(x))
        return x


def pointwise(inputs, outputs):
    return training.Conv((1, 1, inputs, outputs))


class Baseline:
    """See `benchmarks.native`."""

    def __init__(self, image_shape, levels, compiled=False, features=64, blocks=7):
        if image_shape[-1] != 1:
            raise ValueError(f"Expected grey images, received {image_shape}")
        self.network = PixelCNN(levels, features, blocks)
        self.weights = training.weights_of(self.network.layers)
        self.adam = training.Adam(self.weights, training.cosine(4e-3, steps=25_000, end=0.01))
        self.step = tf.function(self._step, jit_compile=compiled)

    def load(self, weights):
        training.assign(self.weights, whole_kernels(trainable(weights)))

    def _step(self, images):
        with tf.GradientTape() as tape:
            loss = self.network.loss(images)
        self.adam.apply(tape.gradient(loss, self.weights))
        return {"loss": loss}

    def synchronise(self):
        training.synchronise()
