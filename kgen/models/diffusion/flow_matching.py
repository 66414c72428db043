"""Flow matching on straight paths, also known as rectified flow.

Yaron Lipman, Ricky T. Q. Chen, Heli Ben-Hamu, Maximilian Nickel, Matt Le: Flow Matching for
Generative Modeling. 2022, arXiv:2210.02747. Xingchao Liu, Chengyue Gong, Qiang Liu: Flow Straight
and Fast: Learning to Generate and Transfer Data with Rectified Flow. 2022, arXiv:2209.03003.

A straight line leads from noise x_0 ~ N(0, I) at t = 0 to an image x_1 at t = 1. The network v
learns the velocity of the points that pass x at time t (Liu et al., equation 1):

    E_{t, x_0, x_1} |(x_1 - x_0) - v(x_t, t)|^2,   x_t = t x_1 + (1 - t) x_0

Sampling solves dx/dt = v(x, t) from t = 0 to 1.

Deviations: times are logit-normal by default (Esser et al. 2024, arXiv:2403.03206, section 3.1),
which gives the middle of the path more weight than the ends. Pixels are modelled as
(level + u) / levels with uniform noise u, so that `log_prob` is a bound of a probability mass.
Noise and images are paired at random: pairing them by optimal transport in each batch (Tong et al.
2023, arXiv:2302.00482) would tie the noise to the condition, so that conditional samples from
independent noise come out wrong, and it needs an assignment solver outside of the compiled step.
"""

import math
from typing import Literal

import keras
import numpy as np
from keras import ops

from kgen.bounds import ImageShape, Levels, Number
from kgen.models.diffusion import samplers
from kgen.models.diffusion.base import Diffusion, Guidance
from kgen.models.diffusion.flow_likelihood import FlowLikelihood
from kgen.models.diffusion.paths import StraightPath
from kgen.models.diffusion.predictions import VelocityPrediction


@keras.saving.register_keras_serializable("kgen")
class FlowMatching(FlowLikelihood, Diffusion):
    """Flow matching on straight paths (Lipman et al. 2022; Liu et al. 2022).

    Minimises the squared error of the velocity, with x_t = t x_1 + (1 - t) x_0:

        E_{t, x_0, x_1} |(x_1 - x_0) - v(x_t, t)|^2

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel.
        time_distribution: of t in training: "uniform", or "logit_normal", the sigmoid of N(0, 1).
        kwargs: see `Diffusion`.

    Metrics: `loss`, the mean squared error of the velocity per pixel.

    Examples:
        >>> model = kgen.FlowMatching((8, 8, 1), levels=17, base_channels=8, multipliers=(1, 2))
        >>> model.sample(2, seed=0, steps=4, sampler="euler").shape
        (2, 8, 8, 1)
    """

    small_arguments = Diffusion.small_arguments
    dequantized = True
    noise_path = StraightPath()
    prediction = VelocityPrediction()

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        time_distribution: Literal["uniform", "logit_normal"] = "logit_normal",
        **kwargs,
    ):
        self.time_distribution = time_distribution
        super().__init__(image_shape, levels, **kwargs)

    def draw_times(self, uniform):
        if self.time_distribution == "uniform":
            return uniform
        normal = math.sqrt(2.0) * ops.erfinv(2.0 * ops.clip(uniform, 1e-6, 1.0 - 1e-6) - 1.0)
        return ops.sigmoid(normal)

    def times(self, steps):
        return np.linspace(0.0, 1.0, steps + 1)

    def inversion_times(self, steps):
        return self.times(steps)[::-1]

    def sample(
        self,
        count=None,
        condition=None,
        seed=None,
        steps: Number = 18,
        sampler: Literal["euler", "heun", "rk4", "ddim", "dpm_solver++", "ancestral"] = "heun",
        guidance: Guidance = 1.0,
    ):
        """`count` images, uint8 up to 256 levels.

        Args:
            count, condition, seed: see `GenerativeModel.sample`.
            steps: equal steps from t = 0 to 1. Each evaluates the network once, twice ("heun") or
                four times ("rk4").
            sampler: "euler" (which is "ddim"), "heun", "rk4", "dpm_solver++" or "ancestral".
            guidance: weight of the condition: 1 plain, 0 unconditional, above 1 exaggerated.
        """
        given = self.sampling_arguments(steps=steps, sampler=sampler, guidance=guidance)
        schedule = samplers.schedule_of(
            self.noise_path, self.times(given["steps"]), given["guidance"]
        )
        return self.sampled(count, condition, seed, given["sampler"], schedule)
