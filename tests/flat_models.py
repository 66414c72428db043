"""Help for the tests of autoregressive models of vectors: weights, all images, a plain loop."""

import itertools

import numpy as np
import pytest

import kgen
from kgen.testing.comparing import same


def model_of(name, image_shape=(2, 3, 1), levels=2, **settings):
    """A model whose weights are all random."""
    kgen.set_seed(0)
    model = kgen.models.create(name, image_shape=image_shape, levels=levels, **settings)
    generator = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(0.7 * generator.standard_normal(variable.shape).astype("float32"))
    return model


def all_images(model):
    """Every image of the model's space."""
    size = int(np.prod(model.image_shape))
    values = np.array(list(itertools.product(range(model.levels), repeat=size)), "uint8")
    return values.reshape(-1, *model.image_shape)


def some_images(model, count=6):
    return np.random.default_rng(1).integers(0, model.levels, (count, *model.image_shape), "uint8")


def indicators(values, levels):
    """[x = 1], ..., [x = levels - 1] of a vector of values, one after the other."""
    return (values[:, None] == np.arange(1, levels)).astype(float).ravel()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def probabilities(outputs):
    """Of the levels of a value: of one output by a sigmoid, of several by a softmax."""
    if len(outputs) == 1:
        return np.array([1 - sigmoid(outputs[0]), sigmoid(outputs[0])])
    weights = np.exp(outputs - outputs.max())
    return weights / weights.sum()


def drawn(outputs, uniform):
    """The draw of a value by a uniform number: of two levels 1 below p, else by the cumulative."""
    p = probabilities(outputs)
    return int(uniform < p[1]) if len(outputs) == 1 else int(np.sum(np.cumsum(p)[:-1] <= uniform))


def completed_in_order(outputs_of, values, unknown, uniform, order):
    """A vector whose unknown values are drawn one after the other in `order`, each by a full pass.

    Args:
        outputs_of: values -> outputs (size, outputs of a value).
    """
    values = np.where(unknown, 0, values)
    for number in order:
        if unknown[number]:
            values[number] = drawn(outputs_of(values)[number], uniform[number])
    return values


def log_probs(outputs_of, images):
    """log p of images, by the outputs of `outputs_of` of vectors of values."""
    found = []
    for values in images.reshape(len(images), -1):
        each = zip(outputs_of(values), values, strict=True)
        found.append(sum(np.log(probabilities(outputs)[value]) for outputs, value in each))
    return np.array(found)


def completed_in_raster_order(outputs_of, images, mask, seed):
    """What `complete` returns, by a full pass for every value of every image."""
    uniform = np.random.default_rng(seed).random(images.shape, "float32")
    unknown = np.broadcast_to(mask[..., None], images.shape)
    vectors = (array.reshape(len(images), -1) for array in (images, unknown, uniform))
    order = range(images[0].size)
    completed = [
        completed_in_order(outputs_of, *parts, order) for parts in zip(*vectors, strict=True)
    ]
    return np.reshape(completed, images.shape).astype(images.dtype)


def assert_sums_to_one(model):
    """The probabilities of all images sum to 1, and are not all alike."""
    log_prob = model.log_prob(all_images(model))
    assert np.exp(log_prob).sum() == pytest.approx(1, abs=1e-5)
    assert len(np.unique(log_prob.round(4))) > 20


def assert_draws_as_plain_loop(model, outputs_of):
    """Cached drawing equals a loop of full passes, `outputs_of(values)`, draw for draw."""
    images = some_images(model)
    mask = np.random.default_rng(2).random(images.shape[:3]) < 0.7
    completed = model.complete(images, mask, seed=5)
    assert same(completed, completed_in_raster_order(outputs_of, images, mask, seed=5))
    assert not same(completed, images)
