"""One small model for every kind of condition, and of items that are no images.

Each passes the whole contract; how little one takes is part of what it shows.
"""

import keras
import numpy as np
from keras import layers, ops

import kgen
from kgen import backend
from kgen.bounds import Classes, Count, ImageShape, Levels, Names, Words
from kgen.distributions import normal_log_prob
from kgen.inference import in_chunks, inference, iterated
from kgen.spaces import Attributes, Labels, Pixels, Tokens, Vectors


class GivenPixels(kgen.ImageModel):
    """Independent pixels, whose logits are a linear function of what they are given: exact."""

    likelihood = "exact"
    conditional = True

    def build_network(self, features):
        """`features`: layers from a condition to (n, d)."""
        outputs = self.space.dimensions * self.levels
        self.network = keras.Sequential([*features, layers.Dense(outputs, dtype="float32")])

    def recommended_optimizer(self):
        return keras.optimizers.Adam(0.05)

    def objective(self, images, condition, training):
        return -ops.mean(self.log_probs(images, condition)), {}

    def logits(self, condition):  # (n, h, w, c, levels)
        inputs = (
            ops.stack(list(condition.values()), 1) if isinstance(condition, dict) else condition
        )
        return ops.reshape(self.network(inputs), (-1, *self.image_shape, self.levels))

    def log_probs(self, images, condition):
        of_levels = ops.one_hot(ops.cast(images, "int32"), self.levels)
        chosen = of_levels * ops.log_softmax(self.logits(condition), axis=-1)
        return ops.sum(chosen, axis=(1, 2, 3, 4))

    def log_prob(self, images, condition=None):
        images = self.checked_items(images)
        condition = self.checked_condition(condition, len(images))
        return in_chunks(self._log_probs, images, condition).astype("float64")

    def sample(self, count=None, condition=None, seed=None):
        values = self.space.dimensions * self.levels
        count, condition = self.to_sample(count, condition, noise=values)
        shape = (count, *self.image_shape, self.levels)
        return in_chunks(self._drawn, np.random.default_rng(seed).gumbel(size=shape), condition)

    @inference
    def _log_probs(self, images, condition):
        return self.log_probs(images, condition)

    @inference
    def _drawn(self, gumbel, condition):
        noisy = self.logits(condition) + ops.cast(gumbel, "float32")
        return ops.cast(ops.argmax(noisy, axis=-1), "uint8")


@keras.saving.register_keras_serializable("toys")
class OfClass(GivenPixels):
    """Given a label."""

    small_arguments = {"classes": 10}

    def __init__(self, image_shape: ImageShape, levels: Levels, *, classes: Classes, **kwargs):
        self.classes = classes
        super().__init__(image_shape, levels, **kwargs)
        self.build_network([layers.Input(()), layers.Embedding(classes, 8)])

    @property
    def condition_space(self):
        return Labels(self.classes)


@keras.saving.register_keras_serializable("toys")
class OfCaption(GivenPixels):
    """Given a text: the mean of its words' embeddings, with a sign that tells their place."""

    small_arguments = {"length": 5, "words": tuple("abcdefghijkl")}

    def __init__(
        self, image_shape: ImageShape, levels: Levels, *, words: Words, length: Count, **kwargs
    ):
        self.words, self.length = words, length
        super().__init__(image_shape, levels, **kwargs)
        embedding = layers.Embedding(self.condition_space.vocabulary_size, 8)
        self.build_network([layers.Input((length,)), embedding, layers.Flatten()])

    @property
    def condition_space(self):
        return Tokens(self.length, self.words)


@keras.saving.register_keras_serializable("toys")
class OfAttributes(GivenPixels):
    """Given attributes."""

    small_arguments = {"attributes": ("odd", "two", "four", "eight")}

    def __init__(self, image_shape: ImageShape, levels: Levels, *, attributes: Names, **kwargs):
        self.attributes = attributes
        super().__init__(image_shape, levels, **kwargs)
        self.build_network([layers.Input((len(attributes),))])

    @property
    def condition_space(self):
        return Attributes(self.attributes)


@keras.saving.register_keras_serializable("toys")
class OfImage(GivenPixels):
    """Given another image."""

    small_arguments = {"source_shape": (4, 4, 1), "source_levels": 2}

    def __init__(
        self,
        image_shape: ImageShape,
        levels: Levels,
        *,
        source_shape: ImageShape,
        source_levels: Levels,
        **kwargs,
    ):
        self.source_shape, self.source_levels = source_shape, source_levels
        super().__init__(image_shape, levels, **kwargs)
        self.build_network([layers.Input(source_shape), layers.Flatten()])

    @property
    def condition_space(self):
        return Pixels(self.source_shape, self.source_levels)

    def logits(self, condition):
        return super().logits(ops.cast(condition, "float32") / (self.source_levels - 1))


