"""Self-attention over sequences, causal or over all places, with a step for one more token."""

import itertools

import keras
import numpy as np
from keras import ops

from kgen import backend

LONGEST_PART = 128  # queries whose scores are in memory at the same time


class Block(keras.layers.Layer):
    """Self-attention and a network of two layers, each added to its input.

    Maps tokens (n, length, features) to tokens. `step` maps one token, given the keys and values of
    those before it:

        x <- x + attention(norm(x)),   x <- x + dense(gelu(dense(norm(x))))

    Source: Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762, with the norms
    before each part.
    """

    def __init__(self, features, heads, **kwargs):
        super().__init__(**kwargs)
        self.shape_of_heads = (heads, features // heads)
        self.queries_keys_values = dense(features, 3 * features)
        self.attended = dense(features, features)
        self.hidden = dense(features, 4 * features)
        self.last = dense(4 * features, features)
        self.built = True

    def call(self, x, visible=None):
        """Tokens (n, length, features).

        Args:
            x: tokens (n, length, features).
            visible: bool (n, length), the tokens that all others attend to; None for causal
                attention, of each token to itself and those before it.
        """
        heads = self._split(x)
        if visible is None:
            return self._output(x, self._causal_attention(*heads))
        return self._output(x, self._attention(*heads, visible[:, None, None]))

    def empty_cache(self, count, length):
        """The cache of `step` before the first token: keys and values of `length` places."""
        heads, size = self.shape_of_heads
        empty = ops.zeros((count, heads, length, size), self.compute_dtype)
        return empty, empty

    def step(self, x, cache, number):
        """A token (n, features) at the place `number`; returns it and the new cache.

        Args:
            x: the token.
            cache: keys and values of all places, (n, heads, length, size) each.
            number: of the place, from 0.
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

    def _causal_attention(self, queries, keys, values):
        """`_attention` of each query to its own place and those before it.

        It goes part by part: no part's scores reach beyond its end, which is nearly half of the
        work, and they are few enough to stay near the processor.
        """
        length = queries.shape[2]
        ends = np.linspace(0, length, -(-length // LONGEST_PART) + 1, dtype=int).tolist()
        parts = [
            self._attention(
                queries[:, :, start:end],
                keys[:, :, :end],
                values[:, :, :end],
                np.tri(end - start, end, start, dtype=bool),
            )
            for start, end in itertools.pairwise(ends)
        ]
        return ops.concatenate(parts, axis=1)

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
    """Initial weights of places and start tokens, N(0, 0.1^2)."""
    return keras.initializers.RandomNormal(stddev=0.1)
