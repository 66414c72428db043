"""The networks of text models: causal, over whole texts or one word at a time.

Both map vectors (n, length, features) to outputs (n, length, features), of which the i-th depends
on the first i vectors. `step` computes the next output from a cache.
"""

from keras import layers, ops

from kgen.layers import GRU
from kgen.layers.attention import Block, normalised, small


class RecurrentDecoder(layers.Layer):
    """GRUs, each reading the states of the one before."""

    def __init__(self, length, features, blocks, heads, **kwargs):
        super().__init__(**kwargs)
        self.network = [GRU(features, features) for _ in range(blocks)]
        self.built = True

    def call(self, x):
        for gru in self.network:
            x = gru(x)
        return x

    def empty_cache(self, count):
        return [ops.zeros((count, gru.units), self.compute_dtype) for gru in self.network]

    def step(self, x, cache, number):
        """The output (n, features) at the place `number`, and the new cache."""
        following = []
        for gru, state in zip(self.network, cache, strict=True):
            x = gru.step(state, gru.projected(x))
            following.append(x)
        return x, following


class TransformerDecoder(layers.Layer):
    """Blocks of causal self-attention on vectors that know their place."""

    def __init__(self, length, features, blocks, heads, **kwargs):
        super().__init__(**kwargs)
        self.length = length
        self.places = self.add_weight(shape=(length, features), initializer=small(), name="places")
        self.network = [Block(features, heads) for _ in range(blocks)]
        self.built = True

    def call(self, x):
        x = x + self._placed()
        for block in self.network:
            x = block(x)
        return normalised(x)

    def empty_cache(self, count):
        return [block.empty_cache(count, self.length) for block in self.network]

    def step(self, x, cache, number):
        """The output (n, features) at the place `number`, and the new cache."""
        x, following = x + ops.take(self._placed(), number, axis=0), []
        for block, before in zip(self.network, cache, strict=True):
            x, kept = block.step(x, before, number)
            following.append(kept)
        return normalised(x), following

    def _placed(self):
        return ops.cast(self.places, self.compute_dtype)


DECODERS = {"recurrent": RecurrentDecoder, "transformer": TransformerDecoder}
