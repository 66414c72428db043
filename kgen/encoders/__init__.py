"""Encoders: what turns images into the features that sample quality is measured on.

An encoder is any callable that maps uint8 images (n, height, width, channels) to float features
(n, d), such as one of your own. Those here have a `name`, a `sha256` of their weights and, where
they classify, `probabilities(images)`. Figures of different encoders are never comparable.
"""

from kgen.encoders.classifier import Classifier, trained_classifier
from kgen.encoders.inception import Inception

__all__ = ["Classifier", "Inception", "for_data", "trained_classifier"]


def for_data(data, progress=False):
    """The encoder for a `kgen.data.ImageData`: its classifier, or Inception where it cannot have
    one.

    Raises:
        KgenError: for grey images without labels, or if Inception's weights cannot be had.
    """
    if data.image_shape[-1] == 3 and not data.classes:
        return Inception(data.levels)
    return trained_classifier(data, progress)
