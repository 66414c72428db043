"""Gated PixelCNN, given class labels, captions, attributes or nothing.

Aaron van den Oord, Nal Kalchbrenner, Oriol Vinyals, Lasse Espeholt, Alex Graves, Koray Kavukcuoglu:
Conditional Image Generation with PixelCNN Decoders. 2016, arXiv:1606.05328.

The probability of an image is a product over its pixels, in raster order: rows first, then columns,
then channels (equations 1 and 3). The class h, or the vector of another condition, is given:

    log p(x|h) = sum over i of log p(x_i | x_1, ..., x_i-1, h)

Two stacks of convolutions compute all factors in one pass (figure 2). The vertical stack sees the
rows above a pixel in full width. Plain masked convolutions do not: they have a blind spot. The
horizontal stack sees the pixels to the left in the same row, and takes the vertical stack's
features of the row above. Layers of both stacks are gated; the class h adds a bias to each
(equations 2 and 4):

    y = tanh(W_f * x + V_f h) sigmoid(W_g * x + V_g h)

Deviations: Adam with a decaying rate instead of RMSProp; narrower and fewer layers than the paper's
for photographs; feature i belongs to channel i modulo 3, not to one of three contiguous
parts.
"""

import keras
from keras import layers, ops

from kgen.bounds import Count, ImageShape, Levels, Repeats
from kgen.layers import ConditionEmbedding, HorizontalConv2D, VerticalConv2D
from kgen.models.autoregressive.convolutional import ConvolutionalAutoregressive, built
from kgen.spaces import Labels
from kgen.training import Given

CONDITION_SIZE = 64  # of the vector of a condition that is no label


@keras.saving.register_keras_serializable("kgen")
class GatedPixelCNN(Given, ConvolutionalAutoregressive):
    """Gated PixelCNN (van den Oord et al. 2016).

    Aaron van den Oord et al.: Conditional Image Generation with PixelCNN Decoders. 2016,
    arXiv:1606.05328. Maximises the exact log-likelihood, given the class h (equation 3):

        log p(x|h) = sum over i of log p(x_i | x_1, ..., x_i-1, h)

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel; Bernoulli pixels for 2, else a softmax over all values.
        features: channels of each stack, rounded up to a multiple of the image's channels.
        blocks: gated layers of each stack; kernels are 7 wide in the first, 3 in the others.
        kwargs: classes, attributes, words and length, what is given, see `Given`.

    Metrics: `loss`, the negative log-likelihood in nats per image.
    """

    small_arguments = {"features": 6, "blocks": 2, "classes": 10}

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        features: Count = 32,
        blocks: Repeats = 6,
        **kwargs,
    ):
        super().__init__(image_shape, levels, **kwargs)
        self.features = features
        self.blocks = blocks
        channels = self.channels
        # The halves of a gate belong to equal channels.
        features = -(-features // channels) * channels

        def pointwise(inputs, outputs, **kwargs):
            return built(HorizontalConv2D(outputs, 1, "B", channels, **kwargs), inputs)

        self.vertical, self.link, self.horizontal, self.residual = [], [], [], []
        for block in range(blocks):
            first = block == 0
            inputs, size = (channels, 7) if first else (features, 3)
            mask_type, before_gate = "A" if first else "B", {"kernel_initializer": twice_glorot()}
            vertical = VerticalConv2D(2 * features, size // 2 + 1, size, **before_gate)
            link = HorizontalConv2D(2 * features, 1, "B", **before_gate)
            horizontal = HorizontalConv2D(2 * features, size, mask_type, channels, **before_gate)
            self.vertical.append(built(vertical, inputs))
            self.link.append(built(link, 2 * features))
            self.horizontal.append(built(horizontal, inputs))
            self.residual.append(pointwise(features, features))
        self.first = self.horizontal[0]
        self.last = pointwise(features, features)
        self.output_layer = pointwise(features, self.parameters_per_pixel, dtype="float32")
        self.condition_vector = None
        self.class_biases = self.build_biases(2 * blocks * 2 * features)

    def build_biases(self, size):
        """The layer from a condition to the biases of all layers, (n, size); None without one."""
        space = self.condition_space
        if space is None:
            return None
        if isinstance(space, Labels):
            biases = layers.Embedding(space.classes, size)
            biases.build()
            return biases
        self.condition_vector = ConditionEmbedding(
            space, CONDITION_SIZE, droppable=False, text_encoder=self.text_encoder
        )
        return built(layers.Dense(size), CONDITION_SIZE)

    def embed(self, condition=None):
        """The biases (n, 2 * features) of every layer: (vertical, horizontal) lists."""
        if self.class_biases is None:
            return [[None] * self.blocks] * 2
        if self.condition_vector is not None:
            condition = self.condition_vector(condition)
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
            if horizontal is not self.first:  # no residual: it would show the pixel itself
                x = x + inputs
        x = apply(self.last, ops.relu(x))
        return apply(self.output_layer, ops.relu(x))


def twice_glorot():
    """Twice Glorot's standard deviation, as a gate passes on a third of its input's."""
    return keras.initializers.VarianceScaling(4.0, mode="fan_avg", distribution="uniform")


def gate(x):
    """tanh of the first half of the channels, times sigmoid of the second half."""
    activation, gate = ops.split(x, 2, axis=-1)
    return ops.tanh(activation) * ops.sigmoid(gate)


def with_bias(x, bias):
    """x (n, ..., channels) plus a bias (n, channels) per image; x itself for None."""
    if bias is None:
        return x
    return x + ops.reshape(bias, (-1, *[1] * (len(x.shape) - 2), bias.shape[-1]))
