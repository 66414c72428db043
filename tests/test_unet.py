"""The U-Net of diffusion models and its parts, against formulas and layers of Keras."""

import keras
import numpy as np
import pytest
from keras import ops

from kgen import backend, layers
from kgen.layers.unet import ResidualBlock, SelfAttention
from kgen.testing.comparing import array
from kgen.testing.states import under_policy

EMBEDDING = 6


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def scatter(layer):
    """Random weights: layers that begin with zeros hide what stands before them."""
    for number, weight in enumerate(layer.trainable_variables):
        fan_in = np.prod(weight.shape[:-1]) if len(weight.shape) > 1 else 4.0
        weight.assign(random(*weight.shape, seed=number) / np.sqrt(fan_in))
    return layer


def small_unet(image_shape=(8, 8, 1), multipliers=(1, 2), blocks=1, attention=1, **kwargs):
    settings = {"embedding_size": EMBEDDING, "outputs": image_shape[-1], "groups": 2}
    return layers.UNet(image_shape, 4, multipliers, blocks, attention, **settings, **kwargs)


def gradients(layer, function):
    """{path: gradient} of a scalar function of no arguments."""
    variables = layer.trainable_variables
    _, found = backend.value_and_grad(layer, lambda: (function(), ()), variables)
    return {v.path: array(gradient) for v, gradient in zip(variables, found, strict=True)}


# === The network ===


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (7, 7, 1), (5, 9, 2)])
def test_images_of_any_size_keep_it_and_outputs_begin_at_zero(shape):
    unet = small_unet(shape, multipliers=(1, 2, 2))
    x, embedding = random(2, *shape), random(2, EMBEDDING)
    begun = array(unet(x, embedding))
    assert begun.dtype == "float32"
    np.testing.assert_array_equal(begun, np.zeros((2, *shape), "float32"))
    outputs = array(scatter(unet)(x, embedding))
    assert outputs.shape == (2, *shape)
    assert np.isfinite(outputs).all()
    assert outputs.std() > 0.01


def test_an_output_depends_on_its_own_image_and_embedding_alone():
    unet = scatter(small_unet(blocks=2))
    x, embedding = random(5, 8, 8, 1), random(5, EMBEDDING, seed=1)
    outputs = array(unet(x, embedding))
    alone = np.concatenate([array(unet(x[i : i + 1], embedding[i : i + 1])) for i in range(5)])
    np.testing.assert_allclose(outputs, alone, atol=1e-4)
    embedding[2] += 1.0
    changed = np.abs(array(unet(x, embedding)) - outputs).max(axis=(1, 2, 3))
    assert changed[2] > 0.01
    assert np.delete(changed, 2).max() < 1e-4


def test_gradients_reach_every_weight():
    unet = scatter(small_unet())
    x, embedding = random(3, 8, 8, 1), random(3, EMBEDDING)
    found = gradients(unet, lambda: ops.mean(unet(x, embedding) ** 2))
    assert [path for path, value in found.items() if np.abs(value).max() < 1e-6] == []


def test_each_output_sees_the_whole_image():
    unet = scatter(small_unet(multipliers=(1, 1)))
    x, embedding = random(1, 8, 8, 1), random(1, EMBEDDING)

    def corner(x):
        return unet(x, embedding)[:, 0, 0, 0]

    slope = array(backend.input_gradient(unet, corner, ops.convert_to_tensor(x)))
    assert (np.abs(slope) > 0).all()


@pytest.mark.parametrize(("attention", "expected"), [(0, 0), (1, 3), (2, 5), (9, 7)])
def test_attention_is_at_the_smallest_sizes_and_in_the_middle(attention, expected):
    unet = small_unet(multipliers=(1, 1, 1), attention=attention)
    found = [layer for layer in unet._flatten_layers() if isinstance(layer, SelfAttention)]
    assert len(found) == expected


