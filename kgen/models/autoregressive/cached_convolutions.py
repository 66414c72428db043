"""Cached sampling of convolutional autoregressive models: each activation is computed once.

`FullPass` applies a layer to images (n, height, width, channels). `PixelStep` applies it to one
pixel (n, channels). `RowStep` applies the layers that see the rows above to one row (n, width,
channels).
"""

from keras import ops

from kgen import backend
from kgen.distributions import level_dtype
from kgen.layers import HorizontalConv2D, MaskedConv2D, VerticalConv2D


class FullPass:
    """Applies layers to whole images.

    Args:
        vertical_features: {name of a layer: features of the rows above each pixel, (n, height,
            width, filters)}.
    """

    def __init__(self, vertical_features=None):
        self.vertical_features = vertical_features

    def __call__(self, layer, x):
        return layer(x)


class PixelStep:
    """Applies layers to one pixel: as matrix products, as a layer's call is slow in a tight loop.

    Args:
        matrices: {name of a horizontal layer: (kernel as a matrix, bias)}.
        cache: {name: the layer's inputs left of the pixel, (n, reach * channels)}.
        vertical_features: {name: features of the rows above the pixel, (n, filters)}.

    Attributes:
        inputs: {name: input (n, channels)} of each masked convolution.
        next_cache: `cache` for the next pixel.
    """

    def __init__(self, matrices, cache, vertical_features):
        self.matrices, self.cache, self.vertical_features = matrices, cache, vertical_features
        self.inputs, self.next_cache = {}, {}

    def __call__(self, layer, x):
        if isinstance(layer, MaskedConv2D):
            self.inputs[layer.name] = x
            return self(layer.horizontal, x) + self.vertical_features[layer.name]
        matrix, bias = self.matrices[layer.name]
        if layer.reach:
            seen = ops.concatenate([self.cache[layer.name], x], axis=-1)
            self.next_cache[layer.name] = seen[:, layer.channels :]
            x = seen if layer.taps > layer.reach else self.cache[layer.name]
        return backend.affine(x, matrix, bias)


class RowStep:
    """Applies layers to one finished row (n, width, channels).

    Args:
        cache: {name of a vertical layer: its inputs in the `layer.rows` - 1 rows above this one}.

    Attributes:
        next_cache: `cache` for the next row.
    """

    def __init__(self, cache):
        self.cache, self.next_cache = cache, {}

    def __call__(self, layer, x):
        if not isinstance(layer, VerticalConv2D):
            return layer(x)
        rows = ops.concatenate([self.cache[layer.name], x[:, None]], axis=1)
        self.next_cache[layer.name] = rows[:, 1:]
        return layer.last_row(rows)


class CachedConvolutions:
    """Draws the pixels of images one after the other, in two nested loops: rows and pixels.

    Args:
        model: a `ConvolutionalAutoregressive` model.
        embedded: what its condition adds to the layers.
    """

    def __init__(self, model, embedded):
        self.model, self.embedded = model, embedded

    def complete(self, images, mask, uniform):
        """Images (n, height, width, channels) with the pixels drawn where `mask` is True.

        Args:
            images: levels.
            mask: bool (n, height, width, 1).
            uniform: in [0, 1), like the images: the noise of each draw.
        """
        count = images.shape[0]
        matrices = {layer.name: layer.matrix_and_bias() for layer in self._parts(HorizontalConv2D)}

        def complete_row(carry, row):
            cache, vertical_features = carry
            row = (
                *row,
                {name: ops.transpose(x, (1, 0, 2)) for name, x in vertical_features.items()},
            )
            start = self._empty_cache(count)
            _, (pixels, inputs) = backend.scan(complete_pixel, start, row)
            inputs = {name: ops.transpose(x, (1, 0, 2)) for name, x in inputs.items()}
            return self._vertical_features(cache, ops.transpose(pixels, (1, 0, 2)), inputs), pixels

        def complete_pixel(cache, pixel):
            *pixel, vertical_features = pixel
            return self._drawn(PixelStep(matrices, cache, vertical_features), *pixel)

        rows = [ops.transpose(x, (1, 2, 0, 3)) for x in (images, mask, uniform)]  # (h, w, n, c)
        _, pixels = backend.scan(complete_row, self._no_vertical_features(count), rows)
        return ops.transpose(pixels, (2, 0, 1, 3))

    def _drawn(self, apply, pixel, mask, uniform):
        """One pixel (n, channels); where `mask` is True its channels are drawn one after the other.

        Returns:
            The cache for the next pixel; and (the pixel, the masked convolutions' inputs).
        """
        channels = ops.split(pixel, self.model.channels, axis=-1)
        for channel in range(self.model.channels):
            parameters = self.model.network(apply, self._scaled(channels), self.embedded)
            parameters = parameters[:, channel :: self.model.channels]
            drawn = self.model.likelihood_distribution.sample(
                parameters, uniform[:, channel : channel + 1]
            )
            channels[channel] = ops.where(mask, drawn, channels[channel])
        # Run the first layer again on the drawn pixel: its cache feeds the pixels to the right.
        x = self._scaled(channels)
        apply(self.model.first, x)
        return apply.next_cache, (ops.concatenate(channels, axis=-1), apply.inputs)

    def _scaled(self, channels):
        return ops.cast(
            self.model.scale(ops.concatenate(channels, axis=-1)), self.model.compute_dtype
        )

    def _parts(self, kind):
        """All layers of the class `kind`, the parts of masked convolutions included."""
        for layer in self.model.layers:
            masked = isinstance(layer, MaskedConv2D)
            for part in (layer.vertical, layer.horizontal) if masked else (layer,):
                if isinstance(part, kind):
                    yield part

    def _empty_cache(self, count):
        """The cache at the first pixel of a row: zeros."""
        return {
            layer.name: ops.zeros((count, layer.reach * layer.channels), layer.compute_dtype)
            for layer in self._parts(HorizontalConv2D)
            if layer.reach
        }

    def _vertical_features(self, cache, pixels, inputs):
        """The cache and vertical features for the next row, after a row (n, width, channels)."""
        apply = RowStep(cache)
        x = ops.cast(self.model.scale(pixels), self.model.compute_dtype)
        vertical_features = self.model.vertical_stack(apply, x, self.embedded)
        for layer in self.model.layers:
            if isinstance(layer, MaskedConv2D):
                vertical_features[layer.name] = apply(layer.vertical, inputs[layer.name])
        return apply.next_cache, vertical_features

    def _no_vertical_features(self, count):
        """The cache and the vertical features for the first row: zeros."""
        width = self.model.image_shape[1]
        cache = {
            layer.name: ops.zeros(
                (count, layer.rows - 1, width, layer.channels), layer.compute_dtype
            )
            for layer in self._parts(VerticalConv2D)
        }
        inputs = {
            layer.name: ops.zeros((count, width, layer.vertical.channels), layer.compute_dtype)
            for layer in self.model.layers
            if isinstance(layer, MaskedConv2D)
        }
        pixels = ops.zeros((count, width, self.model.channels), level_dtype(self.model.levels))
        _, vertical_features = self._vertical_features(cache, pixels, inputs)
        return cache, {name: ops.zeros_like(x) for name, x in vertical_features.items()}
