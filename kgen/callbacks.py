"""Callbacks for `fit`, of kgen's own or your own loop of Keras' `fit`."""

import kgen.chosen_backend  # noqa: F401  # before Keras

# isort: split

import logging

import keras
import numpy as np

from kgen import metrics
from kgen.capabilities import require
from kgen.errors import KgenError

SAMPLES, SAMPLE_SEED = 64, 0
CLASSES = 8  # looked at, of a conditional model, so that each has some of the samples
FIRST_STEPS = 300  # in which no generator is judged: its samples are alike, it has learned nothing
ALIKE = 0.02  # of the range of levels: mean deviation of a pixel over the samples
SATURATED = 0.99  # accuracy on real and on generated images

logger = logging.getLogger("kgen")


class AdversarialWarnings(keras.callbacks.Callback):
    """Logs one line, once, when a GAN's samples collapse, and one when its discriminator saturates.

    Looked at after every epoch, from the 300th step of the generator on. Collapse: 64 samples
    differ, in the mean over pixels, by less than 2 % of the range; those of a conditional model are
    held against others of their class. Saturation: the discriminator takes 99 % of the real and of
    the generated images for what they are, so that the generator learns next to nothing from it; a
    Wasserstein critic cannot saturate. Models of other families are left alone, and training is not
    disturbed: the samples have noise of their own.

    Examples:
        >>> model, images = kgen.GAN((8, 8, 1), levels=17), kgen.data.load("digits").train.images
        >>> model.compile()
        >>> warn = kgen.callbacks.AdversarialWarnings()
        >>> history = model.fit(images[:64], callbacks=[warn], verbose=0)
        >>> warn.collapsed, warn.saturated
        (False, False)
    """

    reads_batch_logs = False

    def on_train_begin(self, logs=None):
        self.collapsed = self.saturated = False

    def on_epoch_end(self, epoch, logs=None):
        if "fake_accuracy" not in logs or (self.collapsed and self.saturated):
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
    # Of a conditional model: the mean over classes, for labels alone make samples differ.
    if not model.classes:
        return mean_deviation(model.sample(SAMPLES, seed=SAMPLE_SEED), model.levels)
    labels = np.arange(SAMPLES) % min(model.classes, CLASSES)
    samples = model.sample(SAMPLES, labels=labels, seed=SAMPLE_SEED)
    groups = (samples[labels == label] for label in np.unique(labels))
    return float(np.mean([mean_deviation(group, model.levels) for group in groups]))


def mean_deviation(images, levels):
    """How much a pixel deviates over the images, in the mean over pixels, as part of the range.

    Examples:
        >>> kgen.callbacks.mean_deviation(np.array([[[[0]]], [[[16]]]], "uint8"), levels=17)
        0.5
    """
    return float(images.std(axis=0).mean()) / (levels - 1)


class SampleQuality(keras.callbacks.Callback):
    """Logs how far samples are from real images: `frechet_distance` and `kernel_distance`.

    Samples are those of `model.sample`, of the averaged weights in a model that keeps some. They
    have noise of their own, so that training is what it would be without. On few images the Frechet
    distance is biased upwards: it shows progress, `python -m kgen.evaluate` gives the figure.

    Args:
        data: a `kgen.data.Dataset`; its test images are compared with.
        every: epochs from one measurement to the next; in between both are NaN.
        samples: images drawn, and real ones; fewer where there are fewer.
        encoder: callable, uint8 images -> features; None for `kgen.encoders.for_data(data)`.

    Raises:
        KgenError: if no encoder can be had, or, when training begins, the model cannot sample.

    Examples:
        >>> data = kgen.data.load("digits").limit(100)
        >>> def pixels(images):  # an encoder of one's own
        ...     return images.reshape(len(images), -1) / 16
        >>> model = kgen.models.create("vae", data)
        >>> model.compile()
        >>> quality = kgen.callbacks.SampleQuality(data, every=1, encoder=pixels)
        >>> history = model.fit(data.train.images, callbacks=[quality], verbose=0).history
        >>> sorted(history)
        ['frechet_distance', 'kernel_distance', 'kl', 'loss', 'reconstruction']
    """

    reads_batch_logs = False
    logged = ("frechet_distance", "kernel_distance")

    def __init__(self, data, every=5, samples=1000, encoder=None):
        super().__init__()
        if encoder is None:
            from kgen import encoders

            encoder = encoders.for_data(data)
        self.every, self.encoder = every, encoder
        if len(data.test) < 2:
            raise KgenError(
                f"Expected at least 2 test images to compare samples with, received "
                f"{len(data.test)}: add images."
            )
        self.real = encoder(np.asarray(data.test.limit(samples).images))

    def on_train_begin(self, logs=None):
        require(self.model, "can_sample")

    def on_epoch_end(self, epoch, logs=None):
        logs["frechet_distance"] = logs["kernel_distance"] = float("nan")
        model = self.model
        if (epoch + 1) % self.every:
            return
        features = self.encoder(model.sample(len(self.real), seed=SAMPLE_SEED))
        logs["frechet_distance"] = metrics.frechet_distance(self.real, features)
        logs["kernel_distance"], _ = metrics.kernel_distance(
            self.real, features, subsets=10, subset_size=min(len(self.real), 500)
        )
