"""The image transformer against attention in NumPy, and against all images of a tiny space."""

import functools
import math

import numpy as np
import pytest
from flat_models import (
    assert_draws_as_plain_loop,
    assert_sums_to_one,
    log_probs,
    model_of,
    some_images,
)

import kgen
from kgen.testing.comparing import array, refused
from kgen.testing.completion import changes

FORMS = [
    {"image_shape": (2, 3, 1), "levels": 2, "features": 6, "blocks": 2, "heads": 2},
    {"image_shape": (1, 2, 3), "levels": 3, "features": 4, "blocks": 1, "heads": 1},
]
every_form = pytest.mark.parametrize("form", FORMS, ids=["binary", "colour"])
gelu = np.vectorize(lambda x: x * 0.5 * (1 + math.erf(x / math.sqrt(2))))


def layer_norm(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def of_layer(layer, x):
    kernel, bias = map(array, layer.get_weights())
    return x @ kernel + bias


def outputs_of(model, vector):
    """One token after the other attends to itself and those before it."""
    rows, columns, channels = map(array, (place.value for place in model.places))
    places = [rows[r] + columns[c] + channels[k] for r, c, k in np.ndindex(model.image_shape)]
    inputs = (vector[:, None] == np.arange(1, model.levels)).astype(float)
    tokens = [array(model.start.value)[0], *of_layer(model.value_layer, inputs[:-1])]
    x = np.array(tokens) + places
    total = x
    for block in model.attention_blocks:
        queries, keys, values = np.split(of_layer(block.queries_keys_values, layer_norm(x)), 3, 1)
        found = np.zeros_like(x)
        heads = np.split(np.arange(model.features), model.heads)
        for number in range(len(x)):
            for head in heads:
                scores = keys[: number + 1, head] @ queries[number, head] / np.sqrt(len(head))
                weights = np.exp(scores) / np.exp(scores).sum()
                found[number, head] = weights @ values[: number + 1, head]
        x = x + of_layer(block.attended, found)
        x = x + of_layer(block.last, gelu(of_layer(block.hidden, layer_norm(x))))
        total = total + x
    return of_layer(model.output_layer, layer_norm(total))


@every_form
def test_probabilities_of_all_images_sum_to_one(form):
    assert_sums_to_one(model_of("image_transformer", **form))


@every_form
def test_log_prob_is_that_of_attention_token_by_token(form):
    model = model_of("image_transformer", **form)
    images = some_images(model)
    expected = log_probs(functools.partial(outputs_of, model), images)
    np.testing.assert_allclose(model.log_prob(images), expected, rtol=1e-3)


@every_form
def test_drawing_is_that_of_the_plain_loop(form):
    model = model_of("image_transformer", **form)
    assert_draws_as_plain_loop(model, functools.partial(outputs_of, model))


@every_form
def test_every_value_changes_all_later_distributions_and_no_other(form):
    changed = changes(model_of("image_transformer", **form))
    later = np.triu(np.ones_like(changed, bool), 1)
    assert changed[~later].max() < 1e-5
    assert changed[later].min() > 1e-4


def test_captions_and_labels_enter_the_start_token():
    words = {"words": ("red", "seven"), "length": 2, "classes": 3}
    model = model_of("image_transformer", features=4, blocks=1, heads=2, **words)
    images = some_images(model, 1).repeat(3, axis=0)
    labels, captions = np.array([0, 1, 0]), np.array([[2, 3], [2, 3], [3, 0]])
    log_prob = model.log_prob(images, {"labels": labels, "captions": captions})
    assert len(np.unique(log_prob.round(4))) == 3


def test_features_that_the_heads_do_not_divide_are_refused():
    with refused("multiple of heads", "6 and 4"):
        kgen.ImageTransformer((2, 2, 1), 2, features=6, heads=4)
