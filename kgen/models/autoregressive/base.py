"""The base class of autoregressive models: an exact likelihood, and sampling pixel by pixel.

    log p(x) = sum over i of log p(x_i | x_1, ..., x_i-1),   rows first, then columns, then channels

The network computes the parameters of all pixels in one pass (training), or of one pixel from
cached activations (sampling, `cached_convolutions.py`). A model writes its network once for both,
as calls `apply(layer, x)`.
"""

import math

import keras
import numpy as np
from keras import ops

from kgen.distributions import Bernoulli, Categorical
from kgen.layers import shifted_down
from kgen.models.autoregressive.cached_convolutions import CachedConvolutions, FullPass
from kgen.training import ImageModel, in_chunks, inference


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
        return self._completed(unknown, np.ones((*unknown.shape[:3], 1), bool), condition, seed)

    def complete(self, images, mask, condition=None, seed=None):
        """Fill in images: the pixels where `mask` is True are drawn anew, in raster order.

        Each pixel is drawn given all pixels before it, known or drawn. Known pixels after it have
        no influence: the method suits masks below or right of the known part.

        Args:
            images, mask: see `ImageModel.to_complete`.
            condition: for a conditional model, n rows.
            seed: equal seeds give equal images.
        """
        known, mask = self.to_complete(images, mask)
        condition = self.checked_condition(condition, len(known))
        return self._completed(known, mask, condition, seed)

    def _completed(self, images, mask, condition, seed):
        uniform = np.random.default_rng(seed).random(images.shape, "float32")
        return in_chunks(self._complete, images, mask, uniform, condition)

    @inference
    def _log_prob(self, images, condition=None):
        return self.pixels.log_prob(images, self.parameters_of(images, condition))

    @inference(loop=True)
    def _complete(self, images, mask, uniform, condition=None):
        """Draw row by row, and in each row pixel by pixel, from cached activations."""
        return CachedConvolutions(self, self.embed(condition)).complete(images, mask, uniform)


def built(layer, channels):
    """The layer, built for images of `channels` channels."""
    layer.build((None, None, None, channels))
    return layer
