"""`kgen.layers.BatchNormalization` against the layer of Keras it stands in for."""

import keras
import numpy as np
import pytest
from keras import ops

from kgen import backend, layers

SHAPES = [(5, 4), (3, 6, 5, 4)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=["vectors", "images"])


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def pair(shape, **options):
    """Models of our layer alone and of Keras' alone, with equal weights that are not the first."""
    kinds = (layers.BatchNormalization, keras.layers.BatchNormalization)
    models = [keras.Sequential([kind(momentum=0.8, epsilon=1e-3, **options)]) for kind in kinds]
    for model in models:
        model.build(shape)
        model.set_weights([random(*w.shape, seed=n) ** 2 for n, w in enumerate(model.weights)])
    return models


def trained(model, inputs):
    """Outputs, gradients by weights and inputs, those of a gradient penalty, moving statistics."""

    def call(x):
        return model(x, training=True)

    def function(inputs):
        def loss():
            outputs = call(inputs)
            return ops.sum(ops.square(outputs) * inputs), outputs

        def penalty():
            slope = backend.input_gradient(model, lambda x: ops.sin(call(x)), inputs)
            return ops.sum(ops.square(slope)), ()

        variables = model.trainable_variables
        (_, outputs), gradients = backend.value_and_grad(model, loss, variables)
        of_inputs = backend.input_gradient(model, lambda x: ops.sin(call(x)), inputs)
        return outputs, *gradients, of_inputs, *backend.value_and_grad(model, penalty, variables)[1]

    found = backend.compiled(model, function)(inputs)
    model(inputs, training=True)
    return [ops.convert_to_numpy(value) for value in (*found, *model.non_trainable_variables)]


def assert_equal(ours, keras_own):
    for our, expected in zip(ours, keras_own, strict=True):
        np.testing.assert_allclose(our, expected, rtol=1e-3, atol=1e-3)


@every_shape
def test_training_equals_keras(shape):
    ours, keras_own = pair(shape)
    assert_equal(trained(ours, 3 + random(*shape)), trained(keras_own, 3 + random(*shape)))


@every_shape
def test_batches_of_unknown_size_equal_keras(shape):
    models = pair(shape)
    x = keras.Input(shape[1:])
    for model in models:
        assert model.layers[0](x, training=True).shape == (None, *shape[1:])


@every_shape
def test_inference_uses_the_moving_statistics(shape):
    ours, keras_own = pair(shape)
    inputs = random(*shape)
    outputs = [ops.convert_to_numpy(model(inputs, training=False)) for model in (ours, keras_own)]
    np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize(
    "options", [{"axis": 1}, {"scale": False}, {"center": False}, {"renorm": True}, {"axis": -1}]
)
def test_other_options_equal_keras(options):
    outputs, statistics = [], []
    for model in pair((3, 6, 5, 4), **options):
        outputs.append(ops.convert_to_numpy(model(random(3, 6, 5, 4), training=True)))
        statistics.append([ops.convert_to_numpy(v) for v in model.non_trainable_variables])
    assert_equal(outputs[:1], outputs[1:])
    assert_equal(*statistics)


def test_frozen_layer_uses_and_keeps_its_statistics():
    ours, keras_own = pair((5, 4))
    ours.trainable = keras_own.trainable = False
    before = [ops.convert_to_numpy(value).copy() for value in ours.variables]
    outputs = [
        ops.convert_to_numpy(model(random(5, 4), training=True)) for model in (ours, keras_own)
    ]
    np.testing.assert_array_equal(*outputs)
    for value, old in zip(ours.variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(value), old)


def test_mixed_precision_has_float32_statistics():
    ours, keras_own = pair((3, 6, 5, 4), dtype="mixed_bfloat16")
    outputs = [model(random(3, 6, 5, 4), training=True) for model in (ours, keras_own)]
    assert {keras.backend.standardize_dtype(output.dtype) for output in outputs} == {"bfloat16"}
    assert {variable.dtype for variable in ours.variables} == {"float32"}
    assert_equal(
        [ops.convert_to_numpy(v) for v in ours.non_trainable_variables],
        [ops.convert_to_numpy(v) for v in keras_own.non_trainable_variables],
    )
