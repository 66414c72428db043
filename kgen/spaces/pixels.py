"""Images."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from kgen.errors import KgenError
from kgen.spaces.arrays import dtype_of, shape_of
from kgen.spaces.space import Space


@dataclass(frozen=True)
class Pixels(Space):
    """Images: arrays (n, height, width, channels) of whole numbers 0..levels-1.

    Args:
        shape: (height, width, channels).
        levels: values per pixel and channel.
    """

    shape: tuple[int, int, int]
    levels: int = 256
    what: ClassVar[str] = "images"

    def __str__(self):
        return f"images of shape {self.shape} with {self.levels} levels"

    @property
    def dtype(self):
        return "uint8" if self.levels <= 256 else "uint16"

    @property
    def limits(self):
        return None if self.levels == 256 else (0, self.levels - 1)

    def _fits(self, dtype):
        # Keras on PyTorch, which computes little in uint16, makes int32 of it.
        return dtype == self.dtype or (self.levels > 256 and dtype == "int32")

    def check_batch(self, values, count=None):
        dtype, shape = dtype_of(values), shape_of(values)
        if not self._fits(dtype) or shape[1:] != self.shape:
            raise KgenError(
                f"Expected {self.dtype} images of shape (n, {', '.join(map(str, self.shape))}), "
                f"received {dtype} of shape {shape}: {self._advice(dtype, shape)}."
            )
        if None not in (count, shape[0]) and shape[0] != count:
            raise KgenError(f"Expected {count} images, received {shape[0]}: pass as many.")

    def _advice(self, dtype, shape):
        if None in shape[1:]:
            return "state the shape in the pipeline, tf.ensure_shape in a map"
        if not self._fits(dtype):
            return f"convert them, images.astype({self.dtype!r}), to whole numbers 0..levels-1"
        if shape == self.shape or shape[1:] == self.shape[:-1]:
            missing = "images[None]" if shape == self.shape else "images[..., None]"
            return f"add the missing axis, {missing}"
        return "create the model with the images' shape, or resize them"

    def check_range(self, smallest, largest):
        if largest >= self.levels:
            raise KgenError(
                f"Expected values 0..{self.levels - 1} (levels={self.levels}), received up to "
                f"{largest}: create the model with the data's levels."
            )

    def holds(self, other):
        return type(other) is Pixels and self.shape == other.shape and self.levels >= other.levels

    def converted(self, images, space):
        """Images of this space, an array, as the nearest ones of another space of images.

        Of another size the nearest pixels are taken, of other channels the mean, of other levels
        the nearest level of equal brightness.
        """
        (height, width, channels), shape = space.shape, self.shape
        rows, columns = np.arange(height) * shape[0] // height, np.arange(width) * shape[1] // width
        images = np.asarray(images)[:, rows][:, :, columns].astype("float64")
        if channels != shape[2]:
            images = np.repeat(images.mean(axis=-1, keepdims=True), channels, axis=-1)
        return np.round(images * ((space.levels - 1) / (self.levels - 1))).astype(space.dtype)

    def arguments(self):
        return {"image_shape": self.shape, "levels": self.levels}

    def condition_arguments(self):
        return {"source_shape": self.shape, "source_levels": self.levels}
