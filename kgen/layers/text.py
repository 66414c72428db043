"""Texts as vectors: word vectors, read by a recurrent network or by self-attention.

Token 0 is no word and has no effect; a text of no words has a vector, too.
"""

import math

import keras
from keras import layers, ops

from kgen.layers.attention import Block, normalised, small
from kgen.layers.recurrent import GRU

BLOCKS, HEADS = 2, 4  # of the transformer


class TextEncoder(layers.Layer):
    """Base class: texts, tokens (n, length), as vectors (n, size).

    Args:
        vocabulary_size: number of tokens.
        length: most words of a text.
        size: of the word vectors, of the hidden layers, and of the outputs.
    """

    def __init__(self, vocabulary_size, length, size, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size, self.length, self.size = vocabulary_size, length, size
        self.words = layers.Embedding(vocabulary_size, size, small())
        self.words.build(())
        self.last = layers.Dense(size)
        self.last.build((None, size))

    def pooled(self, x, is_word):
        """A dense layer on the mean over words of x (n, length, size): mean 0, variance 1."""
        counted = ops.cast(is_word, x.dtype)[..., None]
        total = ops.sum(x * counted, axis=1)
        return normalised(self.last(total / ops.maximum(ops.sum(counted, axis=1), 1.0)))

    def get_config(self):
        sizes = {name: getattr(self, name) for name in ("vocabulary_size", "length", "size")}
        return super().get_config() | sizes

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.size)


@keras.saving.register_keras_serializable("kgen")
class RecurrentTextEncoder(TextEncoder):
    """A dense layer on the mean over words of the states of a GRU.

    The state after the last word has at first forgotten the words before: each further word halves
    what is left of them.
    """

    def __init__(self, vocabulary_size, length, size, **kwargs):
        super().__init__(vocabulary_size, length, size, **kwargs)
        self.network = GRU(size, size)
        self.built = True

    def call(self, tokens):
        is_word = ops.not_equal(tokens, 0)
        return self.pooled(self.network(self.words(tokens), is_word), is_word)


@keras.saving.register_keras_serializable("kgen")
class TransformerTextEncoder(TextEncoder):
    """A dense layer on the mean over words of a small transformer's outputs.

    Two blocks of self-attention between all words, which know their place by learned vectors.
    """

    def __init__(self, vocabulary_size, length, size, **kwargs):
        super().__init__(vocabulary_size, length, size, **kwargs)
        self.places = self.add_weight(shape=(length, size), initializer=small(), name="places")
        self.network = [Block(size, math.gcd(size, HEADS)) for _ in range(BLOCKS)]
        self.built = True

    def call(self, tokens):
        is_word = ops.not_equal(tokens, 0)
        x = self.words(tokens) + ops.cast(self.places, self.compute_dtype)
        for block in self.network:
            x = block(x, is_word)
        return self.pooled(normalised(x), is_word)


TEXT_ENCODERS = {"recurrent": RecurrentTextEncoder, "transformer": TransformerTextEncoder}


def text_encoder_of(kind, space, size):
    """A new encoder from texts of a `kgen.spaces.Tokens` to vectors (n, size).

    Args:
        kind: "recurrent" or "transformer".
        space: of the texts.
        size: of the vectors.
    """
    return TEXT_ENCODERS[kind](space.vocabulary_size, space.length, size)
