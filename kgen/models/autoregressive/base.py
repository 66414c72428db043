"""The base class of autoregressive models: an exact likelihood, and sampling pixel by pixel.

    log p(x) = sum over i of log p(x_i | x_1, ..., x_i-1),   rows first, then columns, then channels

The network computes the parameters of all pixels in one pass (training), or of one pixel from
cached activations (sampling). A model writes its network once for both, as calls
`apply(layer, x)`. `FullPass` applies a layer to images (n, height, width, channels). `PixelStep`
applies it to one pixel (n, channels). `RowStep` applies the layers that see the rows above to one
row (n, width, channels).
"""

import math

import keras
import numpy as np
from keras import ops

from kgen import backend
from kgen.distributions import Bernoulli, Categorical, level_dtype
from kgen.errors import KgenError
from kgen.layers import HorizontalConv2D, MaskedConv2D, VerticalConv2D, shifted_down
from kgen.spaces import as_array
from kgen.training import ImageModel, in_chunks, inference


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


class Autoregressive(ImageModel):
    """Base class of autoregressive models; pixels are Bernoulli for 2 levels, else a softmax.

    Maximises the exact log-likelihood, with the pixels x_i in raster order:

        log p(x) = sum over i of log p(x_i | x_1, ..., x_i-1)

    A subclass builds its layers and defines `network`. The attribute `first` is the layer that sees
    the image itself in the pixel's row. A subclass defines `vertical_stack`, too, if layers other
    than `MaskedConv2D` see the rows above, and `embed` if it has a condition.
    """

    metric_names = ("loss",)
    likelihood = "exact"
    can_complete = True
    sampling = "sequential"

    def __init__(self, image_shape, levels, **kwargs):
        super().__init__(image_shape, levels, **kwargs)
        self.pixels = Bernoulli() if levels == 2 else Categorical(levels)
        self.colours = self.image_shape[-1]
        self.parameters_per_pixel = self.colours * self.pixels.parameters_per_value

    # === What a subclass defines ===

    def network(self, apply, x, embedded):
        """The parameters of scaled pixels x (..., colours): float32 (..., parameters_per_pixel)."""
        raise NotImplementedError(f"{type(self).__name__} defines no network.")

    def vertical_stack(self, apply, x, embedded):
        """Features of the rows up to and including each row: {name: (..., width, filters)}.

        `network` finds those of the row above in `apply.vertical_features`.
        """
        return {}

    def embed(self, condition=None):
        """An embedding of the condition, in any structure; computed once for all pixels."""
        return None

    # === Training ===

    def recommended_optimizer(self):
        # Cosine decay: at a constant rate the last steps' noise outweighs their progress.
        rate = keras.optimizers.schedules.CosineDecay(4e-3, decay_steps=25_000, alpha=0.01)
        return keras.optimizers.Adam(rate)

    def objective(self, images, condition, training):
        return -ops.mean(self.pixels.log_prob(images, self.parameters_of(images, condition))), {}

    def parameters_of(self, images, condition=None):
        """The parameters of every pixel given the pixels before it, from images of levels."""
        return self.parameters_given(self.scale(images), self.embed(condition))

    def parameters_given(self, x, embedded):
        """As `parameters_of`, from scaled images."""
        stack = self.vertical_stack(FullPass(), x, embedded)
        vertical_features = {name: shifted_down(rows) for name, rows in stack.items()}
        return self.network(FullPass(vertical_features), x, embedded)

    # === Inference ===

    def log_prob(self, images, condition=None):
        """log p(x) in nats per image, exact, (n,)."""
        images = self.checked_items(images)
        condition = self.checked_condition(condition, len(images))
        return in_chunks(self._log_prob, images, condition).astype("float64")

    def sample(self, count=None, condition=None, seed=None):
        """`count` exact draws x ~ p(x), uint8 up to 256 levels.

        A conditional model without a condition goes through the classes in turn.
        """
        count, condition = self.to_sample(count, condition, noise=math.prod(self.image_shape))
        unknown = np.zeros((count, *self.image_shape), self.space.dtype)
        return self._completed(unknown, np.ones(unknown.shape[:3], bool), condition, seed)

    def complete(self, images, mask, condition=None, seed=None):
        """Fill in images: the pixels where `mask` is True are drawn anew, in raster order.

        Each pixel is drawn given all pixels before it, known or drawn. Known pixels after it have
        no influence: the method suits masks below or right of the known part.

        Args:
            images: uint8 (n, height, width, channels); values where `mask` is True are ignored.
            mask: bool (height, width) or (n, height, width).
            condition: for a conditional model, n rows.
            seed: equal seeds give equal images.

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
        condition = self.checked_condition(condition, len(images))
        mask = np.broadcast_to(mask, shape)
        images = np.asarray(images)
        known = np.where(mask[..., None], images.dtype.type(0), images)
        self.space.check(known)
        return self._completed(known, mask, condition, seed)

    def _completed(self, images, mask, condition, seed):
        uniform = np.random.default_rng(seed).random(images.shape, "float32")
        return in_chunks(self._complete, images, mask[..., None], uniform, condition)

    @inference
    def _log_prob(self, images, condition=None):
        return self.pixels.log_prob(images, self.parameters_of(images, condition))

    @inference(loop=True)
    def _complete(self, images, mask, uniform, condition=None):
        """Draw row by row, and in each row pixel by pixel, from cached activations."""
        count, embedded = images.shape[0], self.embed(condition)
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
            return self._vertical_features(
                cache, ops.transpose(pixels, (1, 0, 2)), inputs, embedded
            ), pixels

        def complete_pixel(cache, pixel):
            *pixel, vertical_features = pixel
            return self._drawn(PixelStep(matrices, cache, vertical_features), *pixel, embedded)

        rows = [ops.transpose(x, (1, 2, 0, 3)) for x in (images, mask, uniform)]  # (h, w, n, c)
        _, pixels = backend.scan(complete_row, self._no_vertical_features(count, embedded), rows)
        return ops.transpose(pixels, (2, 0, 1, 3))

    def _drawn(self, apply, pixel, mask, uniform, embedded):
        """One pixel (n, colours); where `mask` is True its channels are drawn one after the other.

        Returns:
            The cache for the next pixel; and (the pixel, the masked convolutions' inputs).
        """
        colours = ops.split(pixel, self.colours, axis=-1)
        for colour in range(self.colours):
            parameters = self.network(apply, self._scaled(colours), embedded)
            parameters = parameters[:, colour :: self.colours]
            drawn = self.pixels.sample(parameters, uniform[:, colour : colour + 1])
            colours[colour] = ops.where(mask, drawn, colours[colour])
        # Run the first layer again on the drawn pixel: its cache feeds the pixels to the right.
        x = self._scaled(colours)
        apply(self.first, x)
        return apply.next_cache, (ops.concatenate(colours, axis=-1), apply.inputs)

    def _scaled(self, colours):
        return ops.cast(self.scale(ops.concatenate(colours, axis=-1)), self.compute_dtype)

    def _parts(self, kind):
        """All layers of the class `kind`, the parts of masked convolutions included."""
        for layer in self.layers:
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

    def _vertical_features(self, cache, pixels, inputs, embedded):
        """The cache and the vertical features for the next row, after a row (n, width, colours)."""
        apply = RowStep(cache)
        x = ops.cast(self.scale(pixels), self.compute_dtype)
        vertical_features = self.vertical_stack(apply, x, embedded)
        for layer in self.layers:
            if isinstance(layer, MaskedConv2D):
                vertical_features[layer.name] = apply(layer.vertical, inputs[layer.name])
        return apply.next_cache, vertical_features

    def _no_vertical_features(self, count, embedded):
        """The cache and the vertical features for the first row: zeros."""
        width = self.image_shape[1]
        cache = {
            layer.name: ops.zeros(
                (count, layer.rows - 1, width, layer.channels), layer.compute_dtype
            )
            for layer in self._parts(VerticalConv2D)
        }
        inputs = {
            layer.name: ops.zeros((count, width, layer.vertical.channels), layer.compute_dtype)
            for layer in self.layers
            if isinstance(layer, MaskedConv2D)
        }
        pixels = ops.zeros((count, width, self.colours), level_dtype(self.levels))
        _, vertical_features = self._vertical_features(cache, pixels, inputs, embedded)
        return cache, {name: ops.zeros_like(x) for name, x in vertical_features.items()}


def built(layer, channels):
    """The layer, built for images of `channels` channels."""
    layer.build((None, None, None, channels))
    return layer
