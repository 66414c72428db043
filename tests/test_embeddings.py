"""Embeddings of times and of what a model is given."""

import json

import numpy as np
import pytest
from keras import ops
from test_unet import gradients, random, scatter

from kgen.layers import ConditionEmbedding, TimeEmbedding
from kgen.spaces import Attributes, Labels, Pixels, Tokens, Vectors
from kgen.testing.comparing import array
from kgen.testing.states import under_policy

SIZE = 6
WORDS = Tokens(length=4, words=("a", "red", "seven"))
SPACES = {  # {name: (space, three items)}
    "labels": (Labels(5), np.int32([4, 0, 2])),
    "attributes": (Attributes(("red", "large")), np.float32([[0, 1], [1, 1], [0.5, 0]])),
    "vectors": (Vectors(3), random(3, 3)),
    "texts": (WORDS, WORDS.encode(["a red seven", "seven a", "red red seven a"])),
    "images": (Pixels((5, 4, 1), 4), np.uint8(random(3, 5, 4, 1) > 0.0) * 3),
}
SPACES["several"] = tuple(
    {name: SPACES[name][part] for name in ("texts", "labels")} for part in range(2)
)
every_space = pytest.mark.parametrize("name", SPACES)


def embedding_of(name):
    space, values = SPACES[name]
    return scatter(ConditionEmbedding(space, SIZE)), values


@every_space
def test_every_space_is_embedded_row_by_row(name):
    layer, values = embedding_of(name)
    embedded = array(layer(values))
    assert embedded.shape == (3, SIZE)
    assert np.abs(embedded[0] - embedded[1]).max() > 1e-3
    first = {key: v[:1] for key, v in values.items()} if name == "several" else values[:1]
    np.testing.assert_allclose(array(layer(first)), embedded[:1], atol=1e-5)


@every_space
def test_dropped_rows_are_one_learned_vector_and_the_others_stay(name):
    layer, values = embedding_of(name)
    embedded = array(layer(values, np.array([True, False, True])))
    nothing = array(layer.nothing)
    assert np.abs(nothing).max() > 0.1
    np.testing.assert_array_equal(embedded[[0, 2]], np.stack([nothing, nothing]))
    np.testing.assert_allclose(embedded[1], array(layer(values))[1], atol=1e-6)


@every_space
def test_gradients_reach_every_weight(name):
    layer, values = embedding_of(name)
    dropped = np.array([False, False, True])
    found = gradients(layer, lambda: ops.mean(layer(values, dropped) ** 2))
    assert [path for path, value in found.items() if np.abs(value).max() < 1e-7] == []


@every_space
def test_it_is_made_anew_from_its_configuration(name):
    layer, values = embedding_of(name)
    written = json.loads(json.dumps(layer.get_config()))
    twin = ConditionEmbedding.from_config(written)
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(array(twin(values)), array(layer(values)))
    assert twin.get_config() == layer.get_config()


def test_several_conditions_are_added():
    layer, values = embedding_of("several")
    parts = [array(part(v)) for part, v in zip(layer.parts, values.values(), strict=True)]
    np.testing.assert_allclose(array(layer(values)), sum(parts), atol=1e-5)
    turned = dict(reversed(values.items()))
    np.testing.assert_array_equal(array(layer(turned)), array(layer(values)))


def test_times_become_sines_and_cosines_of_all_frequencies():
    layer = TimeEmbedding(8, highest=100.0, lowest=0.1)
    times = np.float32([0.0, 0.013, -1.5])
    frequencies = np.array([0.1, 1.0, 10.0, 100.0])
    np.testing.assert_allclose(layer.frequencies, frequencies, rtol=1e-5)
    angles = times[:, None] * frequencies
    features = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    weights = [array(weight) for weight in scatter(layer).trainable_variables]
    hidden = features @ weights[0] + weights[1]
    expected = (hidden / (1.0 + np.exp(-hidden))) @ weights[2] + weights[3]
    np.testing.assert_allclose(array(layer(times)), expected, atol=1e-4)


def test_near_times_differ_under_mixed_precision():
    with under_policy("mixed_bfloat16"):
        layer = scatter(TimeEmbedding(8))
    first, second = array(layer(np.float32([0.5, 0.5005])))  # equal in bfloat16
    assert np.abs(first - second).max() > 1e-2
