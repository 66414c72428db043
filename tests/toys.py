"""Models small enough to know the right answer, for the tests of the engine."""

import keras
import numpy as np
from keras import layers, ops

import kgen
from kgen import backend
from kgen.inference import in_chunks, inference


@keras.saving.register_keras_serializable("toys")
class IndependentPixels(kgen.ImageModel):
    """A distribution of levels for each pixel, none depending on another: log p(x) is exact."""

    likelihood = "exact"

    def __init__(self, image_shape=(8, 8, 1), levels=17, **kwargs):
        super().__init__(image_shape, levels, **kwargs)
        self.logits = self.add_weight(
            shape=(*self.image_shape, levels), initializer="random_normal", name="logits"
        )

    def recommended_optimizer(self):
        return keras.optimizers.Adam(0.1)

    def objective(self, images, condition, training):
        return -ops.mean(self.log_probs(images)), {}

    def log_probs(self, images):
        of_levels = ops.one_hot(ops.cast(images, "int32"), self.levels)  # (n, h, w, c, levels)
        return ops.sum(of_levels * ops.log_softmax(self.logits, axis=-1), axis=(1, 2, 3, 4))

    def log_prob(self, images, condition=None):
        images = self.checked_items(images)
        self.checked_condition(condition, len(images))
        return in_chunks(self._log_probs, images).astype("float64")

    def sample(self, count=None, condition=None, seed=None):
        count, _ = self.to_sample(count, condition, noise=self.levels * self.space.dimensions)
        gumbel = np.random.default_rng(seed).gumbel(size=(count, *self.logits.shape))
        return in_chunks(self._drawn, gumbel)

    @inference
    def _log_probs(self, images):
        return self.log_probs(images)

    @inference
    def _drawn(self, gumbel):
        noise = ops.cast(gumbel, "float32")
        return ops.cast(ops.argmax(self.logits + noise, axis=-1), "uint8")


@keras.saving.register_keras_serializable("toys")
class ToyGAN(kgen.ImageModel):
    """Least-squares GAN of dense networks: a game of two players, each updated once a step."""

    metric_names = ("discriminator_loss", "generator_loss")
    players = ("discriminator", "generator")

    def __init__(self, image_shape=(8, 8, 1), levels=17, latent_size=4, **kwargs):
        super().__init__(image_shape, levels, **kwargs)
        self.latent_size = latent_size
        self.discriminator = keras.Sequential(
            [
                layers.Input(self.image_shape),
                layers.Flatten(),
                layers.Dense(16, "leaky_relu"),
                layers.Dense(1, dtype="float32"),
            ]
        )
        self.generator = keras.Sequential(
            [
                layers.Input((latent_size,)),
                layers.Dense(16, "relu"),
                layers.Dense(int(np.prod(self.image_shape)), "tanh", dtype="float32"),
                layers.Reshape(self.image_shape, dtype="float32"),
            ]
        )

    def recommended_optimizer(self):
        return {player: keras.optimizers.Adam(5e-3, beta_1=0.5) for player in self.players}

    def train_step(self, data):
        images, _ = self.unpack(data)
        discriminator_loss, _ = self.minimize(self.discriminator_loss, "discriminator", images)
        generator_loss, _ = self.minimize(self.generator_loss, "generator", images)
        return self.track(
            images, discriminator_loss=discriminator_loss, generator_loss=generator_loss
        )

    def test_step(self, data):
        images, _ = self.unpack(data)
        losses = (loss(images)[0] for loss in (self.discriminator_loss, self.generator_loss))
        return self.track(images, **dict(zip(self.metric_names, losses, strict=True)))

    def discriminator_loss(self, images):
        real = self.discriminator(self.scale(images))
        fake = self.discriminator(self.generate(images))
        return ops.mean((real - 1.0) ** 2) + ops.mean(fake**2), {}

    def generator_loss(self, images):
        return ops.mean((self.discriminator(self.generate(images)) - 1.0) ** 2), {}

    def generate(self, images):
        """As many as there are images."""
        return self.generator(self.normal((ops.shape(images)[0], self.latent_size)))

    def sample(self, count=None, condition=None, seed=None):
        count, _ = self.to_sample(count, condition, noise=self.latent_size)
        latents = np.random.default_rng(seed).standard_normal((count, self.latent_size))
        return in_chunks(self._images_of, latents)

    @inference
    def _images_of(self, latents):
        return self.to_levels(self.generator(ops.cast(latents, "float32")))


