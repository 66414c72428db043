"""InfoGAN: a generative adversarial network whose latents have a meaning.

Xi Chen, Yan Duan, Rein Houthooft, John Schulman, Ilya Sutskever, Pieter Abbeel: InfoGAN:
Interpretable Representation Learning by Information Maximizing Generative Adversarial Nets. 2016,
arXiv:1606.03657.

Beside noise, the generator G is given codes c: a category, and numbers uniform in [-1, 1]. A
recogniser Q, whose layers but the last are those of the discriminator D, guesses c from G's images.
Both players of the `gan`'s game also maximise a lower bound of the mutual information of codes and
images, in nats (equations 5 and 6):

    I(c; G(z, c)) >= E_{c, x = G(z, c)}[ log Q(c|x) ] + H(c)

For a category Q is a softmax, so that the bound is at most H(c) = ln `categories`. For a number Q
is a normal distribution. As in the authors' code its deviation is 1 in the losses; the metric has
the deviation that makes the bound largest, the root of the mean squared error.

Deviations: all latents are N(0, I), as in every GAN here; the first layer of G makes codes of some
(`codes.py`). Q's own layers have no batch normalisation: they are trained on generated images, and
`encode` applies them to real ones.
"""

import math
from typing import Literal

import keras
import numpy as np
from keras import layers, ops

from kgen.bounds import CodeCount, Count, ImageShape, Levels, NoCount, Weight
from kgen.errors import KgenError
from kgen.inference import in_chunks, inference
from kgen.models.gans.codes import LARGEST, Codes, latents_of
from kgen.models.gans.gan import GAN

RECOGNIZER_UNITS = 128
ENTROPY = math.log(2.0)  # of a number uniform in [-1, 1], in nats
ROWS, COLUMNS = 10, 10  # of a picture
PICTURE_SEED = 0


