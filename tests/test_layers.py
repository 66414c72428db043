"""`kgen.layers.Conv2D` and `Conv2DTranspose` against the layers of Keras they stand in for."""

import functools
import itertools

import keras
import numpy as np
import pytest
from keras import ops

from kgen import backend, layers

PAIRS = {
    "Conv2D": (layers.Conv2D, keras.layers.Conv2D),
    "Conv2DTranspose": (layers.Conv2DTranspose, keras.layers.Conv2DTranspose),
}
INPUT_SHAPE = (2, 5, 7, 3)
CUT = (9, 13)  # a row and a column less than twice that
PADDINGS = ("same", "valid")
CASES = [
    *itertools.product(["Conv2DTranspose"], range(1, 6), (1, 2, 3, (2, 1)), PADDINGS),
    *itertools.product(["Conv2D"], (1, 2, 5), (1, 2, (3, 1)), PADDINGS),
]
every_case = pytest.mark.parametrize(("name", "kernel_size", "strides", "padding"), CASES)
both_layers = pytest.mark.parametrize("name", PAIRS)


class Cut(keras.layers.Conv2DTranspose):
    """Keras' layer of stride 2, without what is beyond a size."""

    def __init__(self, filters, kernel_size, **options):
        super().__init__(filters, kernel_size, strides=2, padding="same", **options)

    def call(self, inputs):
        height, width = CUT
        return super().call(inputs)[:, :height, :width]


def doubling(filters, kernel_size, **options):
    return layers.UpsampleConv(filters, CUT, kernel_size, **options)


def random(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def pair(name, kernel_size, input_shape=INPUT_SHAPE, **options):
    """Models of our layer alone and of Keras' alone, with equal weights; outputs of unit scale."""
    options = {"activation": "tanh", "kernel_initializer": "zeros", **options}
    kinds = {**PAIRS, "UpsampleConv": (doubling, Cut)}[name]
    models = [keras.Sequential([layer(6, kernel_size, **options)]) for layer in kinds]
    for model in models:
        model.build(input_shape)
        model.set_weights([random(*weight.shape) / kernel_size for weight in model.weights])
    return models


def computed(model, function, *args):
    """`function(*args)`, compiled, as NumPy arrays."""
    return [ops.convert_to_numpy(result) for result in backend.compiled(model, function)(*args)]


def outputs_of(model, inputs):
    return computed(model, lambda x: [ops.cast(model(x), "float32")], inputs)[0]


def outputs_and_gradients(model, inputs):
    """Outputs, then the gradients of sum(outputs^2) with respect to kernel, bias and inputs."""

    def function(inputs):
        def loss():
            outputs = model(inputs)
            return ops.sum(ops.square(outputs)), outputs

        (_, outputs), gradients = backend.value_and_grad(model, loss, model.trainable_variables)
        of_inputs = backend.input_gradient(model, lambda x: ops.square(model(x)), inputs)
        return outputs, *gradients, of_inputs

    return computed(model, function, inputs)


def penalty_gradients(model, inputs):
    """Gradients of sum((d outputs / d inputs)^2) with respect to kernel and bias."""

    def function(inputs):
        def penalty():
            return ops.sum(ops.square(backend.input_gradient(model, model, inputs))), ()

        return backend.value_and_grad(model, penalty, model.trainable_variables)[1]

    return computed(model, function, inputs)


@functools.cache
def both_computed(name, kernel_size, strides, padding):
    models = pair(name, kernel_size, strides=strides, padding=padding)
    return [outputs_and_gradients(model, random(*INPUT_SHAPE)) for model in models]


def assert_equal(ours, keras_own):
    for our, expected in zip(ours, keras_own, strict=True):
        np.testing.assert_allclose(our, expected, rtol=1e-4, atol=1e-4)


@every_case
def test_outputs_equal_keras(name, kernel_size, strides, padding):
    (ours, *_), (expected, *_) = both_computed(name, kernel_size, strides, padding)
    assert_equal([ours], [expected])


@every_case
def test_gradients_equal_keras(name, kernel_size, strides, padding):
    (_, *ours), (_, *expected) = both_computed(name, kernel_size, strides, padding)
    assert_equal(ours, expected)


@every_case
def test_outputs_have_the_shape_the_layer_announces(name, kernel_size, strides, padding):
    (outputs, *_), _ = both_computed(name, kernel_size, strides, padding)
    layer = PAIRS[name][0](6, kernel_size, strides, padding)
    assert outputs.shape == tuple(layer.compute_output_shape(INPUT_SHAPE))


@both_layers
@pytest.mark.parametrize(("kernel_size", "strides"), [(4, 2), (3, 1), (2, 3)])
def test_gradient_penalty_has_the_gradients_of_keras(name, kernel_size, strides):
    models = pair(name, kernel_size, strides=strides, padding="same")
    assert_equal(*[penalty_gradients(model, random(*INPUT_SHAPE)) for model in models])


@pytest.mark.parametrize("kernel_size", range(1, 6))
def test_a_doubling_is_keras_layer_cut_to_its_size(kernel_size):
    models = pair("UpsampleConv", kernel_size)
    ours, expected = (outputs_and_gradients(model, random(*INPUT_SHAPE)) for model in models)
    assert ours[0].shape == (2, *CUT, 6)
    assert_equal(ours, expected)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Conv2D", {"dilation_rate": 2}),
        ("Conv2D", {"groups": 3}),
        ("Conv2DTranspose", {"strides": 2, "output_padding": 1}),
        ("Conv2DTranspose", {"use_bias": False}),
    ],
)
def test_other_options_equal_keras(name, options):
    ours, keras_own = pair(name, 3, **options)
    inputs = random(*INPUT_SHAPE)
    assert_equal([outputs_of(ours, inputs)], [outputs_of(keras_own, inputs)])


@both_layers
def test_channels_first_has_the_output_shape_of_keras(name):
    layer, keras_layer = [
        kind(6, 4, strides=2, padding="same", data_format="channels_first") for kind in PAIRS[name]
    ]
    images = keras.Input((3, 5, 7))
    assert layer(images).shape == keras_layer(images).shape


@both_layers
def test_restored_from_config_and_weights_file_gives_the_same_outputs(name, tmp_path):
    model, _ = pair(name, 4, strides=2, padding="same")
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    assert type(restored.layers[0]) is PAIRS[name][0]
    model.save_weights(tmp_path / "model.weights.h5")
    restored.build(INPUT_SHAPE)
    restored.load_weights(tmp_path / "model.weights.h5")
    inputs = random(*INPUT_SHAPE)
    assert np.array_equal(outputs_of(restored, inputs), outputs_of(model, inputs))


@both_layers
def test_mixed_precision_computes_in_bfloat16_with_float32_weights(name):
    ours, keras_own = pair(name, 4, strides=2, padding="same", dtype="mixed_bfloat16")
    inputs = random(*INPUT_SHAPE)
    assert keras.backend.standardize_dtype(ours(inputs).dtype) == "bfloat16"
    assert [weight.dtype for weight in ours.weights] == ["float32", "float32"]
    difference = outputs_of(ours, inputs) - outputs_of(keras_own, inputs)
    assert np.abs(difference).max() < 0.02  # the outputs lie in -1..1 and carry 8 bits
