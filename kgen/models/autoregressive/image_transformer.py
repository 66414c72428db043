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
from keras import ops

from kgen.bounds import Count, ImageShape, Levels, Repeats
from kgen.errors import KgenError
from kgen.inference import inference
from kgen.layers import ConditionEmbedding
from kgen.layers.attention import Block, applied, dense, normalised, small
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
            self.start = ConditionEmbedding(
                self.condition_space, features, droppable=False, text_encoder=self.text_encoder
            )
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
        empty = [block.empty_cache(count, self.size) for block in self.attention_blocks]
        starts = self._starts(
            ops.cast(ops.zeros((count, 1, self.features)), placed.dtype), condition
        )
        cache = self._step(starts + placed[0], empty, 0)

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
