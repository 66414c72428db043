"""Variational autoencoder.

Diederik P. Kingma, Max Welling: Auto-Encoding Variational Bayes. 2013, arXiv:1312.6114.

A latent z ~ N(0, I) is decoded to independent pixels p(x|z); an encoder approximates the posterior
by q(z|x) = N(mean(x), variance(x)). Training maximises the evidence lower bound (equation 3)

    log p(x) >= E_q(z|x)[ log p(x|z) ] - KL( q(z|x) || p(z) )
                 = -reconstruction      - kl

with one reparametrised draw z = mean + exp(log_variance / 2) * noise per image (equation 4).

Deviations: ReLU instead of tanh and Adam instead of Adagrad (both reach a better bound in the same
time); images of more than two levels have a discretised logistic instead of a Gaussian decoder, so
that the bound is on a probability mass; `architecture="conv"` is ours.
"""

import math
from typing import Literal

import keras
import numpy as np
from keras import layers, ops

from kgen.distributions import (
    normal_kl,
    normal_log_prob,
    pixel_distribution,
    standard_normal_log_prob,
)
from kgen.errors import KgenError
from kgen.layers import Conv2D, Doubling, halved_sizes
from kgen.training import GenerativeModel, check_images, in_chunks, inference, sample_bound


@keras.saving.register_keras_serializable("kgen")
class VAE(GenerativeModel):
    """Variational autoencoder (Kingma & Welling 2013).

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel; Bernoulli pixels for 2, else discretised logistic ones.
        latent_size: dimensions of the latent z.
        hidden: units of each hidden layer of the dense encoder; mirrored in the decoder.
        architecture: "dense", or "conv" for strided convolutions.
        width: "conv" only: channels of the first convolution; each further one has twice as many.

    Terms: `loss` = `reconstruction` + `kl`, all in nats per image.
    """

    tracked = ("loss", "reconstruction", "kl")
    likelihood = "bound"
    has_latents = True

    def __init__(
        self,
        image_shape: tuple[int, ...] = (28, 28, 1),
        levels: int = 256,
        latent_size: int = 20,
        hidden: tuple[int, ...] = (500,),
        architecture: Literal["dense", "conv"] = "dense",
        width: int = 32,
        **kwargs,
    ):
        super().__init__(image_shape, levels, **kwargs)
        self.latent_size = latent_size
        self.hidden = tuple(hidden)
        self.architecture = architecture
        self.width = width
        self.pixels = pixel_distribution(levels)
        *size, channels = self.image_shape
        output_shape = (*size, channels * self.pixels.parameters_per_value)
        if architecture not in ("dense", "conv"):
            raise KgenError(f"Expected architecture 'dense' or 'conv', received {architecture!r}.")
        if architecture == "conv" and min(size) < 8:
            raise KgenError(
                f"Expected images from 8x8 for architecture 'conv', received {size[0]}x{size[1]}: "
                "use 'dense'."
            )
        if architecture == "conv":
            self.encoder = convolutional_encoder(self.image_shape, width, 2 * latent_size)
            self.decoder = convolutional_decoder(latent_size, width, output_shape)
        else:
            self.encoder = dense_encoder(self.image_shape, hidden, 2 * latent_size)
            self.decoder = dense_decoder(latent_size, hidden, output_shape)

    def recommended_optimizer(self):
        return keras.optimizers.Adam(1e-3)

    # === Training ===

    def objective(self, images, labels, training):
        mean, log_variance = self.posterior(images, training)  # (n, latent_size) each
        noise = self.normal(ops.shape(mean))
        latents = mean + ops.exp(0.5 * log_variance) * noise
        log_prob = self.pixels.log_prob(images, self.decoder(latents, training=training))  # (n,)
        reconstruction = -ops.mean(log_prob)
        kl = ops.mean(normal_kl(mean, log_variance))
        return reconstruction + kl, {"reconstruction": reconstruction, "kl": kl}

    def posterior(self, images, training=False):
        """Mean and log variance of q(z|x), float32 (n, latent_size) each."""
        outputs = self.encoder(self.scale(images), training=training)
        return ops.split(outputs, 2, axis=-1)

    # === Inference ===

    def encode(self, images):
        """Mean and log variance of q(z|x), arrays (n, latent_size), for uint8 images."""
        check_images(images, self.image_shape, self.levels)
        return in_chunks(self._encode, images)

    def decode(self, latents):
        """The median of p(x|z), uint8 images (n, height, width, channels)."""
        return in_chunks(self._decode, np.asarray(latents, "float32"))

    def reconstruct(self, images):
        """Images decoded from the posterior mean of uint8 images."""
        return self.decode(self.encode(images)[0])

    def sample(self, count, seed=None):
        """The medians of p(x|z) for `count` latents z ~ N(0, I).

        Papers show these; draws of x add each pixel's own noise: `sample_pixels`.
        """
        return self.decode(self._prior(count, np.random.default_rng(seed)))

    def sample_pixels(self, count, seed=None):
        """`count` exact draws x ~ p(x|z), z ~ N(0, I): z as in `sample` for the same seed."""
        generator = np.random.default_rng(seed)
        latents = self._prior(count, generator)
        uniform = generator.random((count, *self.image_shape), "float32")
        return in_chunks(self._draw, latents, uniform)

    def log_prob(self, images, samples=1, seed=None):
        """A lower bound of log p(x) in nats per image, (n,): importance weighted, k = `samples`.

        log 1/k sum_k p(x|z_k) p(z_k) / q(z_k|x), z_k ~ q(z|x) (Burda et al. 2015, arXiv:1509.00519,
        equation 8). For one sample an unbiased estimate of the ELBO; the bound rises with k.
        """
        check_images(images, self.image_shape, self.levels)
        generator = np.random.default_rng(seed)

        def noise(samples, images):
            return generator.standard_normal((samples, images, self.latent_size), "float32")

        return sample_bound(self._log_weights, samples, noise, images)

    def _prior(self, count, generator):
        return generator.standard_normal((count, self.latent_size), "float32")

    @inference
    def _encode(self, images):
        return self.posterior(images)

    @inference
    def _decode(self, latents):
        return self.pixels.median(self.decoder(latents))

    @inference
    def _draw(self, latents, uniform):
        return self.pixels.sample(self.decoder(latents), uniform)

    @inference
    def _log_weights(self, images, noise):
        mean, log_variance = self.posterior(images)  # (n, d)
        latents = mean + ops.exp(0.5 * log_variance) * noise  # (k, n, d)
        parameters = self.decoder(ops.reshape(latents, (-1, self.latent_size)))
        parameters = ops.reshape(parameters, ops.shape(noise)[:2] + tuple(parameters.shape[1:]))
        log_prior = standard_normal_log_prob(latents)
        log_posterior = normal_log_prob(latents, mean, log_variance)
        return self.pixels.log_prob(images, parameters) + log_prior - log_posterior  # (k, n)


