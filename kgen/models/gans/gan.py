"""Generative adversarial network.

Ian Goodfellow, Jean Pouget-Abadie, Mehdi Mirza, Bing Xu, David Warde-Farley, Sherjil Ozair, Aaron
Courville, Yoshua Bengio: Generative Adversarial Networks. 2014, arXiv:1406.2661.

A generator G maps noise z to images. A discriminator D gives the logit that an image is real. With
s = sigmoid, the two play a minimax game (equation 1):

    min over G, max over D of  E_x[ log s(D(x)) ] + E_z[ log(1 - s(D(G(z)))) ]

Where D is sure, log(1 - s) is flat and G learns nothing. So G maximises log s instead (section 3):

    loss="non_saturating":  generator_loss = E_z[ -log s(D(G(z))) ]
    loss="minimax":         generator_loss = E_z[ log(1 - s(D(G(z)))) ]

The hinge losses (Lim & Ye 2017, arXiv:1705.02894) serve best with spectral normalisation (Miyato et
al. 2018, arXiv:1802.05957):

    loss="hinge":  discriminator_loss = E_x[ max(0, 1 - D(x)) ] + E_z[ max(0, 1 + D(G(z))) ]
                   generator_loss     = -E_z[ D(G(z)) ]

Deviations: batch normalisation and GELU in G, LeakyReLU in D instead of ReLU and maxout with
dropout; Adam instead of momentum; z is normal, not uniform. `reconstruction_weight`, off by
default, adds the L1 distance between generated images and the batch's images to G's loss, as some
classroom versions do. It draws the samples towards the median image.
"""

import math
from typing import Literal

import keras
from keras import ops

from kgen.bounds import ImageShape, Levels, Weight
from kgen.errors import KgenError
from kgen.models.gans.base import GANBase


@keras.saving.register_keras_serializable("kgen")
class GAN(GANBase):
    """Generative adversarial network (Goodfellow et al. 2014).

    Ian Goodfellow et al.: Generative Adversarial Networks. 2014, arXiv:1406.2661. With s = sigmoid,
    a generator G and a discriminator D play the game (equation 1)

        min over G, max over D of  E_x[ log s(D(x)) ] + E_z[ log(1 - s(D(G(z)))) ]

    By default G minimises E_z[ -log s(D(G(z))) ] instead ("non_saturating", section 3). "hinge"
    stands for the hinge losses of both players:

        discriminator_loss = E_x[ max(0, 1 - D(x)) ] + E_z[ max(0, 1 + D(G(z))) ]
        generator_loss     = -E_z[ D(G(z)) ]

    Args:
        architecture: "dense", "conv" for the DCGAN's networks, or "resnet".
        loss: "non_saturating", "minimax" or "hinge", which goes without label smoothing.
        reconstruction_weight: weight in G's loss of the mean L1 distance to the batch's images.
        kwargs: see `GANBase`.

    Metrics: see `GANBase`; losses are in nats. Where D cannot tell real from generated images,
    `discriminator_loss` is 1.386 and `generator_loss` 0.693 ("minimax": -0.693), without label
    smoothing. Hinge losses have no unit; there `discriminator_loss` is 2.
    """

    small_arguments = {
        **GANBase.small_arguments,
        "ema": 0.9,
        "label_smoothing": 0.1,
        "spectral_normalization": True,
        "r1_weight": 1.0,
    }

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        architecture: Literal["dense", "conv", "resnet"] = "dense",
        loss: Literal["non_saturating", "minimax", "hinge"] = "non_saturating",
        reconstruction_weight: Weight = 0.0,
        **kwargs,
    ):
        super().__init__(image_shape, levels, architecture=architecture, **kwargs)
        self.loss = loss
        self.reconstruction_weight = reconstruction_weight
        if loss == "hinge" and self.label_smoothing:
            raise KgenError(
                "Expected label_smoothing 0, for the hinge loss has no targets to smooth, received "
                f"{self.label_smoothing}: leave it out."
            )

    def discriminator_criterion(self, real_logits, fake_logits):
        if self.loss == "hinge":
            return ops.mean(ops.relu(1.0 - real_logits)) + ops.mean(ops.relu(1.0 + fake_logits))
        # softplus(-a) = -log s(a), softplus(a) = -log(1 - s(a))
        target = 1.0 - self.label_smoothing
        real = target * ops.softplus(-real_logits) + (1.0 - target) * ops.softplus(real_logits)
        return ops.mean(real) + ops.mean(ops.softplus(fake_logits))

    def generator_criterion(self, fake_logits):
        if self.loss == "hinge":
            return -ops.mean(fake_logits)
        if self.loss == "minimax":
            return -ops.mean(ops.softplus(fake_logits))
        return ops.mean(ops.softplus(-fake_logits))

    def decision_boundary(self, real_logits, fake_logits):
        target = 1.0 - self.label_smoothing  # where D cannot tell, s = target / 2
        return math.log(target / (2.0 - target))

    def generator_loss(self, images, condition=None, training=True):
        fakes = self.generate(ops.shape(images)[0], condition, training)
        logits = self.discriminate(self.augmented(fakes), condition, training)
        return self.generator_criterion(logits) + self.reconstruction(images, fakes), {}

    def reconstruction(self, images, fakes):
        """The weighted mean distance of uint8 `images` and generated ones; 0 if it is off."""
        if not self.reconstruction_weight:
            return 0.0
        return self.reconstruction_weight * ops.mean(ops.abs(self.scale(images) - fakes))
