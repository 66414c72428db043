"""The base class of models of texts, which predict each word from those before it.

    log p(x|h) = sum over i of log p(x_i | x_1, ..., x_i-1, h)

The sum is over the words of a text and the token 0 behind the last word, which ends the text. A
text of `length` words has no end token, so that the probabilities of all texts of up to `length`
words sum to 1. h is a context, such as a latent vector, or nothing.
"""

from typing import Literal

import keras
import numpy as np
from keras import ops

from kgen import backend
from kgen.bounds import Count, Fraction, Repeats, Words
from kgen.errors import KgenError
from kgen.inference import inference
from kgen.layers.attention import applied, dense, small
from kgen.models.language.decoders import DECODERS
from kgen.spaces import Tokens
from kgen.spaces.tokens import UNKNOWN
from kgen.training import GenerativeModel

TEXTS_PER_CHUNK = 64  # each has length * vocabulary logits


class TextModel(GenerativeModel):
    """Base class of models of texts: the probability of each word, given the words before it.

    Args:
        words: that are known, see `kgen.spaces.Tokens`.
        length: most words of a text.
        network: "recurrent" (GRUs) or "transformer" (causal self-attention).
        features: size of the word vectors and of the hidden layers.
        blocks: number of GRUs, or of blocks of attention.
        heads: "transformer" only: of the attention; a divisor of `features`.
        dropout: fraction of the word vectors' and of the outputs' features set to 0 in training.

    Attributes:
        decoder: the network, see `kgen.models.language.decoders`.
    """

    data_arguments = ("words", "length")
    sampling = "sequential"

    def __init__(
        self,
        words: Words,
        length: Count,
        *,
        network: Literal["recurrent", "transformer"] = "recurrent",
        features: Count = 256,
        blocks: Repeats = 1,
        heads: Count = 4,
        dropout: Fraction = 0.3,
        **kwargs,
    ):
        self.words, self.length = words, length
        super().__init__(**kwargs)
        if network == "transformer" and features % heads:
            raise KgenError(
                f"Expected features to be a multiple of heads, received {features} and {heads}: "
                "choose such numbers."
            )
        self.network, self.features, self.blocks = network, features, blocks
        self.heads, self.dropout = heads, dropout
        size = self.space.vocabulary_size
        self.word_vectors = self.add_weight(
            shape=(size, features), initializer=small(), name="word_vectors"
        )
        self.decoder = DECODERS[network](length, features, blocks, heads)
        self.output_layer = dense(features, size, dtype="float32")

    @property
    def space(self):
        return Tokens(self.length, self.words)

    def recommended_optimizer(self):
        rate = keras.optimizers.schedules.CosineDecay(2e-3, decay_steps=20_000, alpha=0.01)
        return keras.optimizers.Adam(rate, global_clipnorm=5.0)

    # === Training ===

    def log_probs(self, tokens, context=None, training=False, word_dropout=0.0):
        """log p(x|h) in nats per text, (n,).

        Args:
            tokens: int32 (n, length).
            context: (n, features), added to every input of the decoder, or None.
            training: whether dropout is on.
            word_dropout: fraction of the words before that the decoder reads as unknown.
        """
        tokens = ops.cast(tokens, "int32")
        # Token 0 stands before the first word, too.
        before = ops.concatenate([ops.zeros_like(tokens[:, :1]), tokens[:, :-1]], axis=1)
        read = before
        if word_dropout:
            dropped = (self.uniform(ops.shape(before)) < word_dropout) & (before != 0)
            read = ops.where(dropped, UNKNOWN, before)
        x = self._dropped(self._vectors_of(read), training)
        x = x if context is None else x + ops.cast(context, x.dtype)[:, None]
        x = self._dropped(self.decoder(x), training)
        log_probs = backend.categorical_log_prob(tokens, self.output_layer(x))  # (n, length)
        # What stands behind the end is no part of the text.
        follows = ops.concatenate([ops.ones_like(before[:, :1]), before[:, 1:]], axis=1) != 0
        is_part = ops.cumprod(ops.cast(follows, "float32"), axis=1)
        return ops.sum(log_probs * is_part, axis=1)

    def _vectors_of(self, tokens):
        return ops.cast(ops.take(self.word_vectors, tokens, axis=0), self.compute_dtype)

    def _dropped(self, x, training):
        """Dropout, whose noise is the model's own."""
        if not training or not self.dropout:
            return x
        kept = ops.cast(self.uniform(ops.shape(x)) >= self.dropout, x.dtype)
        return x * kept / (1.0 - self.dropout)

    # === Inference ===

    @inference(loop=True)
    def _drawn(self, uniform, latents=None, temperature=1.0):
        """Texts drawn word after word, int32 (n, length).

        Args:
            uniform: noise in [0, 1), (n, length).
            latents: of `context_of`, (n, ...), or None.
            temperature: see `drawn_tokens`.
        """
        context = None if latents is None else self.context_of(latents)

        def draw(carry, entry):
            token, is_open, cache = carry
            number, noise = entry
            x = self._vectors_of(token)
            x = x if context is None else x + ops.cast(context, x.dtype)
            output, cache = self.decoder.step(x, cache, number)
            drawn = drawn_tokens(applied(self.output_layer, output), noise, temperature)
            token = ops.where(is_open, drawn, 0)
            return (token, token != 0, cache), token

        nothing = ops.zeros_like(uniform[:, 0], "int32")
        start = nothing, nothing == 0, self.decoder.empty_cache(uniform.shape[0])
        entries = ops.arange(self.length), ops.transpose(uniform)
        return ops.transpose(backend.scan(draw, start, entries)[1])

    def context_of(self, latents):
        """What is added to every input of the decoder, (n, features)."""
        raise NotImplementedError(f"{type(self).__name__} has no latents.")


def drawn_tokens(logits, uniform, temperature):
    """The first tokens whose cumulative probability exceeds `uniform`, int32 (n,).

    Args:
        logits: (n, tokens).
        uniform: noise in [0, 1), (n,).
        temperature: divides the logits; 0 takes the most probable word or end, never the unknown
            word, which stands for thousands of rare ones.
    """
    if not temperature:
        is_known = ops.arange(logits.shape[-1]) != UNKNOWN
        return ops.cast(ops.argmax(ops.where(is_known, logits, -np.inf), axis=-1), "int32")
    cumulative = ops.cumsum(ops.softmax(logits / temperature), axis=-1)
    passed = cumulative[:, :-1] <= uniform[:, None]
    return ops.cast(ops.sum(ops.cast(passed, "int32"), axis=-1), "int32")
