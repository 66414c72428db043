"""Conditional generative adversarial network.

Mehdi Mirza, Simon Osindero: Conditional Generative GANBase Nets. 2014, arXiv:1411.1784.

The `gan`'s game, both players knowing the label y (equation 2):

    min over G, max over D of  E_x[ log s(D(x|y)) ] + E_z[ log(1 - s(D(G(z|y)|y))) ]

A generated image that is not of class y is easy to tell from the real ones of class y: G has to
listen. Its generator takes a learned vector per label beside z, the discriminator a learned picture
per label as one more channel of the image.

Deviations: those of the `gan`; labels enter as learned embeddings at the input, which suits dense
and convolutional networks alike, instead of through hidden layers of their own.
"""

import math

import keras
from keras import layers

from kgen.bounds import Classes, ImageShape, Levels
from kgen.models.gans.base import GANBase
from kgen.models.gans.gan import GAN
from kgen.spaces import Labels

LABEL_SIZE = 50  # dimensions of the generator's vector per label


@keras.saving.register_keras_serializable("kgen")
class CGAN(GAN):
    """Conditional generative adversarial network (Mirza & Osindero 2014); `fit(images, labels)`.

    Args:
        classes: number of labels, 0..classes-1.
        kwargs: as of `GAN`.

    Metrics: as of `GAN`.
    """

    conditional = True
    small_arguments = {**GANBase.small_arguments, "classes": 10}

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        classes: Classes = 10,
        **kwargs,
    ):
        self.classes = classes  # before the networks, which it widens, are built
        super().__init__(image_shape, levels, **kwargs)

    @property
    def condition_space(self):
        return Labels(self.classes)

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