def test_dropout_is_drawn_anew_in_training_alone():
    unet = scatter(small_unet(dropout=0.5))
    x, embedding = random(2, 8, 8, 1), random(2, EMBEDDING)
    first, second = (array(unet(x, embedding, training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 0.01
    np.testing.assert_array_equal(array(unet(x, embedding)), array(unet(x, embedding)))


def test_mixed_precision_has_float32_outputs_near_those_of_float32():
    with under_policy("mixed_bfloat16"):
        mixed = scatter(small_unet())
    exact = scatter(small_unet())
    x, embedding = random(2, 8, 8, 1), random(2, EMBEDDING)
    expected, outputs = array(exact(x, embedding)), array(mixed(x, embedding))
    assert outputs.dtype == "float32"
    np.testing.assert_allclose(outputs, expected, atol=0.1 * expected.std())
    assert not np.array_equal(outputs, expected)


def test_a_residual_block_begins_as_the_identity():
    block = ResidualBlock(4, attends=True, dropout=0.0, groups=2)
    block.build((None, None, None, 4), (None, EMBEDDING))
    x = random(2, 5, 3, 4)
    np.testing.assert_array_equal(array(block(x, random(2, EMBEDDING))), x)


def test_attention_is_the_formula():
    layer = SelfAttention(groups=1)
    layer.build((None, None, None, 3))
    scatter(layer)
    x = random(2, 4, 5, 3)
    normalised = array(layer.normalised(x)).reshape(2, 20, 3)
    kernel, bias = (array(weight) for weight in layer.inputs.weights)
    queries, keys, values = np.split(normalised @ kernel[0, 0] + bias, 3, axis=-1)
    scores = np.exp(queries @ keys.transpose(0, 2, 1) / np.sqrt(3.0))
    attended = scores @ values / scores.sum(axis=-1, keepdims=True)
    kernel, bias = (array(weight) for weight in layer.outputs.weights)
    expected = x + (attended @ kernel[0, 0] + bias).reshape(x.shape)
    np.testing.assert_allclose(array(layer(x)), expected, atol=1e-5)


# === Group normalisation ===


def pair(shape, groups):
    """Our layer and Keras' with equal weights."""
    ours = layers.GroupNormalization(groups)
    keras_own = keras.layers.GroupNormalization(groups, epsilon=1e-5)
    for layer in (ours, keras_own):
        layer.build(shape)
        scatter(layer)
    return ours, keras_own


@pytest.mark.parametrize(("shape", "groups"), [((3, 6, 5, 4), 2), ((2, 4, 4, 6), 1)])
@pytest.mark.parametrize("mean", [0.0, 20.0])
def test_group_normalisation_equals_keras(shape, groups, mean):
    x, weights = mean + random(*shape), random(*shape, seed=1)
    results = []
    for layer in pair(shape, groups):

        def total(x, layer=layer):
            return ops.sum(ops.multiply(ops.sin(layer(x)), weights))

        slope = backend.input_gradient(layer, total, ops.convert_to_tensor(x))
        of_weights = gradients(layer, lambda total=total: total(x))
        results.append([array(layer(x)), array(slope), *of_weights.values()])
    for ours, expected in zip(*results, strict=True):
        np.testing.assert_allclose(ours, expected, atol=2e-3 if mean else 1e-4)


def test_constant_images_become_the_offset():
    layer = layers.GroupNormalization(2)
    layer.build((None, None, None, 4))
    scatter(layer)
    x = np.broadcast_to(np.float32([5.0, 5.0, -3.0, -3.0]), (2, 6, 6, 4))
    expected = np.broadcast_to(array(layer.beta), x.shape)
    np.testing.assert_allclose(array(layer(x)), expected, atol=1e-2)


def test_adaptive_normalisation_takes_scale_and_offset_from_the_embedding():
    layer = layers.AdaptiveGroupNormalization(2)
    layer.build((None, None, None, 4), (None, EMBEDDING))
    scatter(layer)
    x, embedding = 3.0 + random(3, 6, 5, 4), random(3, EMBEDDING)
    scale, offset = np.split(array(layer.modulation(embedding)), 2, axis=-1)
    grouped = x.reshape(3, 30, 2, 2)
    mean, deviation = (f(grouped, axis=(1, 3), keepdims=True) for f in (np.mean, np.std))
    expected = ((grouped - mean) / deviation).reshape(x.shape)
    expected = expected * (1.0 + scale[:, None, None]) + offset[:, None, None]
    np.testing.assert_allclose(array(layer(x, embedding)), expected, atol=1e-3)


def test_the_number_of_groups_divides_any_number_of_channels():
    for channels, groups in ((12, 4), (32, 8), (5, 1)):
        layer = layers.GroupNormalization(8)
        layer.build((None, None, None, channels))
        assert layer.groups == groups


# === Upsampling ===


@pytest.mark.parametrize("size", [(6, 8), (5, 7), (6, 7)])
def test_upsampling_equals_keras_nearest_upsampling_and_a_convolution(size):
    layer = layers.NearestUpsampleConv(5)
    layer.build((None, None, None, 2))
    scatter(layer)
    convolution = keras.layers.Conv2D(5, 3, padding="same")
    convolution.build((None, None, None, 2))
    convolution.set_weights([array(weight) for weight in layer.weights])
    x = random(2, 3, 4, 2)
    expected = array(convolution(x.repeat(2, axis=1).repeat(2, axis=2)))
    expected = expected[:, : size[0], : size[1]]
    np.testing.assert_allclose(array(layer(x, size=size)), expected, atol=1e-5)
