"""Image transformer: an autoregressive model with self-attention.

Niki Parmar, Ashish Vaswani, Jakob Uszkoreit, Lukasz Kaiser, Noam Shazeer, Alexander Ku, Dustin
Tran: Image Transformer. 2018, arXiv:1802.05751.
Mark Chen et al.: Generative Pretraining from Pixels. ICML 2020.

The probability of an image is a product over its values, in raster order: rows first, then columns,
then channels. The condition h, if any, is given:

    log p(x|h) = sum over i of log p(x_i | x_1, ..., x_i-1, h)

The sequence is a start token and all values but the last. Each block attends to the token itself
and those before it, so that the i-th output depends on the values before x_i (Chen et al., section
2.2):

    x <- x + attention(norm(x)),   x <- x + dense(gelu(dense(norm(x))))

The start token is the condition's embedding. Each token knows the row, column and channel of the
value to be predicted by learned embeddings.

Deviations: attention is to all values before, as in Chen et al., instead of to a block of them; the
output layer sees the sum of all blocks' outputs, which trains faster than the last one alone.
"""

import keras
import numpy as np
from keras import ops

from kgen import backend
from kgen.bounds import Count, ImageShape, Levels, Repeats
from kgen.errors import KgenError
from kgen.inference import inference
from kgen.layers import ConditionEmbedding
from kgen.models.autoregressive.flat import FlatAutoregressive
from kgen.training import Given


