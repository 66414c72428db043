"""Text to image by a generative adversarial network: GAN-CLS and GAN-INT.

Scott Reed, Zeynep Akata, Xinchen Yan, Lajanugen Logeswaran, Bernt Schiele, Honglak Lee: Generative
Adversarial Text to Image Synthesis. 2016, arXiv:1605.05396.

A generator G maps noise z and a caption's vector t to an image. A discriminator D gives the logit
that an image is real and shows what the caption says. It also sees real images with the caption t'
of another image, which it is to refuse (GAN-CLS, algorithm 1). With s = sigmoid:

    discriminator_loss = -log s(D(x, t)) - [ log(1 - s(D(x, t'))) + log(1 - s(D(G(z, t), t))) ] / 2
    generator_loss     = -log s(D(G(z, t), t))

GAN-INT adds to the generator's loss the same term for vectors between two captions' (equation 5):

    -log s(D(G(z, m), m)),   m = (t + t') / 2

t' is the caption of another image of the batch, with other words.

The paper trains the text encoder beforehand, so that the vectors of captions and of their images
agree (its section 4). Here it learns beside D, of whose features of real images a further layer
makes vectors f. Among the n captions of a batch it is to find an image's own, and among its images
a caption's own:

    matching_loss = - log softmax_j( 10 r(f_i, t_j) ) at j = i - log softmax_i( ... ) at i = j

with correlations r; captions of equal words are no other ones. D's loss on logits and G's leave the
encoder as it is. From them alone it learns the one word that D reads first, such as the background,
and G is deaf to the others; G could also make captions easy to satisfy.

Further deviations: captions are short, so the encoder is a GRU or a small transformer. Vectors have
mean 0 and variance 1. D normalises each image by itself. The paper's statistics of batches would
tell D which batch has the wrong captions.
"""

from typing import Literal

import keras
from keras import layers, ops

from kgen import backend
from kgen.bounds import Count, ImageShape, Levels, Weight, Words
from kgen.layers.text import text_encoder_of
from kgen.models.gans import text_networks as parts
from kgen.models.gans.base import GANBase
from kgen.models.gans.matching import matching_loss, rows_of_other_words
from kgen.spaces import Tokens


