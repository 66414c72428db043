"""Least-squares generative adversarial network.

Xudong Mao, Qing Li, Haoran Xie, Raymond Lau, Zhen Wang, Stephen Smolley: Least Squares Generative
Adversarial Networks. 2017, arXiv:1611.04076.

Least-squares losses. D's targets are 1 for real and 0 for generated images; G's target for D's
output is 1 (equation 9):

    discriminator_loss = 1/2 E_x[ (D(x) - 1)^2 ] + 1/2 E_z[ D(G(z))^2 ]
    generator_loss     = 1/2 E_z[ (D(G(z)) - 1)^2 ]

Generated images that D takes for real but that lie far from the real ones have almost no gradient
under the logistic loss. Under this one they do.

Deviations: the `dcgan`'s networks and optimizers instead of the paper's larger ones for photographs
of 112x112 (Adam with rate 0.001, beta_1 = 0.5).
"""

import keras
from keras import ops

from kgen.models.gans.base import GANBase


@keras.saving.register_keras_serializable("kgen")
class LSGAN(GANBase):
    """Least-squares generative adversarial network (Mao et al. 2017).

    Xudong Mao et al.: Least Squares Generative Adversarial Networks. 2017, arXiv:1611.04076,
    equation 9:

        discriminator_loss = 1/2 E_x[ (D(x) - 1)^2 ] + 1/2 E_z[ D(G(z))^2 ]
        generator_loss     = 1/2 E_z[ (D(G(z)) - 1)^2 ]

    Args:
        kwargs: see `GANBase`.

    Metrics: see `GANBase`. Where D cannot tell real from generated images, `discriminator_loss`
    is 0.25 and `generator_loss` 0.125, without label smoothing.
    """

    def discriminator_criterion(self, real_logits, fake_logits):
        target = 1.0 - self.label_smoothing
        return 0.5 * ops.mean((real_logits - target) ** 2) + 0.5 * ops.mean(fake_logits**2)

    def generator_criterion(self, fake_logits):
        return 0.5 * ops.mean((fake_logits - 1.0) ** 2)

    def decision_boundary(self, real_logits, fake_logits):
        return 0.5 * (1.0 - self.label_smoothing)  # midway between the targets