@keras.saving.register_keras_serializable("kgen")
class InfoGAN(GAN):
    """InfoGAN (Chen et al. 2016): a GAN with a category and numbers as codes.

    Xi Chen et al.: InfoGAN: Interpretable Representation Learning by Information Maximizing
    Generative Adversarial Nets. 2016, arXiv:1606.03657. With V the `GAN`'s game (equation 6):

        min over G and Q, max over D of  V(D, G) - weight (E[ log Q(c|G(z, c)) ] + H(c))

    Args:
        latent_size: dimensions of the latents: noise, then `categories` whose largest is the
            category, then `numbers`.
        categories: of the categorical code.
        numbers: of codes that are uniform in [-1, 1].
        category_weight, number_weight: weights of the mutual information, in both losses.
        kwargs: see `GAN`.

    Metrics: see `GAN`. `category_information` is the mutual information of category and image in
    nats, a lower bound: at most ln `categories`. `number_information` is that of the numbers, the
    sum of ln 2 - ln(2 pi e MSE) / 2: -0.18 each if the image says nothing about it, without limit
    above.

    Attributes:
        generator: G: latents N(0, I) to images, float32 in [-1, 1].
        discriminator: D and Q: images in [-1, 1] to [logits (n, 1), the logits of the category and
            the means of the numbers (n, categories + numbers)].
    """

    metric_names = (*GAN.metric_names, "category_information", "number_information")
    encodes = True
    small_arguments = {
        **{"architecture": "dense", "generator_units": (16,), "discriminator_units": (16,)},
        **{"latent_size": 16},
    }

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        latent_size: Count = 74,
        architecture: Literal["dense", "conv", "resnet"] = "conv",
        categories: CodeCount = 10,
        numbers: NoCount = 2,
        category_weight: Weight = 1.0,
        number_weight: Weight = 1.0,
        **kwargs,
    ):
        self.categories, self.numbers = categories, numbers
        if latent_size < categories + numbers:
            raise KgenError(
                f"Expected latent_size from {categories + numbers}, for {categories} categories "
                f"and {numbers} numbers, received {latent_size}: raise it."
            )
        super().__init__(
            image_shape, levels, latent_size=latent_size, architecture=architecture, **kwargs
        )
        self.category_weight, self.number_weight = category_weight, number_weight

    def recommended_optimizer(self):
        rates = {"discriminator": 2e-4, "generator": 1e-3}
        return {player: keras.optimizers.Adam(rate, beta_1=0.5) for player, rate in rates.items()}

    # === Networks ===

    def generator_layers(self):
        self.codes = Codes(self.categories, self.numbers, dtype="float32")
        return [self.codes, *super().generator_layers()]

    def build_discriminator(self):
        inputs = features = layers.Input(self.image_shape)
        for layer in self.feature_layers():
            features = layer(features)
        hidden = layers.Dense(RECOGNIZER_UNITS)(features)
        guesses = layers.Dense(self.categories + self.numbers, dtype="float32")
        outputs = [self.logit_layer()(features), guesses(layers.LeakyReLU(0.2)(hidden))]
        return keras.Model(inputs, outputs, name="discriminator")

    def discriminate(self, images, condition=None, training=False):
        return self.discriminator(images, training=training)[0]

    # === Training ===

    def discriminator_loss(self, images, condition=None, training=True):
        real = self.augmented(self.scale(images))
        latents, fakes = self.latents_and_images(images, training)
        fakes = self.augmented(ops.stop_gradient(fakes))
        real_logits = self.discriminate(real, condition, training)
        fake_logits, guesses = self.discriminator(fakes, training=training)
        penalty = self.gradient_penalty(real, fakes, condition, training)
        loss, terms = self.judged(real_logits, fake_logits, penalty)
        return loss + self.information_loss(latents, guesses)[0], terms

    def generator_loss(self, images, condition=None, training=True):
        latents, fakes = self.latents_and_images(images, training)
        logits, guesses = self.discriminator(self.augmented(fakes), training=training)
        loss, terms = self.information_loss(latents, guesses)
        loss = loss + self.generator_criterion(logits)
        return loss + self.reconstruction(images, fakes), terms

    def latents_and_images(self, images, training):
        """New latents z and images G(z), as many as there are `images`."""
        latents = self.normal((ops.shape(images)[0], self.latent_size))
        return latents, self.generator(latents, training=training)

    def information_loss(self, latents, guesses):
        """Minus the weighted information, and {metric: information in nats}."""
        _, category, numbers = self.codes.split(latents)
        log_probs = ops.log_softmax(guesses[:, : self.categories], axis=-1)
        log_prob = ops.mean(ops.sum(category * log_probs, axis=-1))
        of_category = math.log(self.categories) + log_prob
        errors = ops.mean((numbers - guesses[:, self.categories :]) ** 2, axis=0)  # (numbers,)
        log_densities = -0.5 * ops.sum(math.log(2.0 * math.pi) + errors)  # of deviation 1
        of_numbers = self.numbers * ENTROPY + log_densities
        largest = ops.sum(ENTROPY - 0.5 * ops.log(2.0 * math.pi * math.e * errors + 1e-12))
        loss = -self.category_weight * of_category - self.number_weight * of_numbers
        return loss, {"category_information": of_category, "number_information": largest}

    # === Inference ===

    def encode(self, images, condition=None):
        """The codes that Q guesses for uint8 images.

        Returns:
            {"category": probabilities (n, categories), "numbers": means (n, numbers)}, float32.
        """
        images = self.checked_items(images)
        self.checked_condition(condition, len(images))
        return in_chunks(self._encode, images)

    @inference
    def _encode(self, images):
        guesses = self.discriminator(self.scale(images), training=False)[1]
        category, numbers = guesses[:, : self.categories], guesses[:, self.categories :]
        return {"category": ops.softmax(category, axis=-1), "numbers": numbers}

    def latents(self, images, condition=None):
        """The mean of the latents given the codes of images, (n, latent_size); noise has mean 0."""
        return latents_of(**self.encode(images, condition), size=self.latent_size)

    def reconstruct(self, images, condition=None):
        """Generated images with the codes of `images` and noise of 0; uint8."""
        return self.decode(self.latents(images, condition))

    def pictures(self):
        """Traversals: every column has another category, or another value of one of the numbers.

        Rows of the first picture differ in the noise. Rows of the others have a category each.
        """
        noise = np.random.default_rng(PICTURE_SEED).standard_normal((ROWS, self.latent_size))
        categories = np.eye(self.categories)[: min(self.categories, ROWS)]
        every = np.broadcast_to(categories, (ROWS, *categories.shape))
        no_numbers = np.zeros((*every.shape[:2], self.numbers))
        found = {"categories": self._pictured(every, no_numbers, noise)}
        rows = np.repeat(categories[:, None], COLUMNS, axis=1)
        for number in range(self.numbers):
            numbers = np.zeros((*rows.shape[:2], self.numbers))
            numbers[..., number] = np.linspace(-LARGEST, LARGEST, COLUMNS)
            found[f"number_{number + 1}"] = self._pictured(rows, numbers, noise[:1])
        return found

    def _pictured(self, category, numbers, noise):
        """Images in [0, 1] of codes (rows, columns, ...) with another noise (rows, k) per row."""
        size, (rows, columns, _) = self.latent_size, category.shape
        codes = (part.reshape(rows * columns, -1) for part in (category, numbers))
        latents = latents_of(*codes, size).reshape(rows, columns, size)
        first, _ = self.codes.bounds(size)
        latents[..., :first] = noise[:, None, :first]
        images = self.decode(latents.reshape(-1, size))
        return images.reshape(rows, columns, *self.image_shape) / (self.levels - 1)
