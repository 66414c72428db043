"""Importance weighted autoencoder.

Yuri Burda, Roger Grosse, Ruslan Salakhutdinov: Importance Weighted Autoencoders. 2015,
arXiv:1509.00519.

The networks of a variational autoencoder, trained on a tighter lower bound (equation 8):

    log p(x) >= E[ log 1/k sum_k w_k ],   w_k = p(x|z_k) p(z_k) / q(z_k|x),   z_k ~ q(z|x)

For k = 1 it is the evidence lower bound (ELBO). It approaches log p(x) as k grows.

Deviations: those of the `vae`, and its network (the paper's one-layer model has two layers of 200
tanh units and 50 latents: `latent_size=50, hidden=(200, 200)`).
"""

import math

import keras
from keras import ops

from kgen.bounds import ImageShape, Levels, Repeats
from kgen.models.autoencoders.vae import VAE


@keras.saving.register_keras_serializable("kgen")
class IWAE(VAE):
    """Importance weighted autoencoder (Burda et al. 2015).

    Yuri Burda, Roger Grosse, Ruslan Salakhutdinov: Importance Weighted Autoencoders. 2015,
    arXiv:1509.00519. Maximises the k-sample bound (equation 8), with z_1..z_k from q(z|x):

        log p(x) >= E[ log 1/k sum_k p(x|z_k) p(z_k) / q(z_k|x) ]

    Args:
        samples: k, the number of draws of z per image in the objective.
        kwargs: see `VAE`.

    Metrics, in nats per image: `loss`, the negative k-sample bound; `negative_elbo`, the negative
    one-sample bound, averaged over the same draws.
    """

    metric_names = ("loss", "negative_elbo")
    small_arguments = {**VAE.small_arguments, "levels": 2, "samples": 3}

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        samples: Repeats = 5,
        **kwargs,
    ):
        super().__init__(image_shape, levels, **kwargs)
        self.samples = samples

    def objective(self, images, condition, training):
        noise = self.normal((self.samples, ops.shape(images)[0], self.latent_size))
        log_weights = self.log_weights(images, condition, noise, training)  # (k, n)
        bound = ops.logsumexp(log_weights, axis=0) - math.log(self.samples)  # (n,)
        return -ops.mean(bound), {"negative_elbo": -ops.mean(log_weights)}
