"""The base class of autoregressive models: an exact likelihood, and sampling pixel by pixel.

    log p(x) = sum over i of log p(x_i | x_1, ..., x_i-1),   rows first, then columns, then channels

Training computes the parameters of all pixels in one pass. Sampling computes those of one pixel
after the other from cached activations: `convolutional.py` and `flat.py` hold the two ways.
"""

import math

import keras
import numpy as np
from keras import ops

from kgen.distributions import Bernoulli, Categorical
from kgen.inference import in_chunks, inference
from kgen.training import ImageModel


class Autoregressive(ImageModel):
    """Base class of autoregressive models; pixels are Bernoulli for 2 levels, else a softmax.

    Maximises the exact log-likelihood, with the pixels x_i in raster order:

        log p(x) = sum over i of log p(x_i | x_1, ..., x_i-1)

    A subclass defines `parameters_of` for training, and `_complete` for sampling.

    Attributes:
        likelihood_distribution: the distribution of a pixel, given its parameters.
        raster_order: whether every image is drawn in raster order, by `parameters_of`.
    """

    metric_names = ("loss",)
    likelihood = "exact"
    can_complete = True
    sampling = "sequential"
    raster_order = True

    def __init__(self, image_shape, levels, **kwargs):
        super().__init__(image_shape, levels, **kwargs)
        self.likelihood_distribution = Bernoulli() if levels == 2 else Categorical(levels)

    # === What a subclass defines ===

    def parameters_of(self, images, condition=None):
        """The parameters of every pixel given the pixels before it, from images of levels.

        A float32 tensor (n, height, width, parameters), as `likelihood_distribution` takes it.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no parameters_of.")

    def _complete(self, images, mask, uniform, condition=None):
        """Images with the pixels where `mask` is True drawn; an `inference(loop=True)` method.

        Args:
            images: levels (n, height, width, channels), zero where `mask` is True.
            mask: bool (n, height, width, 1).
            uniform: in [0, 1), like the images: the noise of each draw.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no _complete.")

    # === Training ===

    def recommended_optimizer(self):
        # Cosine decay: at a constant rate the last steps' noise outweighs their progress.
        rate = keras.optimizers.schedules.CosineDecay(4e-3, decay_steps=25_000, alpha=0.01)
        return keras.optimizers.Adam(rate)

    def objective(self, images, condition, training):
        return -ops.mean(
            self.likelihood_distribution.log_prob(images, self.parameters_of(images, condition))
        ), {}

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
        """Fill in images: the pixels where `mask` is True are drawn anew, one after the other.

        Each pixel is drawn given all pixels before it, known or drawn. In raster order, known
        pixels after it have no influence: the method suits masks below or right of the known part.
        A `MADE` of several masks takes an order with the known pixels first, for any mask.

        Args:
            images: uint8 (n, height, width, channels); values where `mask` is True are ignored.
            mask: bool (height, width) or (n, height, width).
            condition: for a conditional model, n rows.
            seed: equal seeds give equal images.

        Raises:
            KgenError: for images of another dtype or shape, or with values beyond the levels where
                `mask` is False; for another mask.
        """
        known, mask = self.checked_known(images, mask)
        condition = self.checked_condition(condition, len(known))
        return self._completed(known, mask, condition, seed)

    def _completed(self, images, mask, condition, seed):
        uniform = np.random.default_rng(seed).random(images.shape, "float32")
        return in_chunks(self._complete, images, mask[..., None], uniform, condition)

    @inference
    def _log_prob(self, images, condition=None):
        return self.likelihood_distribution.log_prob(images, self.parameters_of(images, condition))
