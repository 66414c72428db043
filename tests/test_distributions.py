"""Distributions, against TensorFlow Probability's NumPy substrate and float64 references."""

import functools
import sys

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from scipy import special, stats

from kgen import backend
from kgen.distributions import (
    Bernoulli,
    Categorical,
    DiscretisedLogistic,
    DiscretisedNormal,
    normal_kl,
    normal_kl_between,
    normal_log_cdf,
    normal_log_prob,
    pixel_distribution,
    standard_normal_log_prob,
)

# Where TensorFlow is imported, this imports it too and then asks for tf-keras; the NumPy substrate
# needs neither.
with pytest.MonkeyPatch.context() as patch:
    patch.setitem(sys.modules, "tensorflow", None)
    from tensorflow_probability.substrates import numpy as tfp

    tfd = tfp.distributions

light = settings(max_examples=25, deadline=None)

LEVELS = (3, 17, 256)
# (location, log-scale): inside, at and beyond the values' range; narrower than a bin to flat.
MODERATE = [(0.0, 0.0), (0.3, -2.0), (-0.71, -3.0), (1.5, 1.0), (-1.0, -1.0)]
EXTREME = [(0.0, -7.0), (0.71, -30.0), (-1.0, -7.0), (60.0, -2.0), (-900.0, 3.0), (0.4, 50.0)]
DRAWS = 2**14
TO_SUM = 1e-4  # float32: an edge is off by 1e-7 of its place, 1e-4 of the smallest scale


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def tensor(values):
    return ops.convert_to_tensor(np.asarray(values, "float32"))


def some_normals(shape=(2, 5, 3)):
    generator = np.random.default_rng(0)
    values, mean, log_variance = generator.normal(0, 2, (3, *shape)).astype("float32")
    return values, mean, log_variance


def reference_log_pmf(levels, location, log_scale):
    """log p of all values 0..levels-1 of one pixel, float64 (..., levels)."""
    location = np.asarray(location, "float32").astype("float64")[..., None]
    log_scale = np.asarray(log_scale, "float32").astype("float64")[..., None]
    scale = np.exp(np.maximum(log_scale, DiscretisedLogistic.smallest_log_scale))
    value = np.arange(levels)
    upper = ((2 * value + 1) / (levels - 1) - 1 - location) / scale
    lower = ((2 * value - 1) / (levels - 1) - 1 - location) / scale
    upper, lower = np.broadcast_arrays(upper, lower)
    # log( s(a) - s(b) ), from whichever tail keeps the digits: s(a) - s(b) = s(-b) - s(-a)
    high = np.where(upper + lower > 0, special.log_expit(-lower), special.log_expit(upper))
    low = np.where(upper + lower > 0, special.log_expit(-upper), special.log_expit(lower))
    log_pmf = high + np.log(-np.expm1(np.minimum(low - high, -1e-300)))
    flat = scale > 1e6  # where even float64 loses digits: density times the bin's width
    density = special.log_expit(upper) + special.log_expit(-upper) - np.log(scale)
    log_pmf = np.where(flat, density + np.log(2 / (levels - 1)), log_pmf)
    log_pmf[..., 0] = special.log_expit(upper[..., 0])
    log_pmf[..., -1] = special.log_expit(-lower[..., -1])
    return log_pmf


def one_pixel(levels, location, log_scale):
    """All values as images (levels, 1, 1, 1), with the parameters of each."""
    images = np.arange(levels, dtype="uint8").reshape(levels, 1, 1, 1)
    return images, np.broadcast_to(np.float32([location, log_scale]), (levels, 1, 1, 2))


@functools.cache
def compiled(method, levels):
    """A method of the logistic, compiled as models use it."""
    return backend.compiled(keras.Model(), getattr(DiscretisedLogistic(levels), method))


def log_pmf(levels, location, log_scale):
    return numpy(compiled("log_prob", levels)(*one_pixel(levels, location, log_scale)))


def evenly_drawn(levels, location, log_scale):
    """Draws for `DRAWS` evenly spaced uniform numbers, ascending."""
    uniform = (np.arange(DRAWS, dtype="float32") + 0.5).reshape(-1, 1, 1, 1) / DRAWS
    parameters = np.broadcast_to(np.float32([location, log_scale]), (DRAWS, 1, 1, 2))
    return numpy(compiled("sample", levels)(parameters, uniform)).ravel()


