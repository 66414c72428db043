"""The U-Net of diffusion models, for images of any size.

Jonathan Ho, Ajay Jain, Pieter Abbeel: Denoising Diffusion Probabilistic Models. 2020,
arXiv:2006.11239, appendix B; with adaptive group normalisation (Alex Nichol, Prafulla Dhariwal:
Improved Denoising Diffusion Probabilistic Models. 2021, arXiv:2102.09672).

Images are halved and doubled again, and skip connections join the two ways. Of the sizes (28, 28),
(14, 14) and (7, 7), with one block each:

    first -> block ------------------------------------> block -> last
               halved -> block ----------------> block -> doubled
                           halved -> block -> block -> doubled
                                       two blocks in the middle

No layer looks at other images of the batch.
"""

import math

from keras import layers, ops

from kgen.layers.convolution import Conv2D
from kgen.layers.dropout import Dropout
from kgen.layers.normalisation import AdaptiveGroupNormalization, GroupNormalization
from kgen.layers.pyramid import NearestUpsampleConv


class UNet(layers.Layer):
    """A U-Net: images and one embedding per image -> images of the same size, zero at the start.

    `unet(x, embedding, training)` maps float32 (n, height, width, channels) and (n, embedding_size)
    to float32 (n, height, width, outputs). Odd sizes are halved upwards, 7 -> 4 -> 2.

    Unlike the paper's, it has as many blocks on the way up as on the way down, which halves the
    time of a step: the paper has one more at each size.

    Args:
        image_shape: (height, width, channels).
        base_channels: channels at the full size.
        multipliers: of `base_channels`, one for each size; each size is half the one before.
        blocks: residual blocks at each size, on each way.
        attention: number of the smallest sizes with self-attention after each block; it is in the
            middle, too, unless this is 0.
        embedding_size: numbers of an embedding.
        outputs: channels of the output.
        dropout: fraction of each residual block's features that is dropped in training.
        groups: of channels in group normalisation; fewer where channels are no multiple of it.
    """

    def __init__(
        self,
        image_shape,
        base_channels,
        multipliers,
        blocks,
        attention,
        embedding_size,
        outputs,
        dropout=0.0,
        groups=8,
        **kwargs,
    ):
        super().__init__(**kwargs)
        widths = [base_channels * multiplier for multiplier in multipliers]
        sizes = range(len(widths))

        def block(size):
            attends = attention > len(widths) - 1 - size
            return ResidualBlock(widths[size], attends, dropout, groups)

        self.first = Conv2D(widths[0], 3, padding="same")
        self.down = [[block(size) for _ in range(blocks)] for size in sizes]
        self.halved = [Conv2D(widths[s], 3, strides=2, padding="same") for s in sizes[:-1]]
        self.middle = [block(sizes[-1]), ResidualBlock(widths[-1], False, dropout, groups)]
        self.up = [[block(size) for _ in range(blocks)] for size in sizes]
        self.doubled = [NearestUpsampleConv(widths[s]) for s in sizes[:-1]]
        self.normalised = GroupNormalization(groups)
        self.last = Conv2D(outputs, 3, padding="same", kernel_initializer="zeros", dtype="float32")
        self.build((None, *image_shape), (None, embedding_size))

    def build(self, x_shape, embedding_shape):
        def built(layer, channels, *others):
            layer.build((None, None, None, channels), *others)
            return layer.filters

        width, skips = built(self.first, x_shape[-1]), []
        for size, stage in enumerate(self.down):
            for block in stage:
                width = built(block, width, embedding_shape)
                skips.append(width)
            if size < len(self.halved):
                width = built(self.halved[size], width)
        for block in self.middle:
            width = built(block, width, embedding_shape)
        for size, stage in reversed(list(enumerate(self.up))):
            for block in stage:
                width = built(block, width + skips.pop(), embedding_shape)
            if size:
                width = built(self.doubled[size - 1], width)
        self.normalised.build((None, None, None, width))
        built(self.last, width)
        self.built = True

    def call(self, x, embedding, training=False):
        embedding = ops.silu(embedding)
        x, skips = self.first(x), []  # (n, 28, 28, 32)
        for size, stage in enumerate(self.down):
            for block in stage:
                x = block(x, embedding, training=training)
                skips.append(x)
            if size < len(self.halved):
                x = self.halved[size](x)
        for block in self.middle:  # (n, 7, 7, 64)
            x = block(x, embedding, training=training)
        for size, stage in reversed(list(enumerate(self.up))):
            for block in stage:
                joined = ops.concatenate([x, skips.pop()], axis=-1)
                x = block(joined, embedding, training=training)
            if size:
                x = self.doubled[size - 1](x, size=tuple(skips[-1].shape[1:3]))
        return self.last(ops.silu(self.normalised(x)))


class ResidualBlock(layers.Layer):
    """Two convolutions, added to their input; the identity at the start, where channels allow it.

    Args:
        filters: output channels.
        attends: whether self-attention follows.
        dropout, groups: see `UNet`.
    """

    def __init__(self, filters, attends, dropout, groups, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.normalised = GroupNormalization(groups)
        self.first = Conv2D(filters, 3, padding="same")
        self.modulated = AdaptiveGroupNormalization(groups)
        self.dropout = Dropout(dropout)
        self.second = Conv2D(filters, 3, padding="same", kernel_initializer="zeros")
        self.skip = None
        self.attention = SelfAttention(groups) if attends else None

    def build(self, x_shape, embedding_shape):
        inner = (*x_shape[:-1], self.filters)
        self.normalised.build(x_shape)
        self.first.build(x_shape)
        self.modulated.build(inner, embedding_shape)
        self.second.build(inner)
        if x_shape[-1] != self.filters:
            self.skip = Conv2D(self.filters, 1)
            self.skip.build(x_shape)
        if self.attention:
            self.attention.build(inner)
        self.built = True

    def call(self, x, embedding, training=False):
        h = self.first(ops.silu(self.normalised(x)))
        h = ops.silu(self.modulated(h, embedding))
        h = self.second(self.dropout(h, training=training))
        x = h + (self.skip(x) if self.skip else x)
        return self.attention(x) if self.attention else x


class SelfAttention(layers.Layer):
    """Every pixel looks at all pixels of its image, with one head; the identity at the start.

    It computes in float32 under any dtype policy.
    """

    def __init__(self, groups, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.normalised = GroupNormalization(groups, dtype="float32")

    def build(self, x_shape):
        channels = x_shape[-1]
        self.normalised.build(x_shape)
        self.inputs = Conv2D(3 * channels, 1, dtype="float32")
        self.inputs.build(x_shape)
        self.outputs = Conv2D(channels, 1, kernel_initializer="zeros", dtype="float32")
        self.outputs.build(x_shape)
        self.built = True

    def call(self, x):
        height, width, channels = x.shape[1:]
        inputs = ops.reshape(self.inputs(self.normalised(x)), (-1, height * width, 3 * channels))
        queries, keys, values = ops.split(inputs, 3, axis=-1)
        scores = ops.matmul(queries, ops.transpose(keys, (0, 2, 1))) / math.sqrt(channels)
        attended = ops.matmul(ops.softmax(scores), values)
        return x + self.outputs(ops.reshape(attended, (-1, height, width, channels)))
