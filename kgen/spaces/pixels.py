"""Images."""

from dataclasses import dataclass
from typing import ClassVar

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

    def arguments(self):
        return {"image_shape": self.shape, "levels": self.levels}

    def condition_arguments(self):
        return {"source_shape": self.shape, "source_levels": self.levels}
