"""Inception-V3 of `keras.applications`, trained on ImageNet, for colour images."""

import hashlib

import numpy as np

from kgen.encoders.classifier import float32
from kgen.errors import KgenError

SIDE = 299
IMAGES_PER_CHUNK = 50


class Inception:
    """Encoder: uint8 colour images -> float32 features (n, 2048), the last pooling layer.

    The weights differ from those of the original FID (TensorFlow, 2015), so figures are not
    comparable with those of papers. Images are resized as in clean-FID (Parmar et al. 2022,
    arXiv:2104.11222).

    Args:
        levels: number of pixel values of the images.
        weights: "imagenet", downloaded once by Keras; None for random weights.

    Attributes:
        name: shown with figures.
        sha256: checksum of the weights.

    Raises:
        KgenError: if the weights cannot be downloaded.
    """

    name = "Inception-V3 of keras.applications"

    def __init__(self, levels=256, weights="imagenet"):
        import kgen.chosen_backend  # noqa: F401  # before Keras

        # isort: split
        import keras

        self.levels = levels
        try:
            with float32():
                self.network = keras.applications.InceptionV3(
                    include_top=False, weights=weights, pooling="avg", input_shape=(SIDE, SIDE, 3)
                )
        # Without a connection Keras raises a plain Exception.
        except Exception as error:
            raise KgenError(
                f"Expected to download the weights of Inception-V3, but: {error}. Connect to the "
                "network, or evaluate with the data set's classifier (labelled images)."
            ) from error
        digest = hashlib.sha256()
        for weight in self.network.get_weights():
            digest.update(np.ascontiguousarray(weight))
        self.sha256 = digest.hexdigest()

    def __call__(self, images):
        if images.ndim != 4 or images.shape[-1] != 3:
            raise KgenError(
                f"Expected colour images (n, height, width, 3) for {self.name}, received shape "
                f"{images.shape}: use the data set's classifier for grey ones."
            )
        chunks = range(0, len(images), IMAGES_PER_CHUNK)
        return np.concatenate([self._features(images[i : i + IMAGES_PER_CHUNK]) for i in chunks])

    def _features(self, images):
        pixels = np.stack([resized(image) for image in images]) * (255.0 / (self.levels - 1))
        return self.network.predict(pixels / 127.5 - 1.0, verbose=0)


def resized(image):
    """Resize (height, width, 3) to float32 (299, 299, 3): antialiased bicubic, per channel.

    It works on floats: rounding to 8 bits is one reason why published figures are not comparable.
    """
    from PIL import Image

    channels = [
        Image.fromarray(image[..., channel].astype("float32")).resize(
            (SIDE, SIDE), Image.Resampling.BICUBIC
        )
        for channel in range(3)
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)
