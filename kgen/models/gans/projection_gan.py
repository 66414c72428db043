"""Conditional generative adversarial network with a projection discriminator.

Takeru Miyato, Masanori Koyama: cGANs with Projection Discriminator. 2018, arXiv:1802.05637.

For an image x with label y, features phi(x), and a learned vector e_y per label, the discriminator
is (equation 3)

    D(x, y) = w . phi(x) + b + e_y . phi(x)

The best D is a log density ratio, log p(y|x) / q(y|x) + log p(x) / q(x), of which the two products
model one term each. The losses are the hinge losses of the `sngan`:

    discriminator_loss = E_x,y[ max(0, 1 - D(x, y)) ] + E_z,y[ max(0, 1 + D(G(z, y), y)) ]
    generator_loss     = -E_z,y[ D(G(z, y), y) ]

The generator is given the label by conditional batch normalisation: a scale and an offset per
channel and class. Both networks have spectral normalisation; D also of the matrix of all e_y. One
update of each player per step, with Adam of beta_1 = 0, beta_2 = 0.9 and rates of 0.0004 for D and
0.0001 for G (Zhang et al. 2018, arXiv:1805.08318; the paper: D only, 5 updates of D, 0.0002).

Captions and attributes are given in the same two places. A learned layer makes a vector v of them.
e_y is a matrix times v, and so are G's scales and offsets. The layer learns with D, not with G.

Deviations: the `dcgan`'s networks unless `architecture="resnet"`; there phi(x) is not summed over
positions. The last kernel of G is not normalised, so that images can reach black and white.
"""

from typing import Literal

import keras
from keras import layers, ops

from kgen.bounds import ImageShape, Levels, NoClasses
from kgen.layers import ConditionEmbedding
from kgen.layers.attention import normalised
from kgen.models.gans.blocks import linear
from kgen.models.gans.gan import GAN
from kgen.models.gans.networks import conditioned
from kgen.spaces import Labels
from kgen.training import Given

CONDITION_SIZE = 64  # of the vector of a condition that is no label


@keras.saving.register_keras_serializable("kgen")
class ProjectionGAN(Given, GAN):
    """Conditional GAN with a projection discriminator (Miyato & Koyama 2018).

    Takeru Miyato, Masanori Koyama: cGANs with Projection Discriminator. 2018, arXiv:1802.05637.
    `fit(images, labels)` trains it. Equation 3, with hinge losses:

        D(x, y) = w . phi(x) + b + e_y . phi(x)
        discriminator_loss = E_x,y[ max(0, 1 - D(x, y)) ] + E_z,y[ max(0, 1 + D(G(z, y), y)) ]
        generator_loss     = -E_z,y[ D(G(z, y), y) ]

    Args:
        classes: number of labels, 0..classes-1; 0 for captions or attributes alone.
        architecture: "dense", "conv" or "resnet".
        loss: "hinge", or another one of the `GAN`.
        spectral_normalization: whether D's kernels are divided by their largest singular value.
        generator_spectral_normalization: the same of G's kernels but the last.
        kwargs: see `GAN`, and `Given` for captions and attributes.

    Metrics: see `SNGAN`.

    Attributes:
        condition_encoder: of a condition that is no label, its vectors (n, 64); else None.
    """

    conditional_generator = True
    small_arguments = {
        **{"latent_size": 4, "base_channels": 2, "architecture": "resnet", "classes": 10},
        **{"ema": 0.9, "augment": ("translation",), "background": 1},
    }

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        classes: NoClasses = 10,
        architecture: Literal["dense", "conv", "resnet"] = "conv",
        loss: Literal["non_saturating", "minimax", "hinge"] = "hinge",
        spectral_normalization: bool = True,
        generator_spectral_normalization: bool = True,
        **kwargs,
    ):
        settings = {"classes": classes, "architecture": architecture, "loss": loss}
        settings["spectral_normalization"] = spectral_normalization
        settings["generator_spectral_normalization"] = generator_spectral_normalization
        super().__init__(image_shape, levels, **settings, **kwargs)
        self.condition_encoder = None
        if not isinstance(self.condition_space, Labels):
            self.condition_encoder = ConditionEmbedding(
                self.condition_space, CONDITION_SIZE, False, self.text_encoder
            )
            networks = "discriminator", "condition_encoder"
            self.players = {"discriminator": networks, "generator": ("generator",)}

    # === Networks ===

    def build_generator(self):
        self.check_given()
        latents, vectors = layers.Input((self.latent_size,)), layers.Input((self.vector_size,))
        images = conditioned(self.generator_layers(), latents, vectors)
        return keras.Model([latents, vectors], images, name="generator")

    def build_discriminator(self):
        images, vectors = layers.Input(self.image_shape), layers.Input((self.vector_size,))
        features = conditioned(self.feature_layers(), images, None)  # phi(x), (n, k)
        settings = {"use_bias": False, "spectral": self.spectral_normalization, "dtype": "float32"}
        embedded = linear(layers.Dense, features.shape[-1], **settings)(vectors)  # e_y, (n, k)
        products = ops.sum(embedded * ops.cast(features, "float32"), axis=-1, keepdims=True)
        logits = self.logit_layer()(features) + products
        return keras.Model([images, vectors], logits, name="discriminator")

    @property
    def vector_size(self):
        return self.classes if isinstance(self.condition_space, Labels) else CONDITION_SIZE

    # === Training ===

    def recommended_optimizer(self):
        rates = {"discriminator": 4e-4, "generator": 1e-4}
        return {player: keras.optimizers.Adam(rate, 0.0, 0.9) for player, rate in rates.items()}

    def with_condition(self, inputs, condition):
        """The inputs of a network, and a vector of the condition: of a label, the one-hot one."""
        if self.condition_encoder is None:
            return [inputs, ops.one_hot(condition, self.classes)]
        return [inputs, normalised(self.condition_encoder(condition))]