# === Normal ===


def test_normal_log_prob_is_tfps():
    values, mean, log_variance = some_normals()
    expected = tfd.Normal(mean, np.exp(log_variance / 2)).log_prob(values).sum(-1)
    found = normal_log_prob(tensor(values), tensor(mean), tensor(log_variance))
    np.testing.assert_allclose(numpy(found), expected, rtol=1e-5)


def test_standard_normal_log_prob_is_tfps():
    values = some_normals()[0]
    expected = tfd.Normal(0.0, 1.0).log_prob(values).sum(-1)
    np.testing.assert_allclose(numpy(standard_normal_log_prob(tensor(values))), expected, rtol=1e-5)


def test_normal_log_prob_broadcasts_the_parameters():
    values, mean, log_variance = some_normals()
    found = normal_log_prob(tensor(values), tensor(mean[0]), tensor(log_variance[0]))
    expected = tfd.Normal(mean[0], np.exp(log_variance[0] / 2)).log_prob(values).sum(-1)
    np.testing.assert_allclose(numpy(found), expected, rtol=1e-5)


def test_normal_kl_is_tfps():
    _, mean, log_variance = some_normals()
    posterior = tfd.Normal(mean, np.exp(log_variance / 2))
    expected = tfd.kl_divergence(posterior, tfd.Normal(0.0, 1.0)).sum(-1)
    found = numpy(normal_kl(tensor(mean), tensor(log_variance)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_normal_kl_is_the_mean_difference_of_log_probs():
    _, mean, log_variance = some_normals((1, 3))
    noise = np.random.default_rng(1).standard_normal((100_000, 3), "float32")
    values = tensor(mean + np.exp(log_variance / 2) * noise)
    posterior = normal_log_prob(values, tensor(mean), tensor(log_variance))
    differences = numpy(posterior) - numpy(standard_normal_log_prob(values))
    error = differences.std() / np.sqrt(len(noise))
    expected = numpy(normal_kl(tensor(mean), tensor(log_variance)))[0]
    assert abs(differences.mean() - expected) < 4 * error


def test_normal_kl_is_zero_for_the_prior_only():
    assert numpy(normal_kl(tensor([[0.0, 0.0]]), tensor([[0.0, 0.0]])))[0] == 0
    assert numpy(normal_kl(tensor([[0.1, 0.0]]), tensor([[0.0, 0.0]])))[0] > 0
    assert numpy(normal_kl(tensor([[0.0, 0.0]]), tensor([[0.0, -0.1]])))[0] > 0


# === Which distribution ===


@pytest.mark.parametrize(
    ("levels", "expected"), [(2, Bernoulli), *[(n, DiscretisedLogistic) for n in LEVELS]]
)
def test_two_levels_are_bernoulli_and_more_are_logistic(levels, expected):
    distribution = pixel_distribution(levels)
    assert type(distribution) is expected
    assert getattr(distribution, "levels", 2) == levels


# === Bernoulli ===


def some_binary_images():
    generator = np.random.default_rng(2)
    images = generator.integers(0, 2, (6, 4, 5, 3)).astype("uint8")
    return images, generator.normal(0, 4, images.shape).astype("float32")


def test_bernoulli_log_prob_is_tfps():
    images, logits = some_binary_images()
    expected = tfd.Bernoulli(logits=logits.astype("float64")).log_prob(images).sum((1, 2, 3))
    found = numpy(Bernoulli().log_prob(ops.convert_to_tensor(images), tensor(logits)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_bernoulli_log_prob_broadcasts_the_images():
    images, logits = some_binary_images()
    several = np.stack([logits, -logits])  # (2, n, height, width, channels)
    found = numpy(Bernoulli().log_prob(ops.convert_to_tensor(images), tensor(several)))
    for row, parameters in zip(found, several, strict=True):
        alone = Bernoulli().log_prob(ops.convert_to_tensor(images), tensor(parameters))
        np.testing.assert_allclose(row, numpy(alone), rtol=1e-5)


@pytest.mark.parametrize("logit", [-1000.0, -90.0, -17.0, 0.0, 17.0, 90.0, 1000.0])
def test_bernoulli_log_prob_keeps_its_digits_at_extreme_logits(logit):
    images = np.array([0, 1], "uint8").reshape(2, 1, 1, 1)
    parameters = tensor(np.full((2, 1, 1, 1), logit))
    found = numpy(Bernoulli().log_prob(ops.convert_to_tensor(images), parameters))
    expected = special.log_expit(np.array([-logit, logit]))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-37)


def test_bernoulli_median_is_the_more_probable_value():
    logits = tensor([[[[-3.0, -0.01, 0.01, 3.0]]]])
    median = numpy(Bernoulli().median(logits))
    assert median.dtype == np.uint8
    assert median.ravel().tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("logit", [-4.0, -0.5, 0.0, 2.0])
def test_bernoulli_draws_ones_as_often_as_probable(logit):
    count = 2**16
    uniform = tensor((np.arange(count).reshape(-1, 1, 1, 1) + 0.5) / count)
    draws = numpy(Bernoulli().sample(tensor(np.full((count, 1, 1, 1), logit)), uniform))
    assert draws.dtype == np.uint8
    assert set(np.unique(draws)) == {0, 1}
    assert abs(draws.mean() - special.expit(logit)) < 2 / count


# === Discretised logistic: probabilities ===


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize(("location", "log_scale"), MODERATE)
def test_logistic_log_prob_is_tfps_quantised_logistic(levels, location, log_scale):
    # tfp integrates over (value - 1, value] of 0..levels-1, half a bin below ours.
    half_range = 0.5 * (levels - 1)
    logistic = tfd.Logistic(
        np.float64((np.float32(location) + 1) * half_range - 0.5),
        np.float64(np.exp(log_scale) * half_range),
    )
    quantised = tfd.QuantizedDistribution(logistic, low=0.0, high=levels - 1.0)
    expected = quantised.log_prob(np.arange(levels, dtype="float64"))
    np.testing.assert_allclose(log_pmf(levels, location, log_scale), expected, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize(("location", "log_scale"), MODERATE + EXTREME)
def test_logistic_log_prob_is_that_in_float64(levels, location, log_scale):
    expected = reference_log_pmf(levels, location, log_scale)
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(
        log_pmf(levels, location, log_scale), expected, rtol=1e-4, atol=TO_SUM
    )


@pytest.mark.parametrize("levels", LEVELS)
@light
@given(location=st.floats(-3, 3, width=32), log_scale=st.floats(-9, 9, width=32))
def test_logistic_probabilities_sum_to_one(levels, location, log_scale):
    total = np.exp(log_pmf(levels, location, log_scale).astype("float64")).sum()
    assert abs(total - 1) < TO_SUM


@pytest.mark.parametrize(("location", "log_scale"), MODERATE + EXTREME)
def test_logistic_is_symmetric(location, log_scale):
    mirrored = log_pmf(17, -location, log_scale)[::-1]
    np.testing.assert_allclose(log_pmf(17, location, log_scale), mirrored, rtol=1e-4, atol=1e-4)


def test_logistic_scale_stops_shrinking():
    smallest = DiscretisedLogistic.smallest_log_scale
    assert np.array_equal(log_pmf(256, 0.1, -50.0), log_pmf(256, 0.1, smallest))
    assert not np.array_equal(log_pmf(256, 0.1, smallest + 1), log_pmf(256, 0.1, smallest))


@functools.cache
def some_colour_images():
    generator = np.random.default_rng(3)
    images = generator.integers(0, 17, (4, 2, 5, 3)).astype("uint8")
    images.ravel()[:2] = 0, 16
    location = generator.normal(0, 1, images.shape).astype("float32")
    log_scale = generator.normal(-1, 1, images.shape).astype("float32")
    return images, location, log_scale


def test_logistic_parameters_are_locations_then_log_scales():
    images, location, log_scale = some_colour_images()
    parameters = tensor(np.concatenate([location, log_scale], -1))
    found = numpy(DiscretisedLogistic(17).log_prob(ops.convert_to_tensor(images), parameters))
    pmf = reference_log_pmf(17, location, log_scale)
    each = np.take_along_axis(pmf, images[..., None].astype("int64"), -1)[..., 0]
    np.testing.assert_allclose(found, each.sum((1, 2, 3)), rtol=1e-5)


def test_logistic_log_prob_broadcasts_the_images():
    images, location, log_scale = some_colour_images()
    distribution, images = DiscretisedLogistic(17), ops.convert_to_tensor(images)
    several = np.stack([np.concatenate([sign * location, log_scale], -1) for sign in (1, -1)])
    found = numpy(distribution.log_prob(images, tensor(several)))
    for row, parameters in zip(found, several, strict=True):
        alone = numpy(distribution.log_prob(images, tensor(parameters)))
        np.testing.assert_allclose(row, alone, rtol=1e-5)


# === Discretised logistic: gradients ===


class Pixel(keras.Model):
    """Holds the parameters of one pixel, one row per value, so that gradients can be asked for."""

    def __init__(self, levels):
        super().__init__()
        self.pixels = self.add_weight(shape=(levels, 1, 1, 2), initializer="zeros")
        self.levels = levels
        self.built = True

    def gradient(self, images):
        def total():
            parameters = ops.convert_to_tensor(self.pixels)
            return ops.sum(DiscretisedLogistic(self.levels).log_prob(images, parameters)), {}

        return backend.value_and_grad(self, total, [self.pixels])[1][0]


@functools.cache
def pixel(levels):
    model = Pixel(levels)
    return model, backend.compiled(model, model.gradient)


def gradients(levels, location, log_scale):
    """d log p(value) / d (location, log-scale) for all values: (levels, 2)."""
    images, parameters = one_pixel(levels, location, log_scale)
    model, gradient = pixel(levels)
    model.pixels.assign(parameters)
    return numpy(gradient(images)).reshape(levels, 2)


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize(("location", "log_scale"), EXTREME)
def test_logistic_gradients_are_finite_at_extremes(levels, location, log_scale):
    assert np.isfinite(gradients(levels, location, log_scale)).all()


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize(("location", "log_scale"), MODERATE)
def test_logistic_gradients_are_those_of_finite_differences(levels, location, log_scale):
    step = 2.0**-10  # exact in float32, as are its sums with the numbers above nearly
    location, log_scale = np.float32(location), np.float32(log_scale)
    by_location = (
        reference_log_pmf(levels, location + step, log_scale)
        - reference_log_pmf(levels, location - step, log_scale)
    ) / (2 * step)
    by_log_scale = (
        reference_log_pmf(levels, location, log_scale + step)
        - reference_log_pmf(levels, location, log_scale - step)
    ) / (2 * step)
    expected = np.stack([by_location, by_log_scale], -1)
    np.testing.assert_allclose(
        gradients(levels, location, log_scale), expected, rtol=2e-3, atol=2e-3
    )


def test_logistic_scale_below_the_smallest_has_no_gradient_but_its_location_has():
    by_location, by_log_scale = gradients(256, 0.1, -20.0).T
    assert np.array_equal(by_log_scale, np.zeros(256))
    assert (by_location[:100] < 0).all()
    assert (by_location[-100:] > 0).all()


# === Discretised logistic: draws and medians ===


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize(("location", "log_scale"), [*MODERATE, (0.71, -30.0), (0.4, 8.0)])
def test_logistic_draws_each_value_as_often_as_probable(levels, location, log_scale):
    draws = evenly_drawn(levels, location, log_scale)
    frequencies = np.bincount(draws, minlength=levels) / DRAWS
    expected = np.exp(reference_log_pmf(levels, location, log_scale))
    np.testing.assert_allclose(frequencies, expected, rtol=0, atol=3 / DRAWS)


@pytest.mark.parametrize("levels", LEVELS)
@light
@given(location=st.floats(-3, 3, width=32), log_scale=st.floats(-9, 9, width=32))
def test_logistic_draw_rises_with_the_uniform_number(levels, location, log_scale):
    draws = evenly_drawn(levels, location, log_scale)
    assert draws.dtype == np.uint8
    assert (np.diff(draws.astype("int64")) >= 0).all()
    assert draws[-1] < levels


def test_logistic_draws_are_finite_at_the_ends_of_the_uniform_numbers():
    parameters = tensor(np.broadcast_to(np.float32([0.2, 1.0]), (2, 1, 1, 2)))
    ends = tensor(np.array([0.0, 1 - 2.0**-24]).reshape(2, 1, 1, 1))
    draws = numpy(DiscretisedLogistic(256).sample(parameters, ends))
    assert draws.ravel().tolist() == [0, 255]


def test_logistic_draws_use_each_channels_own_parameters():
    location = np.float32([-1.0, 0.0, 1.0])
    parameters = np.concatenate([location, np.full(3, -7.0)]).reshape(1, 1, 1, 6)
    draws = DiscretisedLogistic(3).sample(tensor(parameters), tensor(np.full((1, 1, 1, 3), 0.6)))
    assert numpy(draws).ravel().tolist() == [0, 1, 2]


@pytest.mark.parametrize("levels", LEVELS)
@light
@given(location=st.floats(-3, 3, width=32), log_scale=st.floats(-7, 2, width=32))
def test_logistic_median_is_that_of_the_probabilities(levels, location, log_scale):
    _, parameters = one_pixel(levels, location, log_scale)
    median = numpy(compiled("median", levels)(parameters))[:1]
    assert median.dtype == np.uint8
    cumulative = np.exp(reference_log_pmf(levels, location, log_scale)).cumsum()
    below = cumulative[median.item() - 1] if median.item() else 0.0
    assert below <= 0.5 + TO_SUM  # a location between two bins has two medians
    assert cumulative[median.item()] >= 0.5 - TO_SUM


def test_logistic_median_beyond_the_range_is_the_outermost_value():
    parameters = tensor(np.float32([-9.0, 9.0, 0.0, 0.0]).reshape(1, 1, 1, 4))
    assert numpy(DiscretisedLogistic(17).median(parameters)).ravel().tolist() == [0, 16]


# === Categorical ===


def some_logits(levels, channels=3):
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 3, (4, 2, 5, levels, channels)).astype("float32")
    return logits, tensor(logits.reshape(4, 2, 5, levels * channels))


@pytest.mark.parametrize("levels", LEVELS)
def test_categorical_log_prob_equals_tfp(levels):
    logits, parameters = some_logits(levels)
    images = np.random.default_rng(1).integers(0, levels, (4, 2, 5, 3)).astype("uint8")
    oracle = tfd.Categorical(logits=np.moveaxis(logits, -2, -1).astype("float64"))
    expected = oracle.log_prob(images.astype("int32")).sum((1, 2, 3))
    received = numpy(Categorical(levels).log_prob(images, parameters))
    np.testing.assert_allclose(received, expected, rtol=1e-5)


@pytest.mark.parametrize("levels", LEVELS)
def test_categorical_draws_are_the_inverse_of_the_cumulative_distribution(levels):
    logits, parameters = some_logits(levels)
    uniform = np.random.default_rng(2).random((4, 2, 5, 3), "float32")
    cumulative = np.cumsum(special.softmax(logits.astype("float64"), axis=-2), axis=-2)
    expected = (cumulative[..., :-1, :] <= uniform[..., None, :]).sum(-2)
    drawn = numpy(Categorical(levels).sample(parameters, tensor(uniform)))
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(drawn, expected)


def test_categorical_draws_only_what_is_possible():
    """Also for the smallest and largest noise, and logits far apart."""
    logits = np.float32([-200, -150, -200, 100, -200]).reshape(1, 1, 1, 5)
    for noise in (0.0, 1 - 2**-24):
        drawn = Categorical(5).sample(tensor(logits), tensor(np.full((1, 1, 1, 1), noise)))
        assert numpy(drawn).item() == 3


# === Discretised normal ===

# (mean, standard deviation): inside and beyond the values' range; narrower than a bin to flat.
NORMALS = [(0.1, 0.3), (0.0, 5.0), (-0.99, 0.004), (0.5, 0.0005), (1.8, 0.05), (-30.0, 1.0)]


def normal_log_pmf(levels, mean, deviation):
    images = np.arange(levels, dtype="uint8").reshape(levels, 1, 1, 1)
    log_variance = 2.0 * np.log(deviation)
    return numpy(DiscretisedNormal(levels).log_prob(images, tensor(mean), tensor(log_variance)))


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize(("mean", "deviation"), NORMALS)
def test_levels_are_bins_of_scipys_normal(levels, mean, deviation):
    edges = (2.0 * np.arange(1, levels) - levels) / (levels - 1)
    lower, upper = (np.array([-np.inf, *edges]), np.array([*edges, np.inf]))
    normal = stats.norm(mean, deviation)
    with np.errstate(divide="ignore", invalid="ignore"):
        left = normal.logcdf(upper) + np.log1p(-np.exp(normal.logcdf(lower) - normal.logcdf(upper)))
        right = normal.logsf(lower) + np.log1p(-np.exp(normal.logsf(upper) - normal.logsf(lower)))
    expected = np.where(lower > mean, right, left)  # a bin of either tail from its own side
    found = normal_log_pmf(levels, mean, deviation).ravel()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-3)


@pytest.mark.parametrize("levels", [2, 17, 256])
@light
@given(mean=st.floats(-3, 3, width=32), log_deviation=st.floats(-7, 2, width=32))
def test_probabilities_of_a_discretised_normal_sum_to_one(levels, mean, log_deviation):
    found = normal_log_pmf(levels, mean, np.exp(log_deviation)).astype("float64")
    assert special.logsumexp(found) == pytest.approx(0.0, abs=2e-3)


def test_normal_log_cdf_is_scipys_far_below_zero():
    values = np.concatenate([np.linspace(-8.0, 8.0, 201), [-1e4, -300.0, -40.0, 40.0]])
    values = values.astype("float32")
    found, expected = (
        numpy(normal_log_cdf(tensor(values))),
        stats.norm.logcdf(values.astype("float64")),
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-7)  # of 1, float32


def test_normal_kl_between_is_tfps():
    mean, log_variance = some_normals()[1:]
    other_mean, other_log_variance = mean[::-1] + 0.3, log_variance[:, ::-1]
    expected = tfd.Normal(mean, np.exp(log_variance / 2)).kl_divergence(
        tfd.Normal(other_mean, np.exp(other_log_variance / 2))
    )
    parts = (mean, log_variance, other_mean, other_log_variance)
    found = numpy(normal_kl_between(*map(tensor, parts)))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


class NormalPixel(keras.Model):
    """Holds mean and log variance of one pixel, for gradients."""

    def __init__(self):
        super().__init__()
        self.pair = self.add_weight(shape=(2,), initializer="zeros", name="pair")
        self.built = True

    def gradient(self, images):
        def total():
            mean, log_variance = ops.unstack(ops.convert_to_tensor(self.pair), 2)
            log_prob = DiscretisedNormal(256).log_prob(images, mean, log_variance)
            return ops.sum(log_prob), {}

        return backend.value_and_grad(self, total, [self.pair])[1][0]


@pytest.mark.parametrize(("mean", "deviation"), [*NORMALS, (0.3, 1e-6), (0.0, 1e4)])
def test_gradients_of_a_discretised_normal_are_finite(mean, deviation):
    model = NormalPixel()
    model.pair.assign(np.float32([mean, 2.0 * np.log(deviation)]))
    images = np.arange(256, dtype="uint8").reshape(256, 1, 1, 1)
    found = numpy(backend.compiled(model, model.gradient)(images))
    assert np.isfinite(found).all()


# === Softplus of the adapters ===

INPUTS = np.float32([-200.0, -30.0, -1.0, 0.0, 0.5, 30.0, 200.0])


class Inputs(keras.Model):
    """Holds the inputs of a softplus, for gradients."""

    def __init__(self):
        super().__init__()
        self.inputs = self.add_weight(shape=INPUTS.shape, name="inputs")
        self.inputs.assign(INPUTS)
        self.built = True

    def gradient(self):
        def total():
            return ops.sum(backend.softplus(ops.convert_to_tensor(self.inputs))), {}

        return backend.value_and_grad(self, total, [self.inputs])[1][0]


def test_softplus_is_accurate_on_both_sides():
    expected = np.logaddexp(0.0, INPUTS.astype("float64"))
    np.testing.assert_allclose(numpy(backend.softplus(tensor(INPUTS))), expected, 1e-6, 1e-37)


def test_gradients_of_softplus():
    model = Inputs()
    slopes = numpy(backend.compiled(model, model.gradient)())
    np.testing.assert_allclose(slopes, special.expit(INPUTS.astype("float64")), 1e-6, 1e-37)
