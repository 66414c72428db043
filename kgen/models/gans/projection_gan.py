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

Deviations: the `dcgan`'s networks unless `architecture="resnet"`; there phi(x) is not summed over
positions. The last kernel of G is not normalised, so that images can reach black and white.
"""

from typing import Literal

import keras
from keras import layers, ops

from kgen.bounds import Classes, ImageShape, Levels
from kgen.models.gans.blocks import linear
from kgen.models.gans.gan import GAN
from kgen.models.gans.networks import labelled
from kgen.training import GivenLabels


@keras.saving.register_keras_serializable("kgen")
class ProjectionGAN(GivenLabels, GAN):
    """Conditional GAN with a projection discriminator (Miyato & Koyama 2018).

    Takeru Miyato, Masanori Koyama: cGANs with Projection Discriminator. 2018, arXiv:1802.05637.
    `fit(images, labels)` trains it. Equation 3, with hinge losses:

        D(x, y) = w . phi(x) + b + e_y . phi(x)
        discriminator_loss = E_x,y[ max(0, 1 - D(x, y)) ] + E_z,y[ max(0, 1 + D(G(z, y), y)) ]
        generator_loss     = -E_z,y[ D(G(z, y), y) ]

    Args:
        classes: number of labels, 0..classes-1.
        architecture: "dense", "conv" or "resnet".
        loss: "hinge", or another one of the `GAN`.
        spectral_normalization: whether D's kernels are divided by their largest singular value.
        generator_spectral_normalization: the same of G's kernels but the last.
        kwargs: see `GAN`.

    Metrics: see `SNGAN`.
    """

    small_arguments = {
        **{"latent_size": 4, "base_channels": 2, "architecture": "resnet", "classes": 10},
        **{"ema": 0.9, "augment": ("translation",), "background": 1},
    }

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        classes: Classes = 10,
        architecture: Literal["dense", "conv", "resnet"] = "conv",
        loss: Literal["non_saturating", "minimax", "hinge"] = "hinge",
        spectral_normalization: bool = True,
        generator_spectral_normalization: bool = True,
        **kwargs,
    ):
        self.classes = self.generator_classes = classes
        given = {"architecture": architecture, "loss": loss}
        given["spectral_normalization"] = spectral_normalization
        given["generator_spectral_normalization"] = generator_spectral_normalization
        super().__init__(image_shape, levels, **given, **kwargs)

    def recommended_optimizer(self):
        rates = {"discriminator": 4e-4, "generator": 1e-4}
        return {player: keras.optimizers.Adam(rate, 0.0, 0.9) for player, rate in rates.items()}

    def build_generator(self):
        latents, labels = layers.Input((self.latent_size,)), layers.Input((), dtype="int32")
        images = labelled(self.generator_layers(), latents, labels)
        return keras.Model([latents, labels], images, name="generator")

    def build_discriminator(self):
        images, labels = layers.Input(self.image_shape), layers.Input((), dtype="int32")
        features = labelled(self.feature_layers(), images, None)  # phi(x), (n, k)
        settings = {"use_bias": False, "spectral": self.spectral_normalization, "dtype": "float32"}
        embedding = linear(layers.Dense, features.shape[-1], **settings)
        vectors = embedding(ops.one_hot(labels, self.classes))  # e_y, (n, k)
        products = ops.sum(vectors * ops.cast(features, "float32"), axis=-1, keepdims=True)
        logits = self.logit_layer()(features) + products
        return keras.Model([images, labels], logits, name="discriminator")