@keras.saving.register_keras_serializable("toys")
class OfSeveral(GivenPixels):
    """Given a label and attributes: a dict of two arrays."""

    small_arguments = {"classes": 10, "attributes": ("odd", "two")}

    def __init__(
        self,
        image_shape: ImageShape,
        levels: Levels,
        *,
        classes: Classes,
        attributes: Names,
        **kwargs,
    ):
        self.classes, self.attributes = classes, attributes
        super().__init__(image_shape, levels, **kwargs)
        self.build_network([layers.Input((classes + len(attributes),))])

    @property
    def condition_space(self):
        return {"digit": Labels(self.classes), "kind": Attributes(self.attributes)}

    def logits(self, condition):
        one_hot = ops.one_hot(condition["digit"], self.classes)
        return super().logits(ops.concatenate([one_hot, condition["kind"]], axis=-1))


@keras.saving.register_keras_serializable("toys")
class Bigrams(kgen.GenerativeModel):
    """A text whose words go by the word before alone: exact, sampled word after word."""

    likelihood = "exact"
    sampling = "sequential"
    small_arguments = {"length": 6, "words": tuple("abcdefgh")}

    def __init__(self, *, words: Words, length: Count, **kwargs):
        self.words, self.length = words, length
        super().__init__(**kwargs)
        size = self.space.vocabulary_size
        self.logits = self.add_weight(
            shape=(size, size), initializer="random_normal", name="logits"
        )

    @property
    def space(self):
        return Tokens(self.length, self.words)

    def recommended_optimizer(self):
        return keras.optimizers.Adam(0.1)

    def objective(self, tokens, condition, training):
        return -ops.mean(self.log_probs(tokens)), {}

    def log_probs(self, tokens):
        before = ops.pad(ops.cast(tokens, "int32")[:, :-1], ((0, 0), (1, 0)))
        of_words = ops.one_hot(tokens, self.space.vocabulary_size)
        log_probs = ops.log_softmax(ops.take(self.logits, before, axis=0), axis=-1)
        return ops.sum(of_words * log_probs, axis=(1, 2))

    def log_prob(self, tokens, condition=None):
        self.checked_condition(condition, len(tokens))
        return in_chunks(self._log_probs, self.checked_items(tokens)).astype("float64")

    def sample(self, count=None, condition=None, seed=None):
        size = self.space.vocabulary_size
        count, _ = self.to_sample(count, condition, noise=self.length * size)
        gumbel = np.random.default_rng(seed).gumbel(size=(count, self.length, size))
        return in_chunks(self._drawn, gumbel.astype("float32"))

    @inference
    def _log_probs(self, tokens):
        return self.log_probs(tokens)

    @inference(loop=True)
    def _drawn(self, gumbel):
        def draw(before, noise):
            logits = ops.take(self.logits, before, axis=0)
            word = ops.cast(ops.argmax(logits + noise, axis=-1), "int32")
            return word, word

        first = ops.zeros((gumbel.shape[0],), "int32")
        _, words = backend.scan(draw, first, ops.transpose(gumbel, (1, 0, 2)))
        return ops.transpose(words)


@keras.saving.register_keras_serializable("toys")
class Normal(kgen.GenerativeModel):
    """A normal density with a diagonal covariance."""

    likelihood = "exact"
    small_arguments = {"size": 2}

    def __init__(self, *, size: Count, **kwargs):
        self.size = size
        super().__init__(**kwargs)
        far = keras.initializers.RandomNormal(mean=3.0)
        self.mean = self.add_weight(shape=(size,), initializer=far, name="mean")
        self.log_variance = self.add_weight(shape=(size,), initializer="ones", name="log_variance")

    @property
    def space(self):
        return Vectors(self.size)

    def recommended_optimizer(self):
        return keras.optimizers.Adam(0.05)

    def objective(self, x, condition, training):
        return -ops.mean(normal_log_prob(x, self.mean, self.log_variance)), {}

    def log_prob(self, x, condition=None):
        self.checked_condition(condition, len(x))
        return in_chunks(self._log_prob, self.checked_items(x)).astype("float64")

    def sample(self, count=None, condition=None, seed=None):
        count, _ = self.to_sample(count, condition, noise=self.size)
        noise = np.random.default_rng(seed).standard_normal((count, self.size), "float32")
        return in_chunks(self._drawn, noise)

    @inference
    def _log_prob(self, x):
        return normal_log_prob(x, self.mean, self.log_variance)

    @inference
    def _drawn(self, noise):
        return self.mean + ops.exp(0.5 * self.log_variance) * noise


@keras.saving.register_keras_serializable("toys")
class Langevin(Normal):
    """The same density, sampled by 120 steps of Langevin dynamics."""

    sampling = "iterative"

    def sample(self, count=None, condition=None, seed=None):
        count, _ = self.to_sample(count, condition, noise=self.size)
        sizes = np.full(120, 0.2, "float32")
        return iterated(self._block, np.zeros((count, self.size), "float32"), sizes, seed)

    @inference(loop=True)
    def _block(self, x, sizes, noise, condition):
        def step(x, inputs):
            size, noise = inputs
            variance = ops.exp(self.log_variance)  # steps in units of it
            x = x + 0.5 * size * (self.mean - x) + ops.sqrt(size * variance) * noise
            return x, size

        return backend.scan(step, x, (sizes, noise))[0]
