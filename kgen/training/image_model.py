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

    def checked_known(self, images, mask):
        """What `complete` is given, checked: the known pixels, 0 elsewhere, and the mask (n, h, w).

        Args:
            images: of levels (n, height, width, channels); values where `mask` is True are ignored.
            mask: bool (height, width) or (n, height, width), True where a pixel is to be filled in.

        Raises:
            KgenError: for images of another dtype or shape, or with values beyond the levels where
                `mask` is False; for another mask.
        """
        return self.space.check_masked(images, mask)

    def scale(self, images):
        """Pixel values 0..levels-1 scaled to float32 in [-1, 1]."""
        return ops.cast(images, "float32") * (2.0 / (self.levels - 1)) - 1.0

    def to_levels(self, values):
        """Floats in [-1, 1] rounded to the nearest pixel values 0..levels-1."""
        return nearest_level(values, self.levels)