@keras.saving.register_keras_serializable("kgen")
class ImageTransformer(Given, FlatAutoregressive):
    """Image transformer (Parmar et al. 2018), with the attention of Chen et al. (2020).

    Niki Parmar et al.: Image Transformer. 2018, arXiv:1802.05751. Maximises the exact
    log-likelihood, given the condition h:

        log p(x|h) = sum over i of log p(x_i | x_1, ..., x_i-1, h)

    Time and memory of a training step grow with the square of the number of values.

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel; Bernoulli pixels for 2, else a softmax over all values.
        features: of each token.
        blocks: number of blocks.
        heads: of the attention; a divisor of `features`.
        kwargs: see `Given`.

    Metrics: `loss`, the negative log-likelihood in nats per image.
    """

    small_arguments = {"features": 8, "blocks": 2, "heads": 2, "classes": 10}

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        features: Count = 32,
        blocks: Repeats = 4,
        heads: Count = 2,
        **kwargs,
    ):
        super().__init__(image_shape, levels, **kwargs)
        if features % heads:
            raise KgenError(
                f"Expected features to be a multiple of heads, received {features} and {heads}: "
                "choose such numbers."
            )
        self.features = features
        self.blocks = blocks
        self.heads = heads
        self.value_layer = dense(self.inputs_per_value, features)
        self.places = [
            self.add_weight(shape=(size, features), initializer=small(), name=f"places_{axis}")
            for axis, size in enumerate(self.image_shape)
        ]
        if self.condition_space is None:
            self.start = self.add_weight(shape=(1, features), initializer=small(), name="start")
        else:
            self.start = ConditionEmbedding(self.condition_space, features, droppable=False)
        self.attention_blocks = [Block(features, heads) for _ in range(blocks)]
        self.output_layer = dense(features, self.parameters_per_value, dtype="float32")

    def recommended_optimizer(self):
        return keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(2e-3, 50_000, 0.01), global_clipnorm=1.0
        )

    # === Training ===

    def parameters_of(self, images, condition=None):
        tokens = self.value_layer(self.inputs_of(ops.reshape(images, (-1, self.size))[:, :-1]))
        tokens = ops.concatenate([self._starts(tokens, condition)[:, None], tokens], axis=1)
        x = total = tokens + self._placed()  # (n, size, features)
        for block in self.attention_blocks:
            x = block(x)
            total = total + x
        return self.as_images(self.output_layer(normalised(total)))

    def _placed(self):
        """The embedding of each value's row, column and channel, (size, features)."""
        rows, columns, channels = self.places
        placed = rows[:, None, None] + columns[:, None] + channels
        return ops.cast(ops.reshape(placed, (self.size, self.features)), self.compute_dtype)

    def _starts(self, like, condition):
        """The start tokens (n, features), as many as `like` has rows."""
        if condition is None:
            return ops.zeros_like(like[:, 0]) + ops.cast(self.start, like.dtype)
        return self.start(condition)

    # === Sampling ===

    @inference(loop=True)
    def _complete(self, images, mask, uniform, condition=None):
        """Each block keeps the keys and values of the tokens so far."""
        count, placed = images.shape[0], self._placed()
        empty = ops.zeros((count, self.heads, self.size, self.features // self.heads))
        empty = ops.cast(empty, self.compute_dtype)
        starts = self._starts(
            ops.cast(ops.zeros((count, 1, self.features)), placed.dtype), condition
        )
        cache = self._step(starts + placed[0], [(empty, empty)] * self.blocks, 0)

        def update(cache, place, inputs):
            number, placed = place
            return self._step(applied(self.value_layer, inputs) + placed, cache[1], number)

        following = (ops.arange(1, self.size + 1), ops.roll(placed, -1, axis=0))
        return self.complete_in_turn(
            images, mask, uniform, cache, following, lambda cache, place: cache[0], update
        )

    def _step(self, x, cache, number):
        """The parameters (n, parameters_per_value) of value `number`, and each block's cache.

        Args:
            x: the value's token (n, features).
            cache: each block's keys and values of the tokens before.
        """
        total, following = x, []
        for block, before in zip(self.attention_blocks, cache, strict=True):
            x, kept = block.step(x, before, number)
            total = total + x
            following.append(kept)
        return applied(self.output_layer, normalised(total)), following


class Block(keras.layers.Layer):
    """Causal self-attention and a network of two layers, each added to its input.

    Maps tokens (n, length, features) to tokens. `step` maps one token, given the keys and values of
    those before it.
    """

    def __init__(self, features, heads, **kwargs):
        super().__init__(**kwargs)
        self.shape_of_heads = (heads, features // heads)
        self.queries_keys_values = dense(features, 3 * features)
        self.attended = dense(features, features)
        self.hidden = dense(features, 4 * features)
        self.last = dense(4 * features, features)
        self.built = True

    def call(self, x):
        queries, keys, values = self._split(x)
        seen = np.tri(x.shape[1], dtype=bool)
        return self._output(x, self._attention(queries, keys, values, seen))

    def step(self, x, cache, number):
        """A token (n, features) at the place `number`; returns it and the new cache.

        Args:
            cache: keys and values of all places, (n, heads, length, size) each.
        """
        queries, *own = self._split(x[:, None])
        places = ops.arange(cache[0].shape[2])
        here = (places == number)[:, None]
        cache = tuple(ops.where(here, new, old) for new, old in zip(own, cache, strict=True))
        attention = self._attention(queries, *cache, (places <= number)[None])
        return self._output(x[:, None], attention)[:, 0], cache

    def _split(self, x):
        """Queries, keys and values (n, heads, length, size)."""
        x = applied(self.queries_keys_values, normalised(x))
        x = ops.reshape(x, (-1, x.shape[1], 3, *self.shape_of_heads))
        return ops.unstack(ops.transpose(x, (2, 0, 3, 1, 4)), 3, axis=0)

    def _attention(self, queries, keys, values, seen):
        """What each query finds where `seen` is True, (n, length, features)."""
        scores = ops.matmul(queries, ops.swapaxes(keys, -1, -2)) * self.shape_of_heads[1] ** -0.5
        scores = ops.where(seen, ops.cast(scores, "float32"), -1e9)
        found = ops.matmul(ops.cast(ops.softmax(scores), values.dtype), values)
        found = ops.transpose(found, (0, 2, 1, 3))  # (n, length, heads, size)
        return ops.reshape(found, (-1, found.shape[1], self.shape_of_heads[0] * found.shape[3]))

    def _output(self, x, attention):
        x = x + applied(self.attended, attention)
        return x + applied(self.last, ops.gelu(applied(self.hidden, normalised(x))))


def dense(inputs, outputs, **kwargs):
    """A dense layer, built."""
    layer = keras.layers.Dense(outputs, **kwargs)
    layer.build((None, inputs))
    return layer


def applied(layer, x):
    """A dense layer's outputs (n, ..., outputs), without its call, which is slow in a loop."""
    kernel, bias = (ops.cast(weight, layer.compute_dtype) for weight in (layer.kernel, layer.bias))
    flat = backend.affine(ops.reshape(x, (-1, x.shape[-1])), kernel, bias)
    return ops.reshape(flat, (-1, *x.shape[1:-1], layer.units))


def normalised(x):
    """Features (..., features) with mean 0 and variance 1; the next layer scales them."""
    mean, variance = ops.moments(ops.cast(x, "float32"), -1, keepdims=True)
    return ops.cast((ops.cast(x, "float32") - mean) * ops.rsqrt(variance + 1e-5), x.dtype)


def small():
    return keras.initializers.RandomNormal(stddev=0.1)
