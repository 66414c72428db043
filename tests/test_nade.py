"""NADE against its recursion in NumPy, and against all images of a tiny space."""

import functools

import numpy as np
import pytest
from flat_models import (
    assert_draws_as_plain_loop,
    assert_sums_to_one,
    indicators,
    log_probs,
    model_of,
    sigmoid,
    some_images,
)

from kgen.testing.comparing import array

FORMS = [
    {"image_shape": (2, 3, 1), "levels": 2, "hidden": 5},
    {"image_shape": (3, 2, 1), "levels": 2, "hidden": 1},
    {"image_shape": (1, 2, 3), "levels": 3, "hidden": 4},
]
every_form = pytest.mark.parametrize("form", FORMS, ids=["binary", "one unit", "colour"])


def outputs_of(model, values):
    """Larochelle & Murray 2011, equations 2 and 3, one value after the other."""
    hidden_kernel, sums, output_kernel, output_bias = (
        array(weight.value).astype(float)
        for weight in (
            model.hidden_kernel,
            model.hidden_bias,
            model.output_kernel,
            model.output_bias,
        )
    )
    inputs, outputs, found = model.levels - 1, model.parameters_per_value, []
    vector = indicators(values, model.levels)
    for number in range(len(values)):
        own = slice(number * outputs, (number + 1) * outputs)
        found.append(output_bias[own] + output_kernel[own] @ sigmoid(sums))
        own = slice(number * inputs, (number + 1) * inputs)
        sums = sums + vector[own] @ hidden_kernel[own]
    return np.array(found)


@every_form
def test_probabilities_of_all_images_sum_to_one(form):
    assert_sums_to_one(model_of("nade", **form))


@every_form
def test_rows_at_once_give_the_log_prob_of_the_recursion(form):
    model = model_of("nade", **form)
    images = some_images(model)
    expected = log_probs(functools.partial(outputs_of, model), images)
    np.testing.assert_allclose(model.log_prob(images), expected, rtol=1e-5)


@every_form
def test_drawing_is_that_of_the_plain_loop(form):
    model = model_of("nade", **form)
    assert_draws_as_plain_loop(model, functools.partial(outputs_of, model))
