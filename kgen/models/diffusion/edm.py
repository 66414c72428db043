"""EDM: elucidating the design space of diffusion models.

Tero Karras, Miika Aittala, Timo Aila, Samuli Laine: Elucidating the Design Space of Diffusion-Based
Generative Models. 2022, arXiv:2206.00364.

Noise of standard deviation sigma is added to an image x. The denoiser D estimates x from the noisy
image y = x + sigma eps (equation 7):

    D(y; sigma) = c_skip(sigma) y + c_out(sigma) F(c_in(sigma) y; ln(sigma) / 4)

with coefficients that give the network F inputs and targets of variance 1 at every sigma. Training
minimises (equation 8; its weight makes that of F's error 1):

    E_{x, sigma, eps} (sigma^2 + sigma_data^2) / (sigma sigma_data)^2 |D(y; sigma) - x|^2

Sampling solves dx/dsigma = (x - D(x; sigma)) / sigma from sigma = 80 to 0 by Heun's method.

Deviations: the U-Net is far smaller than the paper's, without its augmentation. `sigma_data` is
measured on the first batch, as the root mean square of the scaled pixels: 0.5, the paper's, is that
of CIFAR-10, while it is 0.96 for MNIST. ln(sigma) is drawn around -1.2 + ln(sigma_data / 0.5).
Pixels are modelled as (level + u) / levels with uniform noise u, so that `log_prob` is a bound of a
probability mass; a sample's pixel is the level in whose bin it lies.
"""

import math
from typing import Annotated

import keras
import numpy as np
from keras import ops

from kgen.bounds import Bounds, ImageShape, Levels, Number, Weight
from kgen.errors import KgenError
from kgen.models.diffusion import samplers
from kgen.models.diffusion.base import Diffusion, Guidance, Sampler
from kgen.models.diffusion.flow_likelihood import FlowLikelihood
from kgen.models.diffusion.paths import ExplodingPath, karras_sigmas
from kgen.models.diffusion.predictions import EDMPrediction

SIGMA_DATA = 0.5  # for which `noise_mean` is stated
SMALLEST, LARGEST = 0.002, 80.0  # sigma in sampling
Logarithm = Annotated[float, Bounds(-10, 10)]
Spread = Annotated[float, Bounds(0, 5, open="least")]
MOST_ADDED = math.sqrt(2.0) - 1.0


@keras.saving.register_keras_serializable("kgen")
class EDM(FlowLikelihood, Diffusion):
    """Diffusion with preconditioning and Heun's sampler (Karras et al. 2022).

    Tero Karras, Miika Aittala, Timo Aila, Samuli Laine: Elucidating the Design Space of
    Diffusion-Based Generative Models. 2022, arXiv:2206.00364. Minimises (equation 8)

        E_{x, sigma, eps} (sigma^2 + s^2) / (sigma s)^2 |D(x + sigma eps; sigma) - x|^2

    with s = `sigma_data` and ln(sigma) normal.

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel.
        sigma_data: root mean square of the pixels in [-1, 1]; 0 to measure it on the first batch.
        noise_mean, noise_deviation: of ln(sigma) in training, for sigma_data 0.5 (P_mean and P_std
            of the paper).
        kwargs: see `Diffusion`.

    Metrics: `loss`, the mean squared error of the network per pixel; below 1.

    Examples:
        >>> model = kgen.EDM((8, 8, 1), levels=17, base_channels=8, multipliers=(1, 2))
        >>> model.sample(2, seed=0, steps=4).shape
        (2, 8, 8, 1)
    """

    small_arguments = Diffusion.small_arguments
    dequantized = True
    prior_deviation = LARGEST
    highest_frequency = 16.0  # of ln(sigma) / 4, from -1.6 to 1.1
    noise_path = ExplodingPath()

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        sigma_data: Weight = 0.0,
        noise_mean: Logarithm = -1.2,
        noise_deviation: Spread = 1.2,
        **kwargs,
    ):
        self.sigma_data = sigma_data
        self.noise_mean, self.noise_deviation = noise_mean, noise_deviation
        super().__init__(image_shape, levels, **kwargs)
        self.measured = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(sigma_data),
            trainable=False,
            dtype="float32",
            autocast=False,
            name="sigma_data",
        )

    @property
    def prediction(self):
        return EDMPrediction(ops.where(self.measured.value > 0.0, self.measured.value, SIGMA_DATA))

    def noise_level(self, point):
        return ops.log(point.sigma) / 4.0  # c_noise

    def draw_times(self, uniform):
        """ln(sigma), normally distributed, by the inverse of its distribution function."""
        normal = math.sqrt(2.0) * ops.erfinv(2.0 * ops.clip(uniform, 1e-6, 1.0 - 1e-6) - 1.0)
        scale = self.prediction.sigma_data / SIGMA_DATA
        return ops.exp(self.noise_mean + self.noise_deviation * normal) * scale

    def times(self, steps):
        return karras_sigmas(steps, SMALLEST, LARGEST)

    def train_step(self, data):
        images, condition = self.unpack(data)
        self.measure(images)
        loss, terms = self.minimize(self.objective, None, images, condition, True)
        return self.track(images, loss=loss, **terms)

    def measure(self, images):
        """Set `sigma_data` before the first step, if it was not given."""
        found = ops.sqrt(ops.mean(self.values_of(images) ** 2))
        known = self.measured.value
        self.measured.assign(ops.where(known > 0.0, known, ops.maximum(found, 0.05)))

    # === Inference ===

    def sample(
        self,
        count=None,
        condition=None,
        seed=None,
        steps: Number = 18,
        sampler: Sampler = "heun",
        guidance: Guidance = 1.0,
        churn: Weight = 0.0,
    ):
        """`count` images, uint8 up to 256 levels.

        Args:
            count, condition, seed: see `GenerativeModel.sample`.
            steps: noise levels, from 80 to 0.002 (equation 5). Heun's method evaluates the network
                2 steps - 1 times, all others once a step.
            sampler: "heun", "ddim" (Euler's method), "dpm_solver++" or "ancestral".
            guidance: weight of the condition: 1 plain, 0 unconditional, above 1 exaggerated.
            churn: S_churn of algorithm 2, for "heun": noise added in the steps; 0 adds none.
        """
        given = {"steps": steps, "sampler": sampler, "guidance": guidance, "churn": churn}
        given = self.sampling_arguments(**given)
        if given["churn"] and given["sampler"] != "heun":
            raise KgenError(
                f"Expected churn 0 for {sampler}, received {churn}: leave it out, or choose heun."
            )
        schedule = samplers.schedule_of(
            self.noise_path, self.times(given["steps"]), given["guidance"]
        )
        schedule = churned(schedule, given["churn"])
        noisy = True if given["churn"] else None
        return self.sampled(count, condition, seed, given["sampler"], schedule, noisy)


def churned(schedule, churn):
    """A schedule in which each step first raises sigma by a factor (Karras et al., algorithm 2)."""
    schedule = schedule.copy()
    sigma = schedule[:, 4].astype("float64")
    raised = sigma * (1.0 + min(churn / len(schedule), MOST_ADDED))
    schedule[:, 1] = np.sqrt(raised**2 - sigma**2)
    schedule[:, 2] = schedule[:, 4] = raised
    return schedule
