"""Sample quality while a model trains."""

import kgen.chosen_backend  # noqa: F401  # before Keras

# isort: split

import keras
import numpy as np

from kgen import encoders, metrics
from kgen.capabilities import require
from kgen.errors import KgenError

SAMPLE_SEED = 0


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
        >>> quality = kgen.evaluation.SampleQuality(data, every=1, encoder=pixels)
        >>> history = model.fit(data.train.images, callbacks=[quality], verbose=0).history
        >>> sorted(history)
        ['frechet_distance', 'kernel_distance', 'kl', 'loss', 'reconstruction']
    """

    reads_batch_logs = False
    logged = ("frechet_distance", "kernel_distance")

    def __init__(self, data, every=5, samples=1000, encoder=None):
        super().__init__()
        self.every, self.encoder = every, encoder or encoders.for_data(data)
        if len(data.test) < 2:
            raise KgenError(
                f"Expected at least 2 test images to compare samples with, received "
                f"{len(data.test)}: add images."
            )
        self.real = self.encoder(np.asarray(data.test.limit(samples).images))

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
