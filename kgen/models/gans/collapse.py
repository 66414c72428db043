"""Warnings while a GAN trains: its samples collapse, or its discriminator saturates."""

import logging

import keras
import numpy as np

from kgen.errors import KgenError
from kgen.spaces import default_condition, rows_of

SAMPLES, SAMPLE_SEED = 64, 0
CONDITIONS = 8  # looked at, of a conditional model, so that each has some of the samples
FIRST_STEPS = 300  # in which no generator is judged: its samples are alike, it has learned nothing
ALIKE = 0.02  # of the range of levels: mean deviation of a pixel over the samples
SATURATED = 0.99  # accuracy on real and on generated images

logger = logging.getLogger("kgen")


class GANWarnings(keras.callbacks.Callback):
    """Logs one line, once, when a GAN's samples collapse, and one when its discriminator saturates.

    Looked at after every epoch, from the 300th step of the generator on. Collapse: 64 samples
    differ, in the mean over pixels, by less than 2 % of the range; those of a conditional model are
    held against others of their condition, where its space has conditions of its own to choose.
    Saturation: the discriminator takes 99 % of the real and of the generated images for what they
    are, so that the generator learns next to nothing from it; a Wasserstein critic cannot saturate.
    Training is not disturbed: the samples have noise of their own.

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
    # The mean over a few conditions, each repeated: they alone make samples differ.
    try:
        conditions = default_condition(model.condition_space, CONDITIONS)
    except KgenError:  # texts and images are not for it to choose
        return 1.0
    group = np.arange(SAMPLES) % CONDITIONS
    condition = rows_of(conditions, group)
    samples = model.sample(SAMPLES, condition, seed=SAMPLE_SEED)
    groups = (samples[group == one] for one in range(CONDITIONS))
    return float(np.mean([mean_deviation(group, model.levels) for group in groups]))


def mean_deviation(images, levels):
    """How much a pixel deviates over the images, in the mean over pixels, as part of the range.

    Examples:
        >>> from kgen.models.gans.collapse import mean_deviation
        >>> mean_deviation(np.array([[[[0]]], [[[16]]]], "uint8"), levels=17)
        0.5
    """
    return float(images.std(axis=0).mean()) / (levels - 1)
