"""Beta-VAE.

Irina Higgins et al.: beta-VAE: Learning Basic Visual Concepts with a Constrained Variational
Framework. ICLR 2017, openreview:Sy2fzU9gl.

A variational autoencoder whose KL term has the weight `beta` (equation 4):

    loss = reconstruction + beta * kl

beta > 1 limits the information in the latents. This encourages disentanglement, each dimension
standing for one independent factor, at the price of blurrier reconstructions. `log_prob` is still
the unweighted lower bound, of the same p(x|z) and q(z|x).

Deviations: those of the `vae`.
"""

import keras

from kgen.bounds import ImageShape, Levels, Positive
from kgen.models.autoencoders.vae import VAE


@keras.saving.register_keras_serializable("kgen")
class BetaVAE(VAE):
    """Beta-VAE (Higgins et al. 2017).

    Irina Higgins et al.: beta-VAE: Learning Basic Visual Concepts with a Constrained Variational
    Framework. ICLR 2017, openreview:Sy2fzU9gl, equation 4:

        loss = -E_q(z|x)[ log p(x|z) ] + beta KL( q(z|x) || p(z) )

    Args:
        beta: weight of the KL term, above 0; 1 gives the plain variational autoencoder.
        kwargs: see `VAE`.

    Metrics: `loss` = `reconstruction` + beta * `kl`, in nats per image.
    """

    small_arguments = {"latent_size": 4, "architecture": "conv", "base_channels": 4, "beta": 2.0}

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        beta: Positive = 4.0,
        **kwargs,
    ):
        super().__init__(image_shape, levels, **kwargs)
        self.beta = beta

    def objective(self, images, condition, training):
        _, terms = super().objective(images, condition, training)
        return terms["reconstruction"] + self.beta * terms["kl"], terms
