"""Improved DDPM: cosine schedule and learned variances.

Alex Nichol, Prafulla Dhariwal: Improved Denoising Diffusion Probabilistic Models. 2021,
arXiv:2102.09672.

The chain and the bound are those of the `ddpm`. The network also gives, for each pixel, a number w
that chooses the variance between its two bounds (equation 15):

    variance_t = exp( w log beta_t + (1 - w) log beta~_t )

Training minimises the hybrid loss (equation 16)

    L_hybrid = L_simple + 0.001 L_vlb

where L_vlb is the negative bound, of which each image draws one of the T terms, and which teaches
the variances only: it has no gradient with respect to the means.

Deviations: those of the `ddpm`; the network predicts v instead of the noise (Salimans & Ho 2022,
arXiv:2202.00512): where alpha_T is 5e-5, as at the end of a cosine schedule, dividing by it makes
every error of the noise one of the image 20,000 times as large.
"""

import math

import keras
from keras import ops

from kgen.bounds import ImageShape, Levels
from kgen.models.diffusion.ddpm import DDPM, Timesteps
from kgen.models.diffusion.paths import cosine_betas
from kgen.models.diffusion.predictions import VPrediction

BOUND_WEIGHT = 0.001  # lambda of equation 16, with L_vlb in bits per dimension


@keras.saving.register_keras_serializable("kgen")
class ImprovedDDPM(DDPM):
    """DDPM with a cosine schedule and learned variances (Nichol & Dhariwal 2021).

    Alex Nichol, Prafulla Dhariwal: Improved Denoising Diffusion Probabilistic Models. 2021,
    arXiv:2102.09672. Minimises the hybrid loss (equation 16), L_vlb being the negative bound:

        L_hybrid = E |v - v_theta(x_t, t)|^2 + 0.001 L_vlb

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel.
        timesteps: T, from 20.
        kwargs: see `Diffusion`.

    Metrics: `loss`, the hybrid loss; `error`, the mean squared error of v per pixel;
    `bits_per_dimension`, an estimate of the bound from one term for each image.

    Examples:
        >>> model = kgen.ImprovedDDPM((8, 8, 1), levels=17, base_channels=8, multipliers=(1, 2))
        >>> model.sample(2, seed=0, steps=4).shape
        (2, 8, 8, 1)
    """

    metric_names = ("loss", "error", "bits_per_dimension")
    outputs_per_channel = 2  # v, and what chooses the variance
    prediction = VPrediction()

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        timesteps: Timesteps = 1000,
        **kwargs,
    ):
        super().__init__(image_shape, levels, timesteps=timesteps, **kwargs)

    def betas(self):
        return cosine_betas(self.timesteps)

    # === Training ===

    def objective(self, images, condition, training):
        image = self.values_of(images)
        time = self.draw_times(self.spread_uniform(ops.shape(image)[0]))[:, None, None, None]
        here, there = self.noise_path.at(time), self.noise_path.at(time - 1)
        noise = self.normal(ops.shape(image))
        noisy = here.alpha * image + here.sigma * noise
        output = self.output(noisy, here, self.embed(condition, training), training=training)
        v, choice = ops.split(output, 2, axis=-1)
        target = self.prediction.target(image, noise, here.alpha, here.sigma)
        error = ops.mean((v - target) ** 2)
        means_fixed = ops.concatenate([ops.stop_gradient(v), choice], axis=-1)
        found = self.interpreted(means_fixed, noisy, here)
        terms = self.bound_term(images, image, noise, found, here, there)
        bits = -self.timesteps * ops.mean(terms) / math.log(2.0)
        return error + BOUND_WEIGHT * bits, {"error": error, "bits_per_dimension": bits}

    def interpreted(self, output, x, point):
        output, choice = ops.split(output, 2, axis=-1)
        return super().interpreted(output, x, point)._replace(variance=0.5 * (choice + 1.0))

    def decoder_log_variance(self, found):
        least = super().decoder_log_variance(found)
        return found.variance * math.log(self.noise_path.betas[0]) + (1.0 - found.variance) * least
