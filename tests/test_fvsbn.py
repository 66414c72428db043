"""The FVSBN against logistic regressions in NumPy, and against all images of a tiny space."""

import functools

import numpy as np
import pytest
from flat_models import (
    assert_draws_as_plain_loop,
    assert_sums_to_one,
    indicators,
    log_probs,
    model_of,
    some_images,
)

import kgen
from kgen.testing.comparing import array, refused

FORMS = [
    {"image_shape": (2, 3, 1), "levels": 2},
    {"image_shape": (1, 2, 3), "levels": 3},
]
every_form = pytest.mark.parametrize("form", FORMS, ids=["binary", "colour"])


def outputs_of(model, values):
    """A regression on the values before, one value at a time."""
    kernel, bias = (array(weight).astype(float) for weight in model.get_weights())
    inputs, outputs = model.levels - 1, model.parameters_per_value
    vector, found = indicators(values, model.levels), []
    for number in range(len(values)):
        before, own = slice(number * inputs), slice(number * outputs, (number + 1) * outputs)
        found.append(bias[own] + vector[before] @ kernel[before, own])
    return np.array(found)


@every_form
def test_probabilities_of_all_images_sum_to_one(form):
    assert_sums_to_one(model_of("fvsbn", **form))


@every_form
def test_log_prob_is_that_of_logistic_regressions(form):
    model = model_of("fvsbn", **form)
    images = some_images(model)
    expected = log_probs(functools.partial(outputs_of, model), images)
    np.testing.assert_allclose(model.log_prob(images), expected, rtol=1e-5)


@every_form
def test_drawing_is_that_of_the_plain_loop(form):
    model = model_of("fvsbn", **form)
    assert_draws_as_plain_loop(model, functools.partial(outputs_of, model))


def test_it_begins_with_nearly_fair_coins():
    model = kgen.FVSBN((3, 4, 1))
    images = some_images(model)
    # Logits are sums of at most 11 weights of deviation 0.01: 12 of them add a deviation of 0.04.
    np.testing.assert_allclose(model.log_prob(images), -12 * np.log(2), atol=0.25)


def test_more_than_a_few_levels_are_refused():
    with refused("levels", "2 to 32", "256", "pixelcnn"):
        kgen.FVSBN((2, 2, 1), levels=256)
