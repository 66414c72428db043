"""Distributions: log-probabilities, samples and divergences, in `keras.ops`.

Noise is an argument, so that a sample is a pure function and the same on every backend.
"""

import kgen.chosen_backend  # noqa: F401  # before Keras

# isort: split

import math

from keras import ops

from kgen import backend


def standard_normal_log_prob(values):
    """log N(values; 0, I) in nats, summed over the last axis: (..., d) -> (...)."""
    return -0.5 * ops.sum(values**2 + math.log(2 * math.pi), axis=-1)


def normal_log_prob(values, mean, log_variance):
    """log N(values; mean, exp(log_variance)) in nats, summed over the last axis."""
    squares = (values - mean) ** 2 * ops.exp(-log_variance)
    return -0.5 * ops.sum(squares + log_variance + math.log(2 * math.pi), axis=-1)


def normal_kl(mean, log_variance):
    """KL( N(mean, exp(log_variance)) || N(0, I) ) in nats, summed over the last axis.

    Kingma & Welling 2013, arXiv:1312.6114, appendix B: 1/2 sum (mean^2 + variance - log variance -
    1).
    """
    terms = mean**2 + ops.exp(log_variance) - log_variance - 1.0
    return 0.5 * ops.sum(terms, axis=-1)


def normal_kl_between(mean, log_variance, other_mean, other_log_variance):
    """KL( N(mean, exp(log_variance)) || the other normal ) in nats, of every entry."""
    ratio = ops.exp(log_variance - other_log_variance)
    distance = (mean - other_mean) ** 2 * ops.exp(-other_log_variance)
    return 0.5 * (ratio + distance - 1.0 + other_log_variance - log_variance)


def normal_log_cdf(values):
    """log P(z <= values) of z ~ N(0, 1), in nats, of every entry; exact far below 0, too.

    Below -2 it is the log-density plus the log of Mills' ratio, 1 / (x + 1 / (x + 2 / (x + ...))).
    """
    distances = ops.maximum(-values, 2.0)
    ratio = distances
    for number in range(24, 0, -1):
        ratio = distances + number / ratio
    tail = -0.5 * distances**2 - 0.5 * math.log(2.0 * math.pi) - ops.log(ratio)
    near = ops.log(0.5 + 0.5 * ops.erf(ops.maximum(values, -2.0) / math.sqrt(2.0)))
    return ops.where(values < -2.0, tail, near)


def in_rows(images):
    """Images (..., height, width, channels) as rows of values, (..., height * width * channels).

    On the CPU, XLA sums rows of logarithms many at a time, but images one by one if they have one
    channel, their last axis: up to 80 times as long.
    """
    return ops.reshape(images, (*ops.shape(images)[:-3], math.prod(images.shape[-3:])))


def nearest_level(values, levels):
    """The nearest of the levels 0..levels-1 to floats; -1 is level 0, 1 is level levels-1."""
    values = ops.round((values + 1.0) * (0.5 * (levels - 1)))
    return ops.cast(ops.clip(values, 0, levels - 1), level_dtype(levels))


def level_dtype(levels):
    """The dtype of images with `levels` levels; Keras on PyTorch stores "uint16" as int32."""
    return "uint8" if levels <= 256 else "uint16"


def pixel_distribution(levels):
    """The distribution of pixels with `levels` values: Bernoulli for 2, else logistic."""
    return Bernoulli() if levels == 2 else DiscretisedLogistic(levels)


class Bernoulli:
    """Independent binary pixels.

    `parameters` are the logits, a float32 tensor (..., height, width, channels).
    """

    parameters_per_value = 1

    def log_prob(self, images, parameters):
        """log p in nats per image, (...,), of images (..., height, width, channels) of 0 and 1."""
        signs = 1.0 - 2.0 * ops.cast(in_rows(images), "float32")
        return -ops.sum(backend.softplus(signs * in_rows(parameters)), axis=-1)

    def median(self, parameters):
        """The more probable value of every pixel, uint8."""
        return ops.cast(parameters > 0, "uint8")

    def sample(self, parameters, uniform):
        """Draws, uint8; `uniform` in [0, 1) has the shape of the images."""
        return ops.cast(uniform < ops.sigmoid(parameters), "uint8")


