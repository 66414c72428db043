"""Conditional variational autoencoder.

Kihyuk Sohn, Honglak Lee, Xinchen Yan: Learning Structured Output Representation using Deep
Conditional Generative Models. NeurIPS 2015.

A variational autoencoder whose encoder and decoder are given the image's label y (equation 4), or
its caption or attributes:

    log p(x|y) >= E_q(z|x,y)[ log p(x|z,y) ] - KL( q(z|x,y) || p(z) )

The latent z then encodes what the label does not say: slant, width, style.

Deviations: those of the `vae`. The condition is a label, not an image. The prior of z does not
depend on the label (the paper's equation 4 has p(z|y); its experiments relax it in the same way).
The decoder's input is z and the one-hot label. The encoder's input is the image and, as one more
channel, a learned picture per label, which suits dense and convolutional encoders alike. Of other
conditions, both are layers on one learned vector.
"""

import math

import keras
from keras import layers, ops

from kgen.bounds import ImageShape, Levels, NoClasses
from kgen.layers import ConditionEmbedding
from kgen.models.autoencoders.vae import VAE
from kgen.spaces import Labels
from kgen.training import Given

CONDITION_SIZE = 64  # of the vector of a condition that is no label


@keras.saving.register_keras_serializable("kgen")
class CVAE(Given, VAE):
    """Conditional variational autoencoder (Sohn et al. 2015); `fit(images, labels)`.

    Kihyuk Sohn, Honglak Lee, Xinchen Yan: Learning Structured Output Representation using Deep
    Conditional Generative Models. NeurIPS 2015. Maximises the bound (equation 4), y the label:

        log p(x|y) >= E_q(z|x,y)[ log p(x|z,y) ] - KL( q(z|x,y) || p(z) )

    Args:
        classes: number of labels, 0..classes-1; 0 for captions or attributes alone.
        kwargs: see `VAE`, and `Given` for captions and attributes.

    Metrics: `loss` = `reconstruction` + `kl`, all in nats per image.
    """

    small_arguments = {**VAE.small_arguments, "classes": 10}

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        classes: NoClasses = 10,
        **kwargs,
    ):
        super().__init__(image_shape, levels, classes=classes, **kwargs)

    def build_networks(self):
        size, space = math.prod(self.image_shape[:2]), self.condition_space
        self.check_given()
        self.condition_vector = None
        if isinstance(space, Labels):
            super().build_networks(further_channels=1, further_latents=self.classes)
            self.label_picture = layers.Embedding(self.classes, size)
            self.label_picture.build()
        else:
            super().build_networks(further_channels=1, further_latents=CONDITION_SIZE)
            self.condition_vector = ConditionEmbedding(
                space, CONDITION_SIZE, droppable=False, text_encoder=self.text_encoder
            )
            self.label_picture = layers.Dense(size)
            self.label_picture.build((None, CONDITION_SIZE))

    def apply_encoder(self, images, condition=None, training=False):
        if self.condition_vector is not None:
            condition = self.condition_vector(condition)
        picture = self.label_picture(condition)  # (n, height * width)
        picture = ops.reshape(picture, (-1, *self.image_shape[:2], 1))
        inputs = [self.brightness(images), ops.cast(picture, "float32")]
        return self.encoder(ops.concatenate(inputs, axis=-1), training=training)

    def apply_decoder(self, latents, condition=None, training=False):
        if self.condition_vector is None:
            vector = ops.one_hot(condition, self.classes)
        else:
            vector = ops.cast(self.condition_vector(condition), "float32")
        return self.decoder(ops.concatenate([latents, vector], axis=-1), training=training)
