"""Encoders map images to the features on which sample quality is measured.

An encoder is any callable from uint8 images (n, height, width, channels) to float features (n, d);
you can write your own. The encoders here have a `name` and the `sha256` of their weights;
classifiers also have `probabilities(images)`. Figures of different encoders are never comparable.

The classifiers of the named sets come with kgen; `kgen.encoders.frozen.FROZEN` lists the accuracy
and the sha256 of each.
"""

from kgen.encoders.classifier import Classifier, trained_classifier
from kgen.encoders.frozen import frozen_classifier
from kgen.encoders.inception import Inception
from kgen.errors import KgenError
from kgen.spaces import Pixels

__all__ = ["Classifier", "Inception", "for_data", "frozen_classifier", "trained_classifier"]


def for_data(data, progress=False, name=None):
    """The encoder for a `kgen.data.Dataset`.

    The classifier of a named set comes with kgen and is the same for everybody. For other images,
    or a named set of another size, a classifier is trained on this machine.

    Args:
        data: the data set.
        progress: whether to show a bar if a classifier is trained.
        name: "classifier" or "inception" (colour images only). None: the classifier, which is
            faster and made for these images; Inception if they have no labels to train one on.

    Raises:
        KgenError: for data that are no images, a classifier of images without labels, Inception of
            grey images, or weights that cannot be downloaded.
    """
    if not isinstance(data.space, Pixels):
        raise KgenError(
            f"Expected images, which an encoder knows, received the {data.space.what} of "
            f"{data.name}: compare likelihoods, or write an encoder of your own."
        )
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
