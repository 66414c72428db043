"""The base class of Gaussian densities, of vectors or of dequantised images.

Dequantisation: Lucas Theis, Aaron van den Oord, Matthias Bethge: A note on the evaluation of
generative models. 2016, arXiv:1511.01844. An image is scaled to x in [-1, 1]^D, where the bins of
its levels have a width b. Uniform noise u in its bin gives the density a mass:

    log P(x) >= E_u log p(x + u) + D log b

Instead of draws of u the models here use its variance, b^2 / 12, for which a Gaussian has the mean
over u in closed form (`covariances.py`). So the bound has no noise.
"""

import math

import numpy as np
from keras import ops

from kgen.inference import VALUES_PER_CHUNK, in_chunks, inference
from kgen.models.mixtures.conditionals import completed
from kgen.models.mixtures.covariances import array
from kgen.spaces import Vectors
from kgen.training import ClosedForm, ImageModel


class GaussianDensity(ClosedForm, ImageModel):
    """Base class of densities of vectors, or of images; a model defines `log_densities(values)`.

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel.
        size: numbers of a vector; above 0, the model is one of vectors instead of images.

    Attributes:
        likelihood: "exact", a density, for vectors; "bound" of a mass for images.
        bin_width: of a level, where pixels are scaled to [-1, 1]; 0 for vectors.
        shift: where the model's origin is, (D,): values are the scaled items minus the shift.
    """

    metric_names = ("loss",)
    likelihood = "bound"
    can_complete = True
    values_per_item = 1  # of the largest intermediate array, divided by D

    def __init__(self, image_shape, levels, size, **kwargs):
        self.size = size
        super().__init__(image_shape, levels, **kwargs)
        self.dimensions = self.space.dimensions
        self.bin_width = 0.0 if size else 2.0 / (levels - 1)
        self.noise = self.bin_width**2 / 12
        if size:
            self.likelihood = "exact"
        self.shift = self.new_weight("shift", (self.dimensions,), trainable=False)

    def new_weight(self, name, shape, initializer="zeros", trainable=True):
        """A float32 weight of this model."""
        settings = {"initializer": initializer, "trainable": trainable, "name": name}
        return self.add_weight(shape=shape, dtype="float32", autocast=False, **settings)

    @property
    def space(self):
        return Vectors(self.size) if self.size else super().space

    def log_densities(self, values):
        """E_u log p(values + u), or a bound of it, in nats, (n,); u is 0 for vectors."""
        raise NotImplementedError(f"{type(self).__name__} defines no log_densities.")

    def gaussians(self):
        """The density as a mixture, float64: log-weights (K,), means (K, D), and a function.

        The function maps a component's number to its inverse covariance, (D, D).
        """
        raise NotImplementedError(f"{type(self).__name__} defines no gaussians.")

    def values_of(self, items):
        """Items as values of the density, float32 (n, D)."""
        scaled = ops.cast(items, "float32") if self.size else self.scale(items)
        return ops.reshape(scaled, (-1, self.dimensions)) - self.shift

    def items_of(self, values):
        """The items of values (n, D): images at the nearest levels, or vectors."""
        values = values + self.shift
        if self.size:
            return values
        return self.to_levels(ops.reshape(values, (-1, *self.image_shape)))

    def log_masses(self, log_densities):
        """Log-masses of images, or log-densities of vectors, from log-densities of their values."""
        return log_densities + self.dimensions * math.log(self.bin_width or 1.0)

    def objective(self, x, condition, training):
        return -ops.mean(self.log_masses(self.log_densities(self.values_of(x)))), {}

    # === Inference ===

    def log_prob(self, x, condition=None):
        """log p(x) of vectors, exact, or a lower bound of log P(x) of images, in nats, (n,)."""
        x = self.checked_items(x)
        self.checked_condition(condition, len(x))
        return self.in_chunks(self._log_prob, x).astype("float64")

    def complete(self, x, mask, condition=None, seed=None):
        """Fill in items: what `mask` hides is drawn from p(hidden|known), in closed form.

        Any part may be hidden. Known pixels are taken at the centres of their bins.

        Args:
            x: items (n, ...); values where `mask` is True are ignored.
            mask: bool, True where hidden: (height, width) or (n, height, width) for images, (size,)
                or (n, size) for vectors.
            condition: None.
            seed: equal seeds give equal items.

        Raises:
            KgenError: for items of another dtype or shape, or with values beyond the levels where
                `mask` is False; for another mask.
        """
        known, mask = self.checked_known(x, mask)
        self.checked_condition(condition, len(known))
        of_channels = mask.reshape(mask.shape + (1,) * (known.ndim - mask.ndim))
        hidden = np.broadcast_to(of_channels, known.shape)
        values, flat = array(self.values_of(known)), hidden.reshape(len(known), -1)
        values = completed(values, flat, *self.gaussians(), np.random.default_rng(seed))
        items = self.items_of(ops.convert_to_tensor(values.astype("float32")))
        return np.where(hidden, ops.convert_to_numpy(items), known)

    def in_chunks(self, function, *arrays):
        """`kgen.training.in_chunks`, in chunks as small as the intermediate arrays require."""
        rows = VALUES_PER_CHUNK // (self.values_per_item * self.dimensions)
        return in_chunks(function, *arrays, size=min(256, max(1, rows)))

    @inference
    def _log_prob(self, x):
        return self.log_masses(self.log_densities(self.values_of(x)))
