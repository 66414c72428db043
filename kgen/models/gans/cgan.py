"""Conditional generative adversarial network.

Mehdi Mirza, Simon Osindero: Conditional Generative Adversarial Nets. 2014, arXiv:1411.1784.

The game of the `gan`, with the label y given to both networks (equation 2), s = sigmoid:

    min over G, max over D of  E_x[ log s(D(x|y)) ] + E_z[ log(1 - s(D(G(z|y)|y))) ]

D easily tells a generated image of another class from the real images of class y, so G learns to
use the label. The generator's input is z and a learned vector per label. The discriminator's input
is the image and, as one more channel, a learned picture per label.

Deviations: those of the `gan`; labels enter as learned embeddings at the input, which suits dense
and convolutional networks alike, instead of through separate hidden layers.
"""

import math

import keras
from keras import layers

from kgen.bounds import Classes, ImageShape, Levels
from kgen.models.gans.base import GANBase
from kgen.models.gans.gan import GAN
from kgen.training import GivenLabels

LABEL_SIZE = 50  # dimensions of the generator's embedding of a label


@keras.saving.register_keras_serializable("kgen")
class CGAN(GivenLabels, GAN):
    """Conditional generative adversarial network (Mirza & Osindero 2014); `fit(images, labels)`.

    Mehdi Mirza, Simon Osindero: Conditional Generative Adversarial Nets. 2014, arXiv:1411.1784. The
    `GAN`'s game, given the label y (equation 2), with s = sigmoid:

        min over G, max over D of  E_x[ log s(D(x|y)) ] + E_z[ log(1 - s(D(G(z|y)|y))) ]

    Args:
        classes: number of labels, 0..classes-1.
        kwargs: see `GAN`.

    Metrics: see `GAN`.
    """

    small_arguments = {**GANBase.small_arguments, "classes": 10}

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        classes: Classes = 10,
        **kwargs,
    ):
        self.classes = classes  # before the networks are built, which have inputs for labels
        super().__init__(image_shape, levels, **kwargs)

    def build_generator(self):
        network = super().build_generator(further_latents=LABEL_SIZE)
        latents, labels = layers.Input((self.latent_size,)), layers.Input((), dtype="int32")
        vectors = layers.Embedding(self.classes, LABEL_SIZE)(labels)  # (n, 50)
        images = network(layers.Concatenate()([latents, vectors]))
        return keras.Model([latents, labels], images, name="generator")

    def build_discriminator(self):
        network = super().build_discriminator(further_channels=1)
        images, labels = layers.Input(self.image_shape), layers.Input((), dtype="int32")
        size = self.image_shape[:2]
        pictures = layers.Embedding(self.classes, math.prod(size))(labels)  # (n, height * width)
        pictures = layers.Reshape((*size, 1))(pictures)
        logits = network(layers.Concatenate()([images, pictures]))
        return keras.Model([images, labels], logits, name="discriminator")
