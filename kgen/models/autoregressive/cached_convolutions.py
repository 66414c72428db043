"""Cached sampling of convolutional autoregressive models: each activation is computed once.

`FullPass` applies a layer to images (n, height, width, channels). `PixelStep` applies it to one
pixel (n, channels). `RowStep` applies the layers that see the rows above to one row (n, width,
channels).

A layer of several parts, such as `MaskedConv2D`, sees the current row and the rows above. It has:

- `parts`: the layers that it consists of;
- `first_pixel(count)`: its cache at the first pixel of a row, or None;
- `first_row(count, width)`: its features of the rows above the first row;
- `pixel_step(apply, x)`: its output at a pixel; it may keep something of the pixel in `apply.kept`;
- `row_step(apply, kept, above)`: its features for the next row, from what it kept of a row's pixels
  and its features of the rows above them.
"""

import keras
from keras import ops

from kgen import backend
from kgen.layers import HorizontalConv2D, VerticalConv2D


class FullPass:
    """Applies layers to whole images.

    Args:
        vertical_features: {name of a layer: features of the rows above each pixel, (n, height,
            width, filters)}.
    """

    def __init__(self, vertical_features=None):
        self.vertical_features = vertical_features

    def __call__(self, layer, *inputs):
        return layer(*inputs)


class PixelStep:
    """Applies layers to one pixel: as matrix products, as a layer's call is slow in a tight loop.

    Args:
        matrices: {name of a horizontal layer: (kernel as a matrix, bias)}.
        cache: {name: what a layer needs of the pixels to the left; of a horizontal layer its
            inputs, (n, reach * channels)}.
        vertical_features: {name: features of the rows above the pixel, (n, filters)}.

    Attributes:
        kept: {name of a layer of several parts: what its `row_step` needs of the pixel}.
        next_cache: `cache` for the next pixel.
    """

    def __init__(self, matrices, cache, vertical_features):
        self.matrices, self.cache, self.vertical_features = matrices, cache, vertical_features
        self.kept, self.next_cache = {}, {}

    def __call__(self, layer, x, *_):
        if has_parts(layer):
            return layer.pixel_step(self, x)
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
        pixels: the row's scaled pixels (n, width, channels).

    Attributes:
        next_cache: `cache` for the next row.
    """

    def __init__(self, cache, pixels):
        self.cache, self.pixels, self.next_cache = cache, pixels, {}

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
            cache, above = carry
            start = self._first_pixel(count)
            _, (pixels, kept) = backend.scan(complete_pixel, start, (*row, swapped(above)))
            return self._next_row(cache, swapped(pixels), swapped(kept), above), pixels

        def complete_pixel(cache, pixel):
            *pixel, vertical_features = pixel
            return self._drawn(PixelStep(matrices, cache, vertical_features), *pixel)

        rows = [ops.transpose(x, (1, 2, 0, 3)) for x in (images, mask, uniform)]  # (h, w, n, c)
        _, pixels = backend.scan(complete_row, self._first_row(count), rows)
        return ops.transpose(pixels, (2, 0, 1, 3))

    def _drawn(self, apply, pixel, mask, uniform):
        """One pixel (n, channels); where `mask` is True its channels are drawn one after the other.

        Returns:
            The cache for the next pixel; and (the pixel, what the layers keep of it).
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
        return apply.next_cache, (ops.concatenate(channels, axis=-1), apply.kept)

    def _scaled(self, channels):
        return ops.cast(
            self.model.scale(ops.concatenate(channels, axis=-1)), self.model.compute_dtype
        )

    def _layers(self):
        """The layers of several parts."""
        return [layer for layer in self.model.layers if has_parts(layer)]

    def _parts(self, kind):
        """All layers of the class `kind`, those in layers of several parts included."""
        for layer in self.model.layers:
            for part in layer.parts if has_parts(layer) else (layer,):
                if isinstance(part, kind):
                    yield part

    def _first_pixel(self, count):
        """The cache at the first pixel of a row: zeros."""
        cache = {
            layer.name: ops.zeros((count, layer.reach * layer.channels), layer.compute_dtype)
            for layer in self._parts(HorizontalConv2D)
            if layer.reach
        }
        states = {layer.name: layer.first_pixel(count) for layer in self._layers()}
        return cache | {name: state for name, state in states.items() if state is not None}

    def _next_row(self, cache, pixels, kept, above):
        """The cache and vertical features for the next row, after a row (n, width, channels)."""
        x = ops.cast(self.model.scale(pixels), self.model.compute_dtype)
        apply = RowStep(cache, x)
        vertical_features = self.model.vertical_stack(apply, x, self.embedded)
        for layer in self._layers():
            name = layer.name
            vertical_features[name] = layer.row_step(apply, kept[name], above[name])
        return apply.next_cache, vertical_features

    def _first_row(self, count):
        """The cache and the vertical features for the first row: zeros."""
        width = self.model.image_shape[1]
        cache = {
            layer.name: ops.zeros(
                (count, layer.rows - 1, width, layer.channels), layer.compute_dtype
            )
            for layer in self._parts(VerticalConv2D)
        }
        x = ops.zeros((count, width, self.model.channels), self.model.compute_dtype)
        stack = self.model.vertical_stack(RowStep(cache, x), x, self.embedded)
        features = {name: ops.zeros_like(x) for name, x in stack.items()}
        features |= {layer.name: layer.first_row(count, width) for layer in self._layers()}
        return cache, features


def has_parts(layer):
    """Whether a layer consists of several and sees the current row and the rows above."""
    return hasattr(layer, "pixel_step")


def swapped(features):
    """Any structure of tensors (a, b, ...) as tensors (b, a, ...): rows of images as pixels."""
    return keras.tree.map_structure(lambda x: ops.swapaxes(x, 0, 1), features)