@keras.saving.register_keras_serializable("kgen")
class TextToImageGAN(GANBase):
    """Text to image by a GAN (Reed et al. 2016); `fit(images, captions)`.

    Scott Reed et al.: Generative Adversarial Text to Image Synthesis. 2016, arXiv:1605.05396. With
    s = sigmoid, captions t and captions t' of other images (algorithm 1):

        discriminator_loss = -log s(D(x, t))
                             - [ log(1 - s(D(x, t'))) + log(1 - s(D(G(z, t), t))) ] / 2
        generator_loss     = -log s(D(G(z, t), t))

    Args:
        image_shape: (height, width, channels), sides from 8 to 64, 1 or 3 channels.
        levels: values per pixel.
        words: that captions consist of.
        length: most words of a caption.
        text_encoder: network that reads captions, "recurrent" (a GRU) or "transformer".
        text_size: dimensions of a caption's vector.
        interpolation: weight of the term of vectors between two captions' (GAN-INT) in G's loss.
        architecture: "conv".
        kwargs: see `GANBase`.

    Metrics: see `GANBase`; `mismatch_accuracy`, the fraction of real images with another image's
    caption that D refuses; `matching_loss` in nats, which `discriminator_loss` includes: from it
    the text encoder learns, and a guess has 2 ln(batch size).

    Attributes:
        caption_encoder: captions to vectors (n, text_size).
        image_encoder: images in [-1, 1] to vectors (n, text_size), from D's features.
        generator: [z, vectors] to images, float32 in [-1, 1].
        discriminator: [images, vectors] to logits (n, 1).
    """

    metric_names = (*GANBase.metric_names, "mismatch_accuracy", "matching_loss")
    players = {
        "discriminator": ("caption_encoder", "image_encoder", "discriminator"),
        "generator": ("generator",),
    }
    conditional = True
    small_arguments = {
        **{"words": tuple("abcdefgh"), "length": 5, "text_size": 8, "text_encoder": "transformer"},
        **{"latent_size": 4, "base_channels": 4},
    }

    def __init__(
        self,
        image_shape: ImageShape = (32, 32, 3),
        levels: Levels = 256,
        *,
        words: Words,
        length: Count,
        text_encoder: Literal["recurrent", "transformer"] = "recurrent",
        text_size: Count = 128,
        interpolation: Weight = 1.0,
        architecture: Literal["conv"] = "conv",
        **kwargs,
    ):
        self.words, self.length = words, length
        self.text_encoder, self.text_size = text_encoder, text_size
        self.interpolation = interpolation
        super().__init__(image_shape, levels, architecture=architecture, **kwargs)
        self.build_text_networks()

    @property
    def condition_space(self):
        return Tokens(self.length, self.words)

    # === Networks ===

    def build_text_networks(self):
        """The networks beside generator and discriminator."""
        self.caption_encoder = text_encoder_of(
            self.text_encoder, self.condition_space, self.text_size
        )

    def build_generator(self):
        network = super().build_generator(further_latents=self.text_size)
        latents, text = layers.Input((self.latent_size,)), layers.Input((self.text_size,))
        inputs = layers.Concatenate()([latents, parts.projected(text, self.text_size)])
        return keras.Model([latents, text], network(inputs), name="generator")

    def build_discriminator(self):
        images, text = layers.Input(self.image_shape), layers.Input((self.text_size,))
        features = self.features(images)
        self.image_encoder = self.encoder_of(images, features)
        logits = parts.logit(self.matched(features, text), self.spectral_normalization)
        return keras.Model([images, text], logits, name="discriminator")

    def encoder_of(self, images, features):
        """The network that makes vectors of images, on the discriminator's features."""
        vectors = layers.Dense(self.text_size, dtype="float32")(layers.Flatten()(features))
        return keras.Model(images, vectors, name="image_encoder")

    def features(self, images):
        """The discriminator's features of images, (n, 4, 4, channels)."""
        return parts.strided_convolutions(
            images,
            self.image_shape,
            self.base_channels,
            **parts.discriminating(self.spectral_normalization),
        )

    def matched(self, features, text):
        """Features with the text's vector at each place, through a convolution of 1x1."""
        mixed = parts.joined(features, parts.projected(text, self.text_size))
        settings = parts.discriminating(self.spectral_normalization)
        return parts.block(features.shape[-1], 1, 1, layers.LeakyReLU(0.2), **settings)(mixed)

    # === Training ===

    def real_criterion(self, logits):
        """-log s of logits (n, 1), the mean, a scalar; with label smoothing."""
        target = 1.0 - self.label_smoothing  # softplus(-a) = -log s(a)
        return ops.mean(
            target * ops.softplus(-logits) + self.label_smoothing * ops.softplus(logits)
        )

    def fake_criterion(self, logits):
        return ops.mean(ops.softplus(logits))  # -log(1 - s)

    def generator_criterion(self, fake_logits):
        return ops.mean(ops.softplus(-fake_logits))

    def discriminate(self, images, condition=None, training=False):
        """D's logits (n, 1) of images in [-1, 1] and captions' vectors, a list of one."""
        return keras.tree.flatten(super().discriminate(images, condition, training))

    def squared_gradient_norms(self, images, condition, training):
        def logits(images):
            return sum(self.discriminate(images, condition, training))

        return ops.sum(backend.input_gradient(self, logits, images) ** 2, axis=(1, 2, 3))

    def discriminator_loss(self, images, captions=None, training=True):
        """D's loss on uint8 `images`, with right and with wrong captions, and {metric: value}."""
        real, text = self.scale(images), self.text_of(captions)
        matching = matching_loss(self.image_encoder(real, training=training), text, captions)
        text = ops.stop_gradient(text)
        latents = self.normal((ops.shape(images)[0], self.latent_size))
        fakes = ops.stop_gradient(self.generated(latents, text, training)[0])
        rows, exists = self.with_other_words(captions)
        real_logits = self.discriminate(real, text, training)
        wrong, *_ = self.discriminate(real, ops.take(text, rows, axis=0), training)
        fake_logits = self.discriminate(fakes, text, training)
        # A caption whose words all others have: its row counts for the generated image alone.
        wrong = ops.where(exists[:, None], wrong, fake_logits[0])
        penalty = self.gradient_penalty(real, fakes, text, training)
        terms = self.accuracies(real_logits[0], wrong, fake_logits[0])
        loss = mean_of(self.real_criterion, real_logits) + penalty
        loss = loss + mean_of(self.fake_criterion, [wrong, *fake_logits]) + matching
        return loss, {**terms, "gradient_penalty": penalty, "matching_loss": matching}

    def accuracies(self, real_logits, wrong_logits, fake_logits):
        """The fractions of each kind that D classifies correctly."""
        correct = {
            "real_accuracy": real_logits > 0.0,
            "mismatch_accuracy": wrong_logits < 0.0,
            "fake_accuracy": fake_logits < 0.0,
        }
        return {name: ops.mean(ops.cast(values, "float32")) for name, values in correct.items()}

    def generator_loss(self, images, captions=None, training=True):
        """G's loss on as many generated images as there are `images`, and {metric: value}."""
        text = ops.stop_gradient(self.text_of(captions))
        loss = self.loss_of_text(text, training)
        if self.interpolation:
            others = ops.take(text, self.with_other_words(captions)[0], axis=0)
            loss = loss + self.interpolation * self.loss_of_text(0.5 * (text + others), training)
        return loss, {}

    def loss_of_text(self, text, training):
        """G's loss for some vectors of captions, with new noise."""
        latents = self.normal((ops.shape(text)[0], self.latent_size))
        fakes, further = self.generated(latents, text, training)
        logits = self.discriminate(fakes, text, training)
        return sum(map(self.generator_criterion, logits)) + further

    def with_other_words(self, captions):
        """For each caption, the row of a random one of other words, see `rows_of_other_words`."""
        count = ops.shape(captions)[0]
        return rows_of_other_words(captions, self.uniform((count, count)))

    def text_of(self, captions):
        """The vectors of captions, (n, text_size), each of mean 0 and variance 1."""
        return self.caption_encoder(captions)

    def generated(self, latents, text, training=False):
        """Images in [-1, 1] of noise and captions' vectors, and a further loss of the generator."""
        return self.generator([latents, text], training=training), 0.0

    # === Inference ===

    def _images_of(self, latents, condition=None):
        return self.to_levels(self.generated(latents, self.text_of(condition))[0])


def mean_of(criterion, logits):
    """The mean of a criterion of each of several logits."""
    return sum(map(criterion, logits)) / len(logits)
