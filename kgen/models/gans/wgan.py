"""Wasserstein generative adversarial network.

Martin Arjovsky, Soumith Chintala, Leon Bottou: Wasserstein GAN. 2017, arXiv:1701.07875.

A critic D, steep at most by some constant, gives every image a number; the largest difference of
means it can reach is that constant times the distance over which the generated images would have to
be moved to become the real ones (equation 2). It climbs to it, the generator descends:

    discriminator_loss = E_z[ D(G(z)) ] - E_x[ D(x) ]
    generator_loss     = -E_z[ D(G(z)) ]

What bounds the steepness is clipping: after each of the critic's `critic_steps` moves its weights
are set back into [-clip, clip] (algorithm 1, line 7). As in the paper: RMSprop, 5 critic steps.

Deviations: rates of 0.001 for the critic and 0.005 for the generator, whose falls over 15,000
steps, and a clip of 0.1 (0.00005 and 0.01 in the paper). One run each on MNIST at width 16, Frechet
distances after 1,900 steps of one critic step: 231, 110 and 103 with the generator's rate at
0.0005, 0.001 and 0.002; 87 at 0.005 with the critic's at 0.002. A critic at 0.003 told nothing any
more after 13 epochs at width 32; one whose rate falls, too, tells less (143 in place of 119 after
3,000 steps). `critic_steps=1` is cheaper than the 5 and did as well; after 15,000 steps of it at
width 32, batches of 128 came to 20, of 64 to 30. The `dcgan`'s networks at 28x28; all critic steps
of a round see the same real images. The critic is the player `discriminator`, so that it has every
GAN's options.
"""

import keras
from keras import ops

from kgen.bounds import ImageShape, Levels, Moves, Positive
from kgen.errors import KgenError
from kgen.models.gans.base import GANBase


class Wasserstein(GANBase):
    """What the two Wasserstein networks share; a subclass bounds the critic's steepness.

    Args:
        critic_steps: moves of the critic for one of the generator.
        kwargs: as of `GANBase`; there are no targets, and no `label_smoothing` of them.
    """

    discriminator_saturates = False  # the better the critic, the better what it tells
    discriminator_has_bias = False  # both means have it: it has no part in the loss
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

    def cosine_decay(self, start, moves):
        """A rate that falls to a fiftieth of `start` over so many moves of a player."""
        return keras.optimizers.schedules.CosineDecay(start, moves, alpha=0.02)

    def decision_boundary(self, real_logits, fake_logits):
        return 0.5 * (ops.mean(real_logits) + ops.mean(fake_logits))


@keras.saving.register_keras_serializable("kgen")
class WGAN(Wasserstein):
    """Wasserstein generative adversarial network (Arjovsky et al. 2017).

    The generator's recommended rate falls to a fiftieth over 15,000 steps; for a longer training,
    `compile` with another.

    Args:
        clip: the largest absolute value of the critic's weights.
        kwargs: as of `Wasserstein`.

    Metrics: as of `GANBase`; -`discriminator_loss` is an estimate of the distance, up to a
    constant factor. A critic has no boundary of its own: the accuracies are those of the boundary
    midway between its means.
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
        self.after_discriminator_update()  # the initial weights, too, stand within the bounds

    def recommended_optimizer(self):
        rates = {"discriminator": 1e-3, "generator": self.cosine_decay(5e-3, 15_000)}
        return {player: keras.optimizers.RMSprop(rate) for player, rate in rates.items()}

    def after_discriminator_update(self):
        for weight in self.discriminator.trainable_variables:
            weight.assign(ops.clip(weight, -self.clip, self.clip))
