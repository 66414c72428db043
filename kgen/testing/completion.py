"""`complete` fills in what is missing; in autoregressive models no pixel sees a later one."""

import functools
import itertools

import numpy as np
from keras import ops

from kgen import backend
from kgen.spaces import rows_of
from kgen.testing.check import check, completes
from kgen.testing.comparing import array, refused, same


def is_autoregressive(model_class):
    return model_class.likelihood == "exact" and model_class.can_complete


def gives_parameters(model_class):
    """Whether it has `parameters_of` of `kgen.models.autoregressive.base`."""
    return is_autoregressive(model_class) and hasattr(model_class, "parameters_of")


def is_differentiable(model_class):
    """Whether it has `parameters_given` of `kgen.models.autoregressive.convolutional`."""
    return is_autoregressive(model_class) and hasattr(model_class, "parameters_given")


def has_raster_order(model_class):
    """Whether all images are drawn in raster order, by `parameters_of`."""
    return gives_parameters(model_class) and model_class.raster_order


def changes(model, condition=None, **settings):
    """By how much the parameters of every value change if one value does, (size, size).

    Rows are the changed values and columns those whose parameters change, in raster order.

    Args:
        condition: one row.
        settings: arguments of `parameters_of`.
    """
    height, width, channels = model.image_shape
    size = height * width * channels
    images = np.random.default_rng(0).integers(0, model.levels, (1, size)).repeat(size + 1, axis=0)
    images[np.arange(size), np.arange(size)] += 1  # the last image stays as it is
    images = (images % model.levels).astype(model.space.dtype)
    condition = rows_of(condition, np.zeros(size + 1, int))
    parameters_of = backend.compiled(model, functools.partial(model.parameters_of, **settings))
    parameters = array(parameters_of(images.reshape(-1, *model.image_shape), condition))
    parameters = parameters.reshape(size + 1, height, width, -1, channels).swapaxes(3, 4)
    parameters = parameters.reshape(size + 1, size, -1)
    return np.abs(parameters[:-1] - parameters[-1]).max(axis=2)


def blocked_gradients(model, condition=None):
    """Gradients of every value's parameters with respect to every value, in raster order.

    Returns those with respect to the value itself and later ones, which are to be zero, and those
    with respect to earlier ones.
    """
    height, width, channels = model.image_shape
    images = np.random.default_rng(0).normal(size=(1, height, width, channels)).astype("float32")
    embedded = model.embed(condition)

    def gradient(images, chosen):  # one-hot (height, width, channels)
        def chosen_parameters(x):
            parameters = model.parameters_given(x, embedded)
            parameters = ops.reshape(parameters, (1, height, width, -1, channels))
            # Squares: the logits of all levels, weighed differently
            return ops.square(parameters) * chosen[:, :, None]

        return backend.input_gradient(model, chosen_parameters, images)

    compiled = backend.compiled(model, gradient)
    values = np.eye(images.size, dtype="float32").reshape(-1, height, width, channels)
    jacobian = np.array([array(compiled(images, value)).ravel() for value in values])
    later = np.triu_indices(images.size)
    earlier = np.tril_indices(images.size, -1)
    return jacobian[later], jacobian[earlier]


def plainly_completed(model, images, mask, seed, condition=None):
    """What `complete` returns, by a full pass through the network for every value."""
    uniform = np.random.default_rng(seed).random(images.shape, "float32")
    parameters_of = backend.compiled(model, model.parameters_of)
    images, channels = images.copy(), images.shape[-1]
    for row, column, channel in itertools.product(*map(range, images.shape[1:])):
        chosen = (slice(None), slice(row, row + 1), slice(column, column + 1))
        parameters = array(parameters_of(images, condition))[chosen][..., channel::channels]
        noise = uniform[chosen][..., channel : channel + 1]
        drawn = array(
            model.likelihood_distribution.sample(*map(ops.convert_to_tensor, (parameters, noise)))
        )
        unknown = mask[:, row, column]
        images[unknown, row, column, channel] = drawn[unknown, 0, 0, 0]
    return images


@check(needs=gives_parameters)
def no_pixel_changes_its_own_or_an_earlier_distribution(case):
    changed = changes(case.taught, case.entering(1))
    own_or_earlier = np.tril(np.ones_like(changed, bool))
    assert changed[own_or_earlier].max() < 1e-5
    assert changed[~own_or_earlier].max() > 1e-3


@check(needs=is_differentiable)
def no_pixel_sees_itself_or_a_later_one(case):
    later, earlier = blocked_gradients(case.taught, case.entering(1))
    assert not later.any()
    assert earlier.any()


@check(needs=has_raster_order)
def cached_sampling_gives_the_pixels_of_the_plain_loop(case):
    everything = np.ones((8, *case.item_shape[:2]), bool)
    expected = plainly_completed(case.taught, case.items[:8], everything, 3, case.entering(8))
    assert same(case.taught.sample(8, **case.condition(8), seed=3), expected)


@check(needs=is_autoregressive)
def all_pixels_filled_in_are_a_sample(case):
    model, condition = case.taught, case.condition(8)
    mask = np.ones(case.item_shape[:2], bool)
    filled_in = model.complete(case.items[:8], mask, **condition, seed=3)
    assert same(filled_in, model.sample(8, **condition, seed=3))


@check(needs=completes)
def filling_in_keeps_known_pixels(case):
    model, images, condition = case.taught, case.items[:8], case.condition(8)
    mask = np.zeros(images.shape[1:3], bool)
    half = len(mask) // 2
    mask[half:] = True
    filled_in = model.complete(images, mask, **condition, seed=3)
    assert same(filled_in[:, :half], images[:, :half])
    assert not same(filled_in[:, half:], images[:, half:])
    assert case.are_valid(filled_in)
    unlooked_at = images.copy()
    unlooked_at[:, half:] = 255 if case.space.is_discrete else np.nan
    assert same(model.complete(unlooked_at, mask, **condition, seed=3), filled_in)
    with refused("received"):
        model.complete(unlooked_at, ~mask, **condition)


@check(needs=completes)
def nothing_to_fill_in_changes_nothing(case):
    mask = np.zeros(case.item_shape[:2], bool)
    images = case.items[:8]
    assert same(case.taught.complete(images, mask, **case.condition(8)), images)