class DiscretisedLogistic:
    """Discretised logistic distribution of independent pixels with `levels` values.

    The values are equally spaced from -1 to 1. The outer bins extend to infinity, so that the
    probabilities sum to 1 (Kingma et al. 2016, arXiv:1606.04934; Salimans et al. 2017,
    arXiv:1701.05517, equation 2).

    `parameters` is a float32 tensor (..., height, width, 2 * channels): first the locations of all
    channels, then their log-scales.
    """

    parameters_per_value = 2
    smallest_log_scale = -7.0  # as in Salimans et al.: about an eighth of a bin of 8-bit images
    largest_log_scale = 50.0  # above it float32 gives inner bins probability 0

    def __init__(self, levels):
        self.levels = levels

    def log_prob(self, images, parameters):
        """log p in nats per image, (...,), of uint8 images (..., height, width, channels).

        For a bin with edges a > b in units of the scale, sigmoid(a) - sigmoid(b) =
        sigmoid(a) sigmoid(-b) (1 - exp(b - a)), which avoids a difference of nearly equal numbers.
        """
        location, log_scale = self._split(parameters)
        images = ops.cast(images, "float32")
        half_bin = 1.0 / (self.levels - 1)
        centred = (2.0 * half_bin) * images - 1.0 - location
        inverse_scale = ops.exp(-log_scale)
        upper = (centred + half_bin) * inverse_scale  # a
        minus_lower = (half_bin - centred) * inverse_scale  # -b
        below_upper = ops.log_sigmoid(upper)
        above_lower = ops.log_sigmoid(minus_lower)
        between = ops.log(-ops.expm1(-2.0 * half_bin * inverse_scale))
        inner = below_upper + above_lower + between
        highest = ops.where(images == self.levels - 1, above_lower, inner)
        return ops.sum(ops.where(images == 0, below_upper, highest), axis=(-3, -2, -1))

    def median(self, parameters):
        """The value whose bin contains the location, uint8."""
        return nearest_level(self._split(parameters)[0], self.levels)

    def sample(self, parameters, uniform):
        """Draws, uint8; `uniform` in [0, 1) has the shape of the images."""
        location, log_scale = self._split(parameters)
        uniform = ops.clip(uniform, 1e-7, 1.0 - 1e-7)
        logistic = ops.log(uniform) - ops.log1p(-uniform)
        return nearest_level(location + ops.exp(log_scale) * logistic, self.levels)

    def _split(self, parameters):
        location, log_scale = ops.split(parameters, 2, axis=-1)
        return location, ops.clip(log_scale, self.smallest_log_scale, self.largest_log_scale)


class DiscretisedNormal:
    """Discretised normal distribution of pixels with `levels` values, equally spaced from -1 to 1.

    The outer bins extend to infinity, so that the probabilities sum to 1 (Ho et al. 2020,
    arXiv:2006.11239, equation 13).
    """

    def __init__(self, levels):
        self.levels = levels

    def log_prob(self, images, mean, log_variance):
        """log p in nats of every pixel of images of levels (n, height, width, channels)."""
        images = ops.cast(images, "float32")
        half_bin = 1.0 / (self.levels - 1)
        centred = 2.0 * half_bin * images - 1.0 - mean
        inverse_deviation = ops.exp(-0.5 * log_variance)
        # The bin mirrored to below 0, where the distribution function is exact.
        middle = -ops.abs(centred)
        upper = normal_log_cdf((middle + half_bin) * inverse_deviation)
        lower = normal_log_cdf((middle - half_bin) * inverse_deviation)
        inner = upper + ops.log(-ops.expm1(ops.minimum(lower - upper, -1e-7)))
        lowest = normal_log_cdf((centred + half_bin) * inverse_deviation)
        highest = normal_log_cdf((half_bin - centred) * inverse_deviation)
        inner = ops.where(images == 0, lowest, inner)
        return ops.where(images == self.levels - 1, highest, inner)


class Categorical:
    """Independent pixels of `levels` values with a softmax over all values.

    `parameters` is a float32 tensor (..., height, width, levels * channels): the logits of value 0
    for all channels, then those of value 1, and so on.
    """

    def __init__(self, levels):
        self.levels = levels
        self.parameters_per_value = levels

    def log_prob(self, images, parameters):
        """log p in nats per image, (...,), of uint8 images (..., height, width, channels)."""
        logits = ops.swapaxes(self._split(parameters), -2, -1)  # (..., channels, levels)
        log_prob = backend.categorical_log_prob(ops.cast(images, "int32"), logits)
        return ops.sum(log_prob, axis=(-3, -2, -1))

    def sample(self, parameters, uniform):
        """Draws, uint8: the first value whose cumulative probability exceeds `uniform`.

        `uniform` in [0, 1) has the shape of the images.
        """
        cumulative = ops.cumsum(ops.softmax(self._split(parameters), axis=-2), axis=-2)
        passed = cumulative[..., :-1, :] <= ops.expand_dims(uniform, -2)
        drawn = ops.sum(ops.cast(passed, "int32"), axis=-2)
        return ops.cast(drawn, level_dtype(self.levels))

    def _split(self, parameters):
        """Logits (..., levels, channels)."""
        channels = parameters.shape[-1] // self.levels
        return ops.reshape(parameters, (*ops.shape(parameters)[:-1], self.levels, channels))
