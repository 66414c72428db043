"""Gated PixelCNN, unconditional or given a class.

Aaron van den Oord, Nal Kalchbrenner, Oriol Vinyals, Lasse Espeholt, Alex Graves, Koray Kavukcuoglu:
Conditional Image Generation with PixelCNN Decoders. 2016, arXiv:1606.05328.

The probability of an image is the product over its pixels, rows first, then columns, then colours,

    log p(x|h) = sum over i of log p(x_i | x_1, ..., x_i-1, h)                      (equations 1, 3)

with all factors computed at once by two stacks of convolutions (figure 2). The vertical stack sees
the rows above a pixel in full width, which plain masked convolutions do not: no blind spot. The
horizontal stack sees what lies left of it in its row, and takes from the vertical stack, whose row
it is below. Layers of both are gated; a class h adds a bias of its own to each (equations 2, 4),

    y = tanh(W_f * x + V_f h) sigmoid(W_g * x + V_g h).

Deviations: Adam with a rate that falls instead of RMSProp; narrower and fewer layers than the
paper's for photographs; a feature belongs to the colour of its number modulo 3, not to one of three
contiguous parts.
"""

from typing import Annotated

import keras
from keras import layers, ops

from kgen.bounds import Bounds, Count, ImageShape, Levels, Repeats
from kgen.layers import HorizontalConv2D, VerticalConv2D
from kgen.models.autoregressive.base import Autoregressive, built
from kgen.spaces import Labels


@keras.saving.register_keras_serializable("kgen")
class GatedPixelCNN(Autoregressive):
    """Gated PixelCNN (van den Oord et al. 2016).

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel; Bernoulli pixels for 2, else a softmax over all values.
        features: channels of either stack, rounded up to a multiple of the image's.
        blocks: gated layers of either stack; the first is 7 wide, the others 3.
        classes: number of labels the images are drawn given; 0 for none.

    Metrics: `loss`, the negative log-likelihood in nats per image.
    """

    conditional = True
    small_arguments = {"features": 6, "blocks": 2, "classes": 10}

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        features: Count = 32,
        blocks: Repeats = 6,
        classes: Annotated[int, Bounds(0, 65_536)] = 0,
        **kwargs,
    ):
        self.classes = classes
        super().__init__(image_shape, levels, **kwargs)
        self.features = features
        self.blocks = blocks
        colours = self.colours
        width = -(-features // colours) * colours  # both halves of a gate have the same colours

        def pointwise(inputs, outputs, **kwargs):
            return built(HorizontalConv2D(outputs, 1, "B", colours, **kwargs), inputs)

        self.vertical, self.link, self.horizontal, self.residual = [], [], [], []
        for block in range(blocks):
            first = block == 0
            inputs, size = (colours, 7) if first else (width, 3)
            mask_type, before_gate = "A" if first else "B", {"kernel_initializer": twice_glorot()}
            vertical = VerticalConv2D(2 * width, size // 2 + 1, size, **before_gate)
            link = HorizontalConv2D(2 * width, 1, "B", **before_gate)
            horizontal = HorizontalConv2D(2 * width, size, mask_type, colours, **before_gate)
            self.vertical.append(built(vertical, inputs))
            self.link.append(built(link, 2 * width))
            self.horizontal.append(built(horizontal, inputs))
            self.residual.append(pointwise(width, width))
        self.first = self.horizontal[0]
        self.last = pointwise(width, width)
        self.output_layer = pointwise(width, self.parameters_per_pixel, dtype="float32")
        if classes:
            self.class_biases = layers.Embedding(classes, 2 * blocks * 2 * width)
            self.class_biases.build()

    @property
    def condition_space(self):
        return Labels(self.classes) if self.classes else None

    def embed(self, condition=None):
        """Biases (n, 2 * width) of the layers: a list for each stack."""
        if not self.classes:
            return [[None] * self.blocks] * 2
        biases = ops.split(self.class_biases(condition), 2 * self.blocks, axis=-1)
        return biases[: self.blocks], biases[self.blocks :]

    def vertical_stack(self, apply, x, embedded):
        features = {}
        for vertical, link, bias in zip(self.vertical, self.link, embedded[0], strict=True):
            x = with_bias(apply(vertical, x), bias)
            features[link.name] = apply(link, x)
            x = gate(x)
        return features

    def network(self, apply, x, embedded):
        stack = zip(self.horizontal, self.link, self.residual, embedded[1], strict=True)
        for horizontal, link, residual, bias in stack:
            inputs = x
            x = apply(
                residual,
                gate(with_bias(apply(horizontal, x) + apply.vertical_features[link.name], bias)),
            )
            if horizontal is not self.first:  # which must not see the pixel itself
                x = x + inputs
        x = apply(self.last, ops.relu(x))
        return apply(self.output_layer, ops.relu(x))


def twice_glorot():
    """Larger kernels before a gate, which passes on a third of a standard deviation."""
    return keras.initializers.VarianceScaling(4.0, mode="fan_avg", distribution="uniform")


def gate(x):
    activation, gate = ops.split(x, 2, axis=-1)
    return ops.tanh(activation) * ops.sigmoid(gate)


def with_bias(x, bias):
    """x (n, ..., channels) + bias (n, channels) of each image, if there is one."""
    if bias is None:
        return x
    return x + ops.reshape(bias, (-1, *[1] * (len(x.shape) - 2), bias.shape[-1]))
