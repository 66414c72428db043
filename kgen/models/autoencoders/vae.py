"""Variational autoencoder.

Diederik P. Kingma, Max Welling: Auto-Encoding Variational Bayes. 2013, arXiv:1312.6114.

A decoder maps a latent z ~ N(0, I) to p(x|z), a distribution of independent pixels. An encoder
approximates the posterior by q(z|x) = N(mean(x), variance(x)). Training maximises the evidence
lower bound, the ELBO (equation 3):

    log p(x) >= E_q(z|x)[ log p(x|z) ] - KL( q(z|x) || p(z) )
                 = -reconstruction      - kl

The expectation is estimated by one reparametrised draw z = mean + exp(log_variance / 2) * noise per
image (equation 4). Encoder and decoder are those of the plain autoencoder (`autoencoder.py`).

Deviations: ReLU instead of tanh and Adam instead of Adagrad (each reaches a better bound in the
same time); for images of more than two levels a discretised logistic instead of a Gaussian decoder,
so that the bound is on a probability mass; `architecture="conv"` is ours.
"""

import math
from typing import ClassVar, Literal

import keras
import numpy as np
from keras import ops

from kgen.distributions import normal_kl, normal_log_prob, standard_normal_log_prob
from kgen.inference import importance_weighted_bound, in_chunks, inference, keras_sampler, repeated
from kgen.models.autoencoders.autoencoder import Autoencoder


