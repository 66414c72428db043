"""`SampleQuality`: a Keras callback that measures sample quality during training."""

import kgen.chosen_backend  # noqa: F401  # before Keras

# isort: split

import keras
import numpy as np

from kgen import encoders, metrics
from kgen.capabilities import require
from kgen.errors import KgenError

SAMPLE_SEED = 0


class SampleQuality(keras.callbacks.Callback):
    """Logs `frechet_distance` and `kernel_distance` (FID, KID) between samples and held-out images.

    Samples come from `model.sample`, with the averaged weights in a model with `ema`. Their noise
    is separate, so training is the same as without this callback. With few images the Frechet
    distance is biased upwards: use it to follow progress, and `python -m kgen.evaluate` for figures
    to report.

    Args:
        data: a `kgen.data.Dataset`; samples are compared with its validation images, or with its
            test images if it has none.
        every: epochs between measurements; in other epochs both are NaN.
        samples: number of samples and of real images; fewer if there are fewer held-out images.
        encoder: callable, uint8 images -> features; None for `kgen.encoders.for_data(data)`.
        model: the model to sample from; None for the one that is trained.

    Raises:
        KgenError: if there is no encoder, or if the model cannot sample (when training begins).

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

    def __init__(self, data, every=5, samples=1000, encoder=None, model=None):
        super().__init__()
        self.every, self.encoder = every, encoder or encoders.for_data(data)
        held_out = data.test if data.validation is None else data.validation
        if len(held_out) < 2:
            raise KgenError(
                f"Expected at least 2 held-out images to compare samples with, received "
                f"{len(held_out)}: add images."
            )
        self.sampled = model
        compared = held_out.limit(samples)
        self.condition = compared.condition
        self.real = self.encoder(np.asarray(compared.x))

    def on_train_begin(self, logs=None):
        require(self.sampled or self.model, "can_sample")

    def _condition(self, model):
        """The conditions of the real images; None for an unconditional model."""
        return None if model.condition_space is None else self.condition

    def on_epoch_end(self, epoch, logs=None):
        logs["frechet_distance"] = logs["kernel_distance"] = float("nan")
        if (epoch + 1) % self.every:
            return
        trained = self.model  # reading it syncs the state on JAX
        model = self.sampled or trained
        features = self.encoder(model.sample(len(self.real), self._condition(model), SAMPLE_SEED))
        logs["frechet_distance"] = metrics.frechet_distance(self.real, features)
        logs["kernel_distance"], _ = metrics.kernel_distance(
            self.real, features, subsets=10, subset_size=min(len(self.real), 500)
        )
