"""Wasserstein generative adversarial network.

Martin Arjovsky, Soumith Chintala, Leon Bottou: Wasserstein GAN. 2017, arXiv:1701.07875.

A critic D maps an image to a number. Over all K-Lipschitz critics, the largest difference between
its means on real and on generated images is K times the Wasserstein distance of the two
distributions (equation 2). The critic maximises that difference, the generator minimises it:

    discriminator_loss = E_z[ D(G(z)) ] - E_x[ D(x) ]
    generator_loss     = -E_z[ D(G(z)) ]

Weight clipping makes the critic Lipschitz: after each of its `critic_steps` updates, its weights
are clipped to [-clip, clip] (algorithm 1, line 7). As in the paper: RMSprop, 5 critic steps.

Deviations: learning rates of 0.001 for the critic and 0.005 for the generator, the latter decaying
over 15,000 steps, and clip 0.1 (paper: 0.00005 for both, and 0.01). They were chosen by Frechet
distances on MNIST: benchmarks/records/wgan-rates.md, which also compares 1 and 5 critic steps. The
networks are the `dcgan`'s at 28x28. All critic steps of one training step see the same real images.
The critic is the player `discriminator`, so that it has the options of every GAN.
"""

import keras
from keras import ops

from kgen.bounds import ImageShape, Levels, Moves, Positive
from kgen.errors import KgenError
from kgen.models.gans.base import GANBase


class Wasserstein(GANBase):
    """Base class of the Wasserstein GANs; a subclass makes the critic D Lipschitz.

        discriminator_loss = E_z[ D(G(z)) ] - E_x[ D(x) ]
        generator_loss     = -E_z[ D(G(z)) ]

    Args:
        critic_steps: updates of the critic per update of the generator.
        kwargs: see `GANBase`; `label_smoothing` must be 0, as there are no targets.
    """

    discriminator_saturates = False  # the better the critic, the more useful its gradient
    discriminator_has_bias = False  # it would cancel in the difference of the means
    small_arguments = {**GANBase.small_arguments, "critic_steps": 2}

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        critic_steps: Moves = 5,
        **kwargs,
    ):
        super().__init__(image_shape, levels, critic_steps=critic_steps, **kwargs)
        if self.label_smoothing:
            raise KgenError(
                "Expected label_smoothing 0, for the Wasserstein loss has no targets to smooth, "
                f"received {self.label_smoothing}: leave it out."
            )

    def discriminator_criterion(self, real_logits, fake_logits):
        return ops.mean(fake_logits) - ops.mean(real_logits)

    def generator_criterion(self, fake_logits):
        return -ops.mean(fake_logits)

    def cosine_decay(self, start, updates):
        """A learning rate that decays from `start` to a fiftieth of it over so many updates."""
        return keras.optimizers.schedules.CosineDecay(start, updates, alpha=0.02)

    def decision_boundary(self, real_logits, fake_logits):
        return 0.5 * (ops.mean(real_logits) + ops.mean(fake_logits))


@keras.saving.register_keras_serializable("kgen")
class WGAN(Wasserstein):
    """Wasserstein generative adversarial network (Arjovsky et al. 2017).

    Martin Arjovsky, Soumith Chintala, Leon Bottou: Wasserstein GAN. 2017, arXiv:1701.07875. The
    losses of a critic D with clipped weights and of a generator G (equation 2, algorithm 1):

        discriminator_loss = E_z[ D(G(z)) ] - E_x[ D(x) ],    |each weight of D| <= clip
        generator_loss     = -E_z[ D(G(z)) ]

    The generator's recommended learning rate decays to a fiftieth over 15,000 steps; to train for
    longer, `compile` with another optimizer.

    Args:
        clip: the largest absolute value of the critic's weights.
        kwargs: see `Wasserstein`.

    Metrics: see `GANBase`. -`discriminator_loss` estimates the Wasserstein distance, up to a
    constant factor. The accuracies use the midpoint between the critic's means on real and on
    generated images as decision threshold.
    """

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        clip: Positive = 0.1,
        **kwargs,
    ):
        super().__init__(image_shape, levels, **kwargs)
        self.clip = clip
        self.after_discriminator_update()  # clips the initial weights, too

    def recommended_optimizer(self):
        rates = {"discriminator": 1e-3, "generator": self.cosine_decay(5e-3, 15_000)}
        return {player: keras.optimizers.RMSprop(rate) for player, rate in rates.items()}

    def after_discriminator_update(self):
        for weight in self.discriminator.trainable_variables:
            weight.assign(ops.clip(weight, -self.clip, self.clip))
