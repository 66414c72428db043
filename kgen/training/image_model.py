"""`ImageModel`: the base class of image models."""

import numpy as np
from keras import ops

from kgen.bounds import ImageShape, Levels
from kgen.distributions import nearest_level
from kgen.errors import KgenError
from kgen.spaces import Pixels, as_array
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

    def to_complete(self, images, mask):
        """The checked arguments of `complete`: (known, mask), arrays.

        Args:
            images: of the model's space, (n, height, width, channels); values where `mask` is True
                are ignored.
            mask: bool (height, width) or (n, height, width), True where a pixel is filled in.

        Returns:
            The images with 0 where `mask` is True, and the mask as (n, height, width, 1).

        Raises:
            KgenError: for images of another dtype or shape, or with values beyond the levels where
                `mask` is False; for another mask.
        """
        images = as_array(images)
        self.space.check_batch(images)
        mask, shape = np.asarray(mask), (len(images), *self.image_shape[:2])
        if mask.dtype != bool or mask.shape not in (shape, shape[1:]):
            raise KgenError(
                f"Expected a mask of bool and shape {shape[1:]} or {shape}, received "
                f"{mask.dtype} of shape {mask.shape}: True where a pixel is to be filled in."
            )
        mask = np.broadcast_to(mask, shape)[..., None]
        images = np.asarray(images)
        known = np.where(mask, images.dtype.type(0), images)
        self.space.check(known)
        return known, mask
