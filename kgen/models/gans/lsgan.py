"""Least-squares generative adversarial network.

Xudong Mao, Qing Li, Haoran Xie, Raymond Lau, Zhen Wang, Stephen Smolley: Least Squares Generative
GANBase Networks. 2017, arXiv:1611.04076.

The discriminator's output is held against the targets 1 for real and 0 for generated images, the
generator's images against 1 (equation 9):

    discriminator_loss = 1/2 E_x[ (D(x) - 1)^2 ] + 1/2 E_z[ D(G(z))^2 ]
    generator_loss     = 1/2 E_z[ (D(G(z)) - 1)^2 ]

Where the logistic loss is flat, at generated images on the right side of the boundary but far from
the real ones, this one still pulls.

Deviations: the `dcgan`'s networks and optimizers instead of the paper's larger ones for photographs
of 112x112 (Adam with rate 0.001, beta_1 = 0.5).
"""

import keras
from keras import ops

from kgen.models.gans.base import GANBase


@keras.saving.register_keras_serializable("kgen")
class LSGAN(GANBase):
    """Least-squares generative adversarial network (Mao et al. 2017).

    Args:
        kwargs: as of `GANBase`.

    Metrics: as of `GANBase`; `discriminator_loss` is 0.25 and `generator_loss` 0.125 where D
    cannot tell, without label smoothing.
    """

    def discriminator_criterion(self, real_logits, fake_logits):
        target = 1.0 - self.label_smoothing
        return 0.5 * ops.mean((real_logits - target) ** 2) + 0.5 * ops.mean(fake_logits**2)

    def generator_criterion(self, fake_logits):
        return 0.5 * ops.mean((fake_logits - 1.0) ** 2)

    def decision_boundary(self, real_logits, fake_logits):
        return 0.5 * (1.0 - self.label_smoothing)  # midway between the targets
