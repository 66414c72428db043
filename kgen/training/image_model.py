"""`ImageModel`: the base class of models of images."""

from keras import ops

from kgen.bounds import ImageShape, Levels
from kgen.distributions import nearest_level
from kgen.spaces import Pixels
from kgen.training.model import GenerativeModel


class ImageModel(GenerativeModel):
    """A generative model of images with `levels` discrete values per pixel and channel.

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel and channel, 0..levels-1: 2 for binary images, 256 for 8-bit ones.
        kwargs: as of `GenerativeModel`.
    """

    def __init__(self, image_shape: ImageShape, levels: Levels, **kwargs):
        self.image_shape, self.levels = image_shape, levels
        super().__init__(**kwargs)

    @property
    def space(self):
        return Pixels(self.image_shape, self.levels)

    def scale(self, images):
        """Levels 0..levels-1 as float32 in [-1, 1]."""
        return ops.cast(images, "float32") * (2.0 / (self.levels - 1)) - 1.0

    def to_levels(self, values):
        """Floats in [-1, 1] as the nearest of the levels 0..levels-1."""
        return nearest_level(values, self.levels)
