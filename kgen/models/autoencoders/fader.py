"""Fader network: an autoencoder whose decoder is told the attributes that its code must not hold.

Guillaume Lample, Neil Zeghidour, Nicolas Usunier, Antoine Bordes, Ludovic Denoyer, Marc'Aurelio
Ranzato: Fader Networks: Manipulating Images by Sliding Attributes. 2017, arXiv:1706.00409.

An encoder E maps an image x to a code. A decoder D is given the code and the attributes y of x. A
critic guesses y from the code. E is trained so that the critic guesses other attributes y'. So the
code loses y, and D must use the y that it is given: with other attributes it translates the image.
With P of the critic, for one attribute (equations 3 and 4):

    critic_loss      = E[ -log P(y | E(x)) ]
    autoencoder_loss = E[ |D(E(x), y) - x|^2 ] + weight E[ -log P(y' | E(x)) ]

The squares are means over pixels. The weight rises linearly from 0 in `ramp_steps` steps. As in the
authors' code: attributes enter every layer of D; y' is another class, or 1 - y of binary
attributes; Adam has beta_1 = 0.5 and gradients of norm up to 5; while one player learns, the other
has no dropout, and moving statistics.

The last convolution must see all of the image: a code whose parts see a piece of a digit each
cannot hide the digit. So five halvings make one vector of 28x28 pixels.

Deviations: sizes for images of 28x28 to 64x64; the critic is dense. For shorter training the rate
is 0.001, not 0.0002, and weight and ramp suit it. E is paid for all other classes alike, the mean
of what the authors draw; of many attributes the mean counts. Both players see the same batch.
"""

import math

import keras
from keras import ops

from kgen.bounds import (
    Count,
    Fraction,
    ImageShape,
    Layers,
    Levels,
    NoClasses,
    NoNames,
    Number,
    Scales,
    Weight,
)
from kgen.capabilities import names_with
from kgen.errors import KgenError
from kgen.inference import checked_latents, in_chunks, inference
from kgen.layers import pyramid_sizes
from kgen.models.autoencoders import fader_networks
from kgen.spaces import Attributes, Labels
from kgen.training import ImageModel


