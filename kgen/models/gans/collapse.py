"""Warnings while a GAN trains: mode collapse, and a discriminator that saturates."""

import logging

import keras
import numpy as np

from kgen.errors import KgenError
from kgen.spaces import default_condition, rows_of

SAMPLES, SAMPLE_SEED = 64, 0
CONDITIONS = 8  # of a conditional model: 8 conditions, 8 samples of each
FIRST_STEPS = 300  # of G, without warnings: an untrained generator's samples are alike
ALIKE = 0.02  # threshold of `mean_deviation`, as a fraction of the range of levels
SATURATED = 0.99  # threshold of D's accuracy, on real and on generated images

logger = logging.getLogger("kgen")


class GANWarnings(keras.callbacks.Callback):
    """Keras callback that warns of mode collapse and of a saturated discriminator, once each.

    It checks after every epoch, from the generator's 300th step on.

    - Collapse: the standard deviation of a pixel over 64 samples, in the mean over pixels, is less
      than 2 % of the range. Samples of a conditional model are compared within their condition; a
      model whose condition space has no default conditions is not checked.
    - Saturation: the discriminator classifies at least 99 % of the real and of the generated images
      correctly, so that the generator learns little. A Wasserstein critic cannot saturate.

    The check draws its samples from a fixed seed and changes nothing in the training.

    Examples:
        >>> model, images = kgen.GAN((8, 8, 1), levels=17), kgen.data.load("digits").train.images
        >>> model.compile()
        >>> (warn,) = model.watchers()
        >>> history = model.fit(images[:64], callbacks=[warn], verbose=0)
        >>> warn.collapsed, warn.saturated
        (False, False)
    """

    reads_batch_logs = False

    def on_train_begin(self, logs=None):
        self.collapsed = self.saturated = False

    def on_epoch_end(self, epoch, logs=None):
        if self.collapsed and self.saturated:
            return
        model = self.model
        if int(model.optimizer["generator"].iterations) < FIRST_STEPS:
            return
        accuracy = min(logs["real_accuracy"], logs["fake_accuracy"])
        if model.discriminator_saturates and accuracy >= SATURATED and not self.saturated:
            self.saturated = True
            logger.warning(
                "kgen: epoch %d: the discriminator is right about %.1f %% of the images, so that "
                "the generator learns little. Try label_smoothing=0.1, r1_weight=10, "
                "spectral_normalization=True, or a lower learning rate of the discriminator.",
                epoch + 1,
                100 * accuracy,
            )
        deviation = _deviation_of_samples(model)
        if deviation < ALIKE and not self.collapsed:
            self.collapsed = True
            logger.warning(
                "kgen: epoch %d: the samples are nearly equal (their pixels deviate by %.1f %% of "
                "the range): the generator has collapsed. Start again with another seed, try "
                "r1_weight=10 or spectral_normalization=True, or model wgan_gp.",
                epoch + 1,
                100 * deviation,
            )


def _deviation_of_samples(model):
    if model.condition_space is None:
        return mean_deviation(model.sample(SAMPLES, seed=SAMPLE_SEED), model.levels)
    # Within each condition: different conditions make samples differ, collapsed or not.
    try:
        conditions = default_condition(model.condition_space, CONDITIONS)
    except KgenError:  # texts and images have no default condition: treated as not collapsed
        return 1.0
    group = np.arange(SAMPLES) % CONDITIONS
    condition = rows_of(conditions, group)
    samples = model.sample(SAMPLES, condition, seed=SAMPLE_SEED)
    groups = (samples[group == one] for one in range(CONDITIONS))
    return float(np.mean([mean_deviation(group, model.levels) for group in groups]))


def mean_deviation(images, levels):
    """Mean over pixels of the standard deviation across images, as a fraction of the range.

    Examples:
        >>> from kgen.models.gans.collapse import mean_deviation
        >>> mean_deviation(np.array([[[[0]]], [[[16]]]], "uint8"), levels=17)
        0.5
    """
    return float(images.std(axis=0).mean()) / (levels - 1)
