"""Conditional variational autoencoder.

Kihyuk Sohn, Honglak Lee, Xinchen Yan: Learning Structured Output Representation using Deep
Conditional Generative Models. NeurIPS 2015.

A variational autoencoder whose encoder and decoder know the label y of the image (equation 4)

    log p(x|y) >= E_q(z|x,y)[ log p(x|z,y) ] - KL( q(z|x,y) || p(z) )

so that z carries what the label does not say: slant, width, style.

Deviations: those of the `vae`; the condition is a label, not an image; the prior of z does not
depend on it (the paper's equation 4 has p(z|y), and its experiments relax it in the same way).
The decoder takes the label as a one-hot vector beside z, the encoder as one more channel of the
image, a learned picture per label, which suits dense and convolutional encoders alike.
"""

import math

import keras
from keras import layers, ops

from kgen.bounds import Classes, ImageShape, Levels
from kgen.models.autoencoders.vae import VAE
from kgen.spaces import Labels


@keras.saving.register_keras_serializable("kgen")
class CVAE(VAE):
    """Conditional variational autoencoder (Sohn et al. 2015); `fit(images, labels)`.

    Args:
        classes: number of labels, 0..classes-1.
        kwargs: as of `VAE`.

    Metrics: `loss` = `reconstruction` + `kl`, all in nats per image.
    """

    conditional = True
    small_arguments = {**VAE.small_arguments, "classes": 10}

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

    def build_networks(self):
        super().build_networks(further_channels=1, further_latents=self.classes)
        self.label_picture = layers.Embedding(self.classes, math.prod(self.image_shape[:2]))
        self.label_picture.build()

    def apply_encoder(self, images, condition=None, training=False):
        picture = self.label_picture(condition)  # (n, height * width)
        picture = ops.reshape(picture, (-1, *self.image_shape[:2], 1))
        inputs = [self.brightness(images), ops.cast(picture, "float32")]
        return self.encoder(ops.concatenate(inputs, axis=-1), training=training)

    def apply_decoder(self, latents, condition=None, training=False):
        one_hot = ops.one_hot(condition, self.classes)  # (n, classes)
        return self.decoder(ops.concatenate([latents, one_hot], axis=-1), training=training)