class ToyWGANGP(kgen.ImageModel):
    """Wasserstein GAN with gradient penalty, of dense networks; 3 updates of the critic a step."""

    metric_names = ("critic_loss", "gradient_penalty", "generator_loss")
    players = ("critic", "generator")

    def __init__(self, image_shape=(8, 8, 1), levels=17, critic_steps=3, units=8, **kwargs):
        super().__init__(image_shape, levels, **kwargs)
        self.critic_steps = critic_steps
        self.units = units
        hidden = [layers.Dense(units, "tanh")] if units else []  # 0 units: a linear critic
        score = layers.Dense(1, use_bias=False)  # a constant has no part in any loss
        self.critic = keras.Sequential(
            [layers.Input(self.image_shape), layers.Flatten(), *hidden, score]
        )
        self.generator = keras.Sequential(
            [
                layers.Input((4,)),
                layers.Dense(8, use_bias=False),
                layers.BatchNormalization(),
                layers.Dense(int(np.prod(self.image_shape)), "tanh"),
                layers.Reshape(self.image_shape),
            ]
        )

    def recommended_optimizer(self):
        return {player: keras.optimizers.Adam(1e-3, beta_1=0.5) for player in self.players}

    def train_step(self, data):
        images, _ = self.unpack(data)
        for _ in range(self.critic_steps):
            critic_loss, terms = self.minimize(self.critic_loss, "critic", images)
        generator_loss, _ = self.minimize(self.generator_loss, "generator", ops.shape(images)[0])
        return self.track(images, critic_loss=critic_loss, generator_loss=generator_loss, **terms)

    def test_step(self, data):
        images, _ = self.unpack(data)
        critic_loss, terms = self.critic_loss(images)
        generator_loss, _ = self.generator_loss(ops.shape(images)[0])
        return self.track(images, critic_loss=critic_loss, generator_loss=generator_loss, **terms)

    def critic_loss(self, images):
        real = self.scale(images)
        fakes = ops.stop_gradient(self.generate(ops.shape(images)[0]))
        penalty = self.penalty((real + fakes) / 2)
        loss = ops.mean(self.critic(fakes)) - ops.mean(self.critic(real))
        return loss + 10.0 * penalty, {"gradient_penalty": penalty}

    def penalty(self, inputs):
        gradient = backend.input_gradient(self, self.critic, inputs)
        norms = ops.sqrt(ops.sum(gradient**2, axis=(1, 2, 3)))
        return ops.mean((norms - 1.0) ** 2)

    def generator_loss(self, count):
        return -ops.mean(self.critic(self.generate(count))), {}

    def generate(self, count):
        return self.generator(self.normal((count, 4)), training=True)


class Quadratic(kgen.ImageModel):
    """One weight per pixel; loss = |weights - mean image|^2 / 2. `unused` is in no loss."""

    def __init__(self, image_shape=(8, 8, 1), levels=17, **kwargs):
        super().__init__(image_shape, levels, **kwargs)
        self.mean = self.add_weight(shape=self.image_shape, initializer="zeros", name="mean")
        self.unused = self.add_weight(shape=(3,), initializer="ones", name="unused")
        self.calls = self.add_weight(
            shape=(), initializer="zeros", trainable=False, autocast=False, name="calls"
        )

    def recommended_optimizer(self):
        return keras.optimizers.SGD(0.1)

    def objective(self, images, condition, training):
        if training:
            self.calls.assign_add(1.0)
        difference = self.mean - ops.mean(self.scale(images), axis=0)
        return 0.5 * ops.sum(difference**2), {}


class Failing(Quadratic):
    """Its term `second` is not a number at training step `fails_at` (from 1), and only there."""

    metric_names = ("loss", "first", "second")

    def __init__(self, fails_at, **kwargs):
        super().__init__(**kwargs)
        self.fails_at = fails_at

    def objective(self, images, condition, training):
        loss, _ = super().objective(images, condition, training)
        fails = ops.logical_and(ops.equal(self.calls, self.fails_at), training)
        second = ops.where(fails, float("nan"), 1.0)
        return loss, {"first": loss, "second": second}


class FailingPlayer(ToyWGANGP):
    """Its generator's loss is infinite at training step `fails_at` (from 1), and only there."""

    def __init__(self, fails_at, **kwargs):
        super().__init__(critic_steps=1, **kwargs)
        self.fails_at = fails_at
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, name="calls")

    def generator_loss(self, count):
        self.calls.assign_add(1.0)
        loss, terms = super().generator_loss(count)
        return ops.where(ops.equal(self.calls, self.fails_at), float("inf"), loss), terms


class Drawing(kgen.ImageModel):
    """Its losses are the noise it draws."""

    def __init__(self, image_shape=(8, 8, 1), levels=17, **kwargs):
        super().__init__(image_shape, levels, **kwargs)
        self.weight = self.add_weight(shape=(), initializer="zeros", name="weight")

    def recommended_optimizer(self):
        return keras.optimizers.SGD(0.0)

    def objective(self, images, condition, training):
        return self.weight + ops.sum(self.normal((1,))), {}
