"""Generative adversarial network with spectral normalisation and hinge losses.

Takeru Miyato, Toshiki Kataoka, Masanori Koyama, Yuichi Yoshida: Spectral Normalization for
Generative Adversarial Networks. 2018, arXiv:1802.05957.

Each kernel of the discriminator D, as a matrix, is divided by its largest singular value. This
bounds how fast D changes with the image, so that its gradient does not vanish or explode where D is
right. The players minimise the hinge losses (equations 16 and 17):

    discriminator_loss = E_x[ max(0, 1 - D(x)) ] + E_z[ max(0, 1 + D(G(z))) ]
    generator_loss     = -E_z[ D(G(z)) ]

As in the paper: Adam with rate 0.0002, beta_1 = 0 and beta_2 = 0.9, 5 updates of D per update of G.

Deviations: the `dcgan`'s networks, or with `architecture="resnet"` residual ones, in the sizes of
the other GANs here. The rates stay constant. All updates of D in one training step see the same
real images.
"""

from typing import Literal

import keras

from kgen.bounds import ImageShape, Levels, Moves
from kgen.models.gans.base import GANBase
from kgen.models.gans.gan import GAN


@keras.saving.register_keras_serializable("kgen")
class SNGAN(GAN):
    """Generative adversarial network with spectral normalisation (Miyato et al. 2018).

    Takeru Miyato et al.: Spectral Normalization for Generative Adversarial Networks. 2018,
    arXiv:1802.05957, equations 16 and 17:

        discriminator_loss = E_x[ max(0, 1 - D(x)) ] + E_z[ max(0, 1 + D(G(z))) ]
        generator_loss     = -E_z[ D(G(z)) ]

    Args:
        architecture: "dense", "conv" or "resnet".
        loss: "hinge", or another one of the `GAN`.
        critic_steps: updates of D per update of G.
        spectral_normalization: whether D's kernels are divided by their largest singular value.
        kwargs: see `GAN`.

    Metrics: see `GANBase`. Where D cannot tell real from generated images, `discriminator_loss` is
    2 and `generator_loss` 0.
    """

    small_arguments = {
        **GANBase.small_arguments,
        **{"critic_steps": 1, "generator_spectral_normalization": True, "ema": 0.9},
        **{"r1_weight": 0.1, "r1_every": 2, "minibatch_deviation": True},
        **{"augment": ("translation", "cutout", "color")},
    }

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        architecture: Literal["dense", "conv", "resnet"] = "conv",
        loss: Literal["non_saturating", "minimax", "hinge"] = "hinge",
        critic_steps: Moves = 5,
        spectral_normalization: bool = True,
        **kwargs,
    ):
        given = {"architecture": architecture, "loss": loss, "critic_steps": critic_steps}
        given["spectral_normalization"] = spectral_normalization
        super().__init__(image_shape, levels, **given, **kwargs)

    def recommended_optimizer(self):
        return {player: keras.optimizers.Adam(2e-4, 0.0, 0.9) for player in self.players}
