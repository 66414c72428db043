"""`ImageModel`: the base class of image models."""

from keras import ops

from kgen.bounds import ImageShape, Levels
from kgen.distributions import nearest_level
from kgen.spaces import Pixels
from kgen.training.model import GenerativeModel


class ImageModel(GenerativeModel):
    """Base class of generative models of images with discrete pixel values 0..levels-1.

    Args:
        image_shape: (height, width, channels).
        levels: number of values per pixel and channel: 2 for binary images, 256 for 8-bit images.
        kwargs: arguments of `GenerativeModel`.
    """

    data_arguments = ("image_shape", "levels")

    def __init__(self, image_shape: ImageShape, levels: Levels, **kwargs):
        self.image_shape, self.levels = image_shape, levels
        super().__init__(**kwargs)

    @property
    def space(self):
        return Pixels(self.image_shape, self.levels)

    def scale(self, images):
        """Pixel values 0..levels-1 scaled to float32 in [-1, 1]."""
        return ops.cast(images, "float32") * (2.0 / (self.levels - 1)) - 1.0

    def to_levels(self, values):
        """Floats in [-1, 1] rounded to the nearest pixel values 0..levels-1."""
        return nearest_level(values, self.levels)
