"""Wasserstein generative adversarial network with gradient penalty.

Ishaan Gulrajani, Faruk Ahmed, Martin Arjovsky, Vincent Dumoulin, Aaron Courville: Improved Training
of Wasserstein GANs. 2017, arXiv:1704.00028.

The losses of the `wgan`. The critic is made Lipschitz by a penalty on its gradient at random points
between real and generated images, instead of weight clipping (equation 3):

    discriminator_loss = E_z[ D(G(z)) ] - E_x[ D(x) ] + penalty_weight E[ (|grad D(x^)| - 1)^2 ]
    x^ = e x + (1 - e) G(z),   e uniform in [0, 1], one per image

As in the paper (algorithm 1): weight 10, 5 critic steps, Adam with beta_2 = 0.9, no batch
normalisation in the critic, as the penalty is on the gradient at each single image.

Deviations: Adam's rate decays from 0.0005 over 10,000 steps, and its beta_1 is 0.5 (paper: 0.0001
and 0); see benchmarks/records/wgan-rates.md. The networks are the `dcgan`'s at 28x28. All critic
steps of one training step see the same real images, each with new noise. A small constant is added
under the square root of the gradient's norm, where the root's derivative at 0 is infinite.
"""

import keras
from keras import ops

from kgen.bounds import ImageShape, Levels, Weight
from kgen.models.gans.wgan import Wasserstein

EPSILON = 1e-12


@keras.saving.register_keras_serializable("kgen")
class WGANGP(Wasserstein):
    """Wasserstein generative adversarial network with gradient penalty (Gulrajani et al. 2017).

    Ishaan Gulrajani et al.: Improved Training of Wasserstein GANs. 2017, arXiv:1704.00028, equation
    3, with x^ a random point between a real and a generated image:

        discriminator_loss = E_z[ D(G(z)) ] - E_x[ D(x) ] + penalty_weight E[ (|grad D(x^)| - 1)^2 ]
        generator_loss     = -E_z[ D(G(z)) ]

    The recommended learning rates decay to a fiftieth over 10,000 steps; to train for longer,
    `compile` with other optimizers.

    Args:
        penalty_weight: weight of the mean squared difference of the gradient's norm from 1.
        kwargs: see `Wasserstein`.

    Metrics: see `GANBase`. -(`discriminator_loss` - `gradient_penalty`) estimates the Wasserstein
    distance. The accuracies use the midpoint between the critic's means on real and on generated
    images as decision threshold.
    """

    batch_normalised_discriminator = False

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        penalty_weight: Weight = 10.0,
        **kwargs,
    ):
        super().__init__(image_shape, levels, **kwargs)
        self.penalty_weight = penalty_weight

    def recommended_optimizer(self):
        updates = {"discriminator": 10_000 * self.critic_steps, "generator": 10_000}
        return {
            player: keras.optimizers.Adam(self.cosine_decay(5e-4, count), beta_1=0.5, beta_2=0.9)
            for player, count in updates.items()
        }

    def gradient_penalty(self, real, fakes, condition, training):
        epsilon = self.uniform((ops.shape(real)[0], 1, 1, 1))  # e
        between = epsilon * real + (1.0 - epsilon) * fakes
        squares = self.squared_gradient_norms(between, condition, training)  # (n,)
        norms = ops.sqrt(squares + EPSILON)
        penalty = self.penalty_weight * ops.mean((norms - 1.0) ** 2)
        return penalty + super().gradient_penalty(real, fakes, condition, training)
