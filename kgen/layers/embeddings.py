"""Embeddings: vectors that tell a network a time or noise level, and what it is given."""

import dataclasses

import keras
import numpy as np
from keras import layers, ops

from kgen.layers.convolution import Conv2D
from kgen.layers.text import text_encoder_of
from kgen.spaces import Attributes, Labels, Pixels, Tokens, Vectors

SPACES = {space.__name__: space for space in (Attributes, Labels, Pixels, Tokens, Vectors)}


class TimeEmbedding(layers.Layer):
    """A number per item, (n,), as a vector, float32 (n, size): of sines and cosines, two layers.

    It computes in float32 under any dtype policy, as times differ by little.

    Args:
        size: of the embedding, from 2.
        highest, lowest: frequencies, in radians per unit of the number; those between are spaced
            evenly on a logarithmic scale. A difference below 1 / `highest` can hardly be seen.

    Source: Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762, section 3.5.
    """

    def __init__(self, size, highest=1000.0, lowest=0.1, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.frequencies = np.geomspace(lowest, highest, size // 2, dtype="float32")
        self.network = TwoLayers(2 * len(self.frequencies), size, dtype="float32")
        self.built = True

    def call(self, times):
        angles = ops.multiply(times[:, None], self.frequencies)  # (n, size // 2)
        return self.network(ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1))


@keras.saving.register_keras_serializable("kgen")
class ConditionEmbedding(layers.Layer):
    """What a model is given, of any space, as a vector (n, size); of a dict, the sum of its parts.

    `embed(condition, dropped)` replaces the rows where `dropped`, bool (n,), is True by one learned
    vector, which stands for nothing given: for classifier-free guidance.

    Args:
        space: a `kgen.spaces.Space`, or a dict of several.
        size: of the embedding.
        droppable: whether rows may be dropped.
        text_encoder: of texts, "recurrent" or "transformer", see `kgen.layers.text`.
    """

    def __init__(self, space, size, droppable=True, text_encoder="recurrent", **kwargs):
        super().__init__(**kwargs)
        self.names = list(space) if isinstance(space, dict) else None
        self.spaces = list(space.values()) if isinstance(space, dict) else [space]
        self.size, self.droppable, self.text_encoder = size, droppable, text_encoder
        self.parts = [embedding_of(part, size, text_encoder) for part in self.spaces]
        if droppable:
            self.nothing = self.add_weight(shape=(size,), initializer="zeros", name="nothing")
        self.built = True

    def call(self, condition, dropped=None):
        values = [condition] if self.names is None else [condition[name] for name in self.names]
        embedded = sum(part(value) for part, value in zip(self.parts, values, strict=True))
        if dropped is None:
            return embedded
        return ops.where(dropped[:, None], ops.cast(self.nothing, embedded.dtype), embedded)

    def get_config(self):
        own = {name: getattr(self, name) for name in ("size", "droppable", "text_encoder")}
        own["spaces"] = [[type(space).__name__, as_lists(space)] for space in self.spaces]
        own["names"] = self.names and list(self.names)
        return super().get_config() | own

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        names, described = config.pop("names"), config.pop("spaces")
        spaces = [SPACES[kind](**as_tuples(values)) for kind, values in described]
        space = spaces[0] if names is None else dict(zip(names, spaces, strict=True))
        return cls(space, **config)


def as_lists(space):
    """The fields of a space, {name: value}, as a file of Keras holds them."""
    fields = dataclasses.asdict(space)
    return {n: list(value) if isinstance(value, tuple) else value for n, value in fields.items()}


def as_tuples(fields):
    """The fields of a space as it takes them."""
    return {n: tuple(value) if isinstance(value, list) else value for n, value in fields.items()}


def embedding_of(space, size, text_encoder):
    """A layer from items of a space to vectors (n, size)."""
    if isinstance(space, Labels):
        return table(space.classes, size)
    if isinstance(space, Tokens):
        return text_encoder_of(text_encoder, space, size)
    if isinstance(space, Pixels):
        return ImageEmbedding(space, size)
    return TwoLayers(space.dimensions, size)


def table(count, size):
    """A learned vector for each of `count` whole numbers, at first standard normal."""
    embedding = layers.Embedding(count, size, normal())
    embedding.build(())
    return embedding


def normal():
    return keras.initializers.RandomNormal(stddev=1.0)


class TwoLayers(layers.Layer):
    """Vectors (n, inputs) to (n, size): dense, SiLU, dense."""

    def __init__(self, inputs, size, **kwargs):
        super().__init__(**kwargs)
        self.first = layers.Dense(size, "silu", dtype=self.dtype_policy)
        self.first.build((None, inputs))
        self.last = layers.Dense(size, dtype=self.dtype_policy)
        self.last.build((None, size))
        self.built = True

    def call(self, vectors):
        return self.last(self.first(vectors))


class ImageEmbedding(layers.Layer):
    """Images, whole numbers (n, height, width, channels), as vectors: convolutions and a mean."""

    def __init__(self, space, size, **kwargs):
        super().__init__(**kwargs)
        self.scale = 2.0 / (space.levels - 1)
        self.convolutions = [Conv2D(size, 3, 2, "same", activation="silu") for _ in range(2)]
        for convolution, channels in zip(self.convolutions, (space.shape[-1], size), strict=True):
            convolution.build((None, None, None, channels))
        self.last = layers.Dense(size)
        self.last.build((None, size))
        self.built = True

    def call(self, images):
        x = ops.cast(images, self.compute_dtype) * self.scale - 1.0
        for convolution in self.convolutions:
            x = convolution(x)
        return self.last(ops.mean(x, axis=(1, 2)))
