"""Encoders: what turns images into the features that sample quality is measured on.

An encoder is any callable that maps uint8 images (n, height, width, channels) to float features
(n, d), such as one of your own. Those here have a `name`, a `sha256` of their weights and, where
they classify, `probabilities(images)`. Figures of different encoders are never comparable.

The classifiers of the named sets come with kgen; `kgen.encoders.frozen.FROZEN` has the accuracy and
the sha256 of each.
"""

from kgen.encoders.classifier import Classifier, trained_classifier
from kgen.encoders.frozen import frozen_classifier
from kgen.encoders.inception import Inception
from kgen.errors import KgenError

__all__ = ["Classifier", "Inception", "for_data", "frozen_classifier", "trained_classifier"]


def for_data(data, progress=False, name=None):
    """The encoder for a `kgen.data.Dataset`.

    The classifier of a named set comes with kgen: it is the same for everybody, and nothing is
    trained. For other images, or a named set of another size, one is trained on this machine.

    Args:
        data: the data set.
        progress: whether to show how the training of a classifier goes on.
        name: "classifier" or "inception" (colour only); None for the classifier, which is quicker
            and knows these very images, or Inception where they have no labels to train one on.

    Raises:
        KgenError: for a classifier of images without labels, Inception of grey images, or if its
            weights cannot be had.
    """
    colour = data.image_shape[-1] == 3
    if name == "inception" and not colour:
        raise KgenError(
            f"Expected colour images for Inception-V3, received {data.name} of shape "
            f"{tuple(data.image_shape)}: use the data set's classifier."
        )
    frozen = None if name == "inception" else frozen_classifier(data)
    if name == "inception" or (frozen is None and name is None and colour and not data.classes):
        return Inception(data.levels)
    return frozen or trained_classifier(data, progress)