@keras.saving.register_keras_serializable("kgen")
class Fader(ImageModel):
    """Fader network (Lample et al. 2017); `fit(images, labels)` or `fit(images, attributes)`.

    Guillaume Lample et al.: Fader Networks: Manipulating Images by Sliding Attributes. 2017,
    arXiv:1706.00409. For an image x with attributes y, and other attributes y':

        critic_loss      = E[ -log P(y | E(x)) ]
        autoencoder_loss = E[ |D(E(x), y) - x|^2 ] + weight E[ -log P(y' | E(x)) ]

    `translate(images, attributes)` decodes the codes of images with attributes of your choice.

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel.
        classes: number of labels, 0..classes-1, from 2; 0 if there are attributes.
        attributes: names of the binary attributes; () if there are labels.
        halvings: how often the encoder halves the image; with 5, 28x28 pixels become 1x1.
        base_channels: channels after the first halving, doubled at each further one.
        latent_channels: channels of the code.
        critic_units: units of each hidden layer of the critic.
        dropout: of the critic's hidden units.
        adversarial_weight: of the critic in the autoencoder's loss, after the ramp; 0 for none.
        ramp_steps: steps in which that weight rises from 0.
        kwargs: see `GenerativeModel`.

    Metrics: `autoencoder_loss`; `reconstruction`, the mean squared difference of values in [-1, 1];
    `critic_loss`, in nats, of a label or an attribute; `critic_accuracy`, the fraction of them that
    the critic guesses, which should fall to that of guessing without the image.

    Attributes:
        encoder: images in [-1, 1] to codes (n, latent_size).
        decoder: [codes, one-hot labels or attributes] to images in [-1, 1].
        critic: codes to logits (n, classes or attributes).
    """

    metric_names = ("autoencoder_loss", "reconstruction", "critic_loss", "critic_accuracy")
    progress_metric = "reconstruction"
    players = {"critic": ("critic",), "autoencoder": ("encoder", "decoder")}
    averaged = ("encoder", "decoder")
    conditional = True
    encodes = True
    encodes_alone = True
    decodes = True
    can_sample = False
    small_arguments = {
        **{"classes": 10, "halvings": 2, "base_channels": 4, "latent_channels": 2},
        **{"critic_units": (8,), "dropout": 0.0, "adversarial_weight": 0.1, "ramp_steps": 4},
    }

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        classes: NoClasses = 0,
        attributes: NoNames = (),
        halvings: Scales = 5,
        base_channels: Count = 32,
        latent_channels: Count = 32,
        critic_units: Layers = (256, 256),
        dropout: Fraction = 0.3,
        adversarial_weight: Weight = 0.3,
        ramp_steps: Number = 2500,
        **kwargs,
    ):
        self.classes, self.attributes = classes, attributes
        super().__init__(image_shape, levels, **kwargs)
        if bool(attributes) == bool(classes) or classes == 1:
            raise KgenError(
                f"Expected either attributes or 2 and more classes, received {len(attributes)} "
                f"attributes and {classes} classes: train on labelled images, or on attributes."
            )
        self.halvings, self.base_channels = halvings, base_channels
        self.latent_channels, self.critic_units = latent_channels, critic_units
        self.dropout, self.adversarial_weight = dropout, adversarial_weight
        self.ramp_steps = ramp_steps
        self.sizes = pyramid_sizes(self.image_shape, below=2)[: halvings + 1]  # 28, 14, 7, 4
        self.encoder = fader_networks.encoder(self.image_shape, self.channels, self.sizes)
        given = classes or 2 * len(attributes)
        self.decoder = fader_networks.decoder(self.image_shape, self.channels, self.sizes, given)
        guesses = classes or len(attributes)
        self.critic = fader_networks.critic(self.latent_size, critic_units, dropout, guesses)

    @property
    def condition_space(self):
        return Labels(self.classes) if self.classes else Attributes(self.attributes)

    @property
    def channels(self):
        """Channels after each halving; the last ones are those of the code."""
        channels = [self.base_channels * 2**level for level in range(len(self.sizes) - 2)]
        return [*channels, self.latent_channels]

    @property
    def latent_size(self):
        return math.prod(self.sizes[-1]) * self.latent_channels

    def recommended_optimizer(self):
        settings = {"learning_rate": 1e-3, "beta_1": 0.5, "global_clipnorm": 5.0}
        return {player: keras.optimizers.Adam(**settings) for player in self.players}

    def given(self, condition):
        """What the decoder is given: one-hot labels, or attributes and their opposites."""
        targets = self.targets(condition)
        return targets if self.classes else ops.concatenate([targets, 1.0 - targets], axis=-1)

    def targets(self, condition):
        """What the critic should guess: one-hot labels, or attributes; (n, classes or k)."""
        return ops.one_hot(condition, self.classes) if self.classes else condition

    def others(self, condition):
        """y': all other classes alike, or the opposites of all attributes; (n, classes or k)."""
        return (1.0 - self.targets(condition)) / max(self.classes - 1, 1)

    # === Training ===

    def train_step(self, data):
        images, condition = self.unpack(data)
        critic_loss, seen = self.minimize(self.critic_loss, "critic", images, condition, True)
        loss, terms = self.minimize(self.autoencoder_loss, "autoencoder", images, condition, True)
        losses = {"autoencoder_loss": loss, "critic_loss": critic_loss}
        return self.track(images, **losses, **seen, **terms)

    def test_step(self, data):
        images, condition = self.unpack(data)
        critic_loss, seen = self.regularized(self.critic_loss, "critic", images, condition, False)
        loss, terms = self.regularized(
            self.autoencoder_loss, "autoencoder", images, condition, False
        )
        losses = {"autoencoder_loss": loss, "critic_loss": critic_loss}
        return self.track(images, **losses, **seen, **terms)

    def critic_loss(self, images, condition, training):
        """The critic's cross-entropy, and how often it is right."""
        codes = ops.stop_gradient(self.encoder(self.scale(images), training=False))
        logits = self.critic(codes, training=training)
        if self.classes:
            right = ops.equal(ops.cast(ops.argmax(logits, axis=-1), condition.dtype), condition)
        else:
            right = ops.equal(logits > 0, condition > 0.5)
        accuracy = ops.mean(ops.cast(right, "float32"))
        return self.cross_entropy(logits, self.targets(condition)), {"critic_accuracy": accuracy}

    def autoencoder_loss(self, images, condition, training):
        """The mean squared error, and the weighted cross-entropy of the critic and others' y'."""
        values = self.scale(images)
        codes = self.encoder(values, training=training)
        rebuilt = self.decoder([codes, self.given(condition)], training=training)
        error = ops.mean((rebuilt - values) ** 2)
        logits = self.critic(codes, training=False)
        weight = self.adversarial_weight * ops.minimum((self.step + 1.0) / self.ramp_steps, 1.0)
        loss = error + weight * self.cross_entropy(logits, self.others(condition))
        return loss, {"reconstruction": error}

    def cross_entropy(self, logits, targets):
        """-log P(y), in nats, the mean over images, and over attributes."""
        if self.classes:
            return -ops.mean(ops.sum(targets * ops.log_softmax(logits, axis=-1), axis=-1))
        return ops.mean(ops.softplus(logits) - targets * logits)

    # === Inference ===

    def translate(self, images, attributes):
        """uint8 images as they would be with other labels (n,) or attributes (n, k)."""
        return self.decode(self.latents(images), attributes)

    def encode(self, images, condition=None):
        """The codes of uint8 images, float32 (n, latent_size); `condition` is not used."""
        return in_chunks(self._encode, self.checked_items(images))

    latents = encode

    def decode(self, latents, condition=None):
        """uint8 images of codes (n, latent_size) and labels or attributes."""
        latents = checked_latents(latents, self.latent_size)
        return in_chunks(self._decode, latents, self.checked_condition(condition, len(latents)))

    def reconstruct(self, images, condition=None):
        """Images decoded from their codes and their own labels or attributes, uint8."""
        return self.decode(self.encode(images), condition)

    def sample(self, count=None, condition=None, seed=None):
        raise KgenError(
            f"{type(self).__name__} cannot sample: it learns no distribution of codes. Translate "
            "images, model.translate(images, attributes), or take one of "
            f"{names_with('can_sample')}."
        )

    @inference
    def _encode(self, images):
        return self.encoder(self.scale(images), training=False)

    @inference
    def _decode(self, latents, condition):
        return self.to_levels(self.decoder([latents, self.given(condition)], training=False))
