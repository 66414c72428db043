"""Autoregressive models of an image as a vector of values, drawn one after the other."""

import math

from keras import ops

from kgen import backend
from kgen.models.autoregressive.base import Autoregressive


class FlatAutoregressive(Autoregressive):
    """Base class of autoregressive models of an image as a vector of d values, in raster order.

    A value x of L levels enters as L - 1 inputs, [x = 1], ..., [x = L - 1]: a binary value as
    itself.

    Attributes:
        size: d, the number of values of an image.
        inputs_per_value: L - 1.
        parameters_per_value: outputs per value, 1 for binary values, else L.
    """

    def __init__(self, image_shape, levels, **kwargs):
        super().__init__(image_shape, levels, **kwargs)
        self.size = math.prod(self.image_shape)
        self.inputs_per_value = levels - 1
        self.parameters_per_value = self.likelihood_distribution.parameters_per_value

    def inputs_of(self, values):
        """The inputs of levels (...): float32 (..., inputs_per_value)."""
        values = ops.cast(values, "int32")[..., None]
        return ops.cast(values == ops.arange(1, self.levels, dtype="int32"), "float32")

    def flat_inputs_of(self, images):
        """The inputs of images of levels: float32 (n, size * inputs_per_value)."""
        return ops.reshape(self.inputs_of(images), (-1, self.size * self.inputs_per_value))

    def as_images(self, outputs):
        """`outputs`, parameters_per_value of each value in turn, as parameters of images."""
        *size, channels = self.image_shape
        outputs = ops.reshape(outputs, (-1, *self.image_shape, self.parameters_per_value))
        outputs = ops.swapaxes(outputs, -1, -2)  # as `Categorical` takes them
        return ops.reshape(outputs, (-1, *size, self.parameters_per_value * channels))

    def complete_in_turn(self, images, mask, uniform, cache, places, parameters, update):
        """Draw the values where `mask` is True one after the other, in raster order.

        Args:
            images, mask, uniform: see `_complete`.
            cache: what `parameters` needs to know of the values before the first, any structure.
            places: a structure of tensors (size, ...), an entry per value for the two functions.
            parameters: (cache, place) -> the value's parameters (n, parameters_per_value).
            update: (cache, place, inputs) -> the cache after a value with these inputs, (n,
                inputs_per_value).

        Returns:
            The images, with the values drawn.
        """
        mask = ops.broadcast_to(mask, images.shape)

        def draw(cache, entry):
            place, value, unknown, uniform = entry
            drawn = self.likelihood_distribution.sample(parameters(cache, place), uniform)
            value = ops.where(unknown, drawn, value)
            return update(cache, place, self.inputs_of(value[:, 0])), value

        entries = (places, *map(self._in_turn, (images, mask, uniform)))
        _, values = backend.scan(draw, cache, entries)
        return ops.reshape(ops.transpose(values, (1, 0, 2)), images.shape)

    def _in_turn(self, images):
        """The values of images, one after the other: (size, n, 1)."""
        return ops.transpose(ops.reshape(images, (-1, self.size)))[..., None]