# === Networks ===
# The last layers compute in float32 under any dtype policy: likelihoods are differences of large
# numbers.


def dense_encoder(image_shape, hidden, outputs):
    return keras.Sequential(
        [
            layers.Input(image_shape),
            layers.Flatten(),
            *[layers.Dense(units, "relu") for units in hidden],
            layers.Dense(outputs, dtype="float32"),
        ],
        name="encoder",
    )


def dense_decoder(latent_size, hidden, output_shape):
    return keras.Sequential(
        [
            layers.Input((latent_size,)),
            *[layers.Dense(units, "relu") for units in reversed(hidden)],
            layers.Dense(math.prod(output_shape), dtype="float32"),
            layers.Reshape(output_shape, dtype="float32"),
        ],
        name="decoder",
    )


def convolutional_encoder(image_shape, width, outputs):
    depth = len(halved_sizes(image_shape)) - 1
    return keras.Sequential(
        [
            layers.Input(image_shape),
            *[
                Conv2D(width * 2**level, 4, strides=2, padding="same", activation="relu")
                for level in range(depth)
            ],
            layers.Flatten(),
            layers.Dense(outputs, dtype="float32"),
        ],
        name="encoder",
    )


def convolutional_decoder(latent_size, width, output_shape):
    sizes = halved_sizes(output_shape)  # [(28, 28), (14, 14), (7, 7)]
    smallest = (*sizes[-1], width * 2 ** (len(sizes) - 2))  # (7, 7, 64)
    network = keras.Sequential([layers.Input((latent_size,))], name="decoder")
    network.add(layers.Dense(math.prod(smallest), "relu"))
    network.add(layers.Reshape(smallest))
    for level in reversed(range(1, len(sizes) - 1)):
        network.add(Doubling(width * 2 ** (level - 1), sizes[level], activation="relu"))
    network.add(Doubling(output_shape[-1], sizes[0], dtype="float32"))
    return network