@keras.saving.register_keras_serializable("kgen")
class VAE(Autoencoder):
    """Variational autoencoder (Kingma & Welling 2013).

    Diederik P. Kingma, Max Welling: Auto-Encoding Variational Bayes. 2013, arXiv:1312.6114.
    Maximises the evidence lower bound (equation 3), with z ~ N(0, I):

        log p(x) >= E_q(z|x)[ log p(x|z) ] - KL( q(z|x) || p(z) )

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel; Bernoulli pixels for 2, else discretised logistic ones.
        latent_size: dimensions of the latent z.
        hidden: units of each hidden layer of the dense encoder; mirrored in the decoder.
        architecture: "dense", or "conv" for strided convolutions.
        base_channels: "conv" only: channels of the first convolution, doubled at each further one.

    Metrics: `loss` = `reconstruction` + `kl`, all in nats per image.
    """

    metric_names = ("loss", "reconstruction", "kl")
    likelihood = "bound"
    can_sample = True
    has_sampler = True
    has_normal_posterior = True
    picture_arguments: ClassVar[dict] = {"mode": "median"}
    outputs_per_latent = 2  # mean and log variance

    # === Training ===

    def objective(self, images, condition, training):
        mean, log_variance = self.posterior(images, condition, training)  # (n, latent_size) each
        noise = self.normal(ops.shape(mean))
        latents = mean + ops.exp(0.5 * log_variance) * noise
        parameters = self.apply_decoder(latents, condition, training)
        reconstruction = -ops.mean(self.likelihood_distribution.log_prob(images, parameters))
        kl = ops.mean(normal_kl(mean, log_variance))
        return reconstruction + kl, {"reconstruction": reconstruction, "kl": kl}

    def posterior(self, images, condition=None, training=False):
        """Mean and log variance of q(z|x), float32 (n, latent_size) each."""
        outputs = self.apply_encoder(images, condition, training)
        return ops.split(outputs, self.outputs_per_latent, axis=-1)

    def posterior_draws(self, images, condition, noise, training=False):
        """Draws z ~ q(z|x), mean + std * `noise` (k, n, d), and log q(z|x) in nats, (k, n)."""
        mean, log_variance = self.posterior(images, condition, training)  # (n, d)
        latents = mean + ops.exp(0.5 * log_variance) * noise  # (k, n, d)
        return latents, normal_log_prob(latents, mean, log_variance)

    def log_weights(self, images, condition, noise, training=False):
        """log( p(x|z) p(z) / q(z|x) ) in nats, (k, n), for the draws of `noise` (k, n, d)."""
        latents, log_posterior = self.posterior_draws(images, condition, noise, training)
        samples = ops.shape(noise)[0]
        condition = repeated(condition, samples)
        flat = ops.reshape(latents, (-1, self.latent_size))  # (k * n, d)
        parameters = self.apply_decoder(flat, condition, training)
        parameters = ops.reshape(parameters, ops.shape(noise)[:2] + tuple(parameters.shape[1:]))
        log_prior = standard_normal_log_prob(latents)
        return self.likelihood_distribution.log_prob(images, parameters) + log_prior - log_posterior

    # === Inference ===

    def encode(self, images, condition=None):
        """Mean and log variance of q(z|x) for uint8 images, float32 (n, latent_size) each."""
        outputs = super().encode(images, condition)
        return tuple(np.split(outputs, self.outputs_per_latent, axis=-1))

    def latents(self, images, condition=None):
        """The posterior means of uint8 images, float32 (n, latent_size)."""
        return self.encode(images, condition)[0]

    def sample(
        self, count=None, condition=None, seed=None, mode: Literal["draw", "median"] = "draw"
    ):
        """`count` images decoded from latents z ~ N(0, I), uint8.

        Args:
            count, condition, seed: see `GenerativeModel.sample`.
            mode: "draw" draws x ~ p(x|z), so that images follow the distribution that `log_prob`
                scores. "median" takes the median of p(x|z), without noise in each pixel, as papers
                do in figures. Equal seeds give equal z in both modes.

        Examples:
            >>> model = kgen.VAE((8, 8, 1), levels=17)
            >>> images = model.sample(3, seed=0, mode="median")
            >>> images.shape, images.dtype
            ((3, 8, 8, 1), dtype('uint8'))
            >>> np.array_equal(images, model.sample(3, seed=0, mode="median"))  # equal seeds
            True
        """
        mode = self.sampling_arguments(mode=mode)["mode"]
        noise = self.latent_size + math.prod(self.image_shape)
        count, condition = self.to_sample(count, condition, noise)
        generator = np.random.default_rng(seed)
        latents = generator.standard_normal((count, self.latent_size), "float32")
        if mode == "median":
            return in_chunks(self._decode, latents, condition)
        uniform = generator.random((count, *self.image_shape), "float32")
        return in_chunks(self._draw, latents, uniform, condition)

    def sampler(self):
        """A Keras model from latents to the median of p(x|z); see `GenerativeModel.sampler`.

        Examples:
            >>> model = kgen.VAE((8, 8, 1), levels=17, latent_size=2)
            >>> latents = np.random.default_rng(0).standard_normal((3, 2), "float32")
            >>> images = np.asarray(model.sampler().predict(latents, verbose=0))
            >>> np.array_equal(images, model.sample(3, seed=0, mode="median"))  # of these latents
            True
        """
        return keras_sampler(self, self._images_of)

    def log_prob(self, images, condition=None, samples=1, seed=None):
        """The importance-weighted lower bound of log p(x) in nats per image, (n,).

        With k = `samples` draws z_1..z_k from q(z|x): log 1/k sum_k p(x|z_k) p(z_k) / q(z_k|x)
        (Burda et al. 2015, arXiv:1509.00519, equation 8). For k = 1 it is an unbiased estimate of
        the ELBO. Its mean rises with k.
        """
        images = self.checked_items(images)
        generator = np.random.default_rng(seed)

        def noise(samples, images):
            return generator.standard_normal((samples, images, self.latent_size), "float32")

        condition = self.checked_condition(condition, len(images))
        return importance_weighted_bound(self._log_weights, samples, noise, images, condition)

    @inference
    def _draw(self, latents, uniform, condition=None):
        return self.likelihood_distribution.sample(self.apply_decoder(latents, condition), uniform)

    @inference
    def _log_weights(self, images, noise, condition=None):
        return self.log_weights(images, condition, noise)
