"""Flows against automatic Jacobians, their own inverses, and sums over all images of a space."""

import functools
import math

import keras
import numpy as np
import pytest
from keras import ops
from test_distributions import tfp

import kgen
from kgen import backend
from kgen.layers import (
    ActNorm,
    AffineCoupling,
    Chain,
    CheckerboardCoupling,
    InvertibleConv,
    squeezing,
)
from kgen.layers.bijections import Squeeze, lu_decomposition

LAYERS = {
    "squeeze": (Squeeze, (4, 2, 2)),
    "actnorm": (lambda: ActNorm(3), (2, 2, 3)),
    "invertible convolution": (lambda: InvertibleConv(4), (2, 2, 4)),
    "coupling of the first channels": (lambda: AffineCoupling((2, 2, 3), 4), (2, 2, 3)),
    "coupling of the last channels": (lambda: AffineCoupling((2, 2, 3), 4, "last"), (2, 2, 3)),
    "prior": (lambda: AffineCoupling((2, 2, 4), 0), (2, 2, 4)),
    "even checkerboard": (lambda: CheckerboardCoupling((4, 3, 1), 4, 0), (4, 3, 1)),
    "odd checkerboard": (lambda: CheckerboardCoupling((4, 3, 1), 4, 1), (4, 3, 1)),
    "chain": (
        lambda: Chain([*squeezing((4, 2, 1))[0], ActNorm(4), InvertibleConv(4)]),
        (4, 2, 1),
    ),
}
MODELS = {
    "glow": {"scales": 2, "depth": 2, "width": 4},
    "realnvp": {"scales": 2, "width": 4},
}
every_layer = pytest.mark.parametrize("name", LAYERS)
every_model = pytest.mark.parametrize("name", MODELS)


class Holder(keras.Model):
    """A model of one layer, for functions of the backend that ask for its model."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def perturb(holder, size=0.3):
    """Weights that initialisation would not give: no coupling is the identity."""
    generator = np.random.default_rng(0)
    for variable in holder.trainable_variables:
        noise = size * generator.standard_normal(tuple(variable.shape))
        variable.assign(numpy(variable.value) + noise)
    return holder


def layer_and_inputs(name, count=3):
    make, shape = LAYERS[name]
    holder = perturb(Holder(make()))
    return holder, np.random.default_rng(1).standard_normal((count, *shape)).astype("float32")


@functools.cache
def model(name, dequantization="uniform", image_shape=(4, 4, 1)):
    kgen.set_seed(0)
    settings = {**MODELS[name], "dequantization": dequantization}
    return perturb(kgen.models.create(name, image_shape=image_shape, levels=4, **settings))


def some_images(count=5, shape=(4, 4, 1), levels=4):
    return np.random.default_rng(0).integers(0, levels, (count, *shape)).astype("uint8")


def log_determinants(holder, function, inputs):
    """log|det| of the Jacobian of `function`, row by row, from the gradient of every output."""
    inputs = ops.convert_to_tensor(inputs)
    size = math.prod(inputs.shape[1:])

    def rows(inputs):
        def of_output(index):
            return lambda x: ops.reshape(function(x), (-1, size))[:, index]

        gradients = [backend.input_gradient(holder, of_output(i), inputs) for i in range(size)]
        return ops.stack([ops.reshape(gradient, (-1, size)) for gradient in gradients], axis=1)

    jacobian = numpy(backend.compiled(holder, rows)(inputs)).astype("float64")
    return np.linalg.slogdet(jacobian)[1]


# === Layers ===


@every_layer
def test_log_determinant_of_a_layer_is_that_of_its_jacobian(name):
    holder, inputs = layer_and_inputs(name)
    expected = log_determinants(holder, lambda x: holder.layer.forward(x)[0], inputs)
    received = numpy(holder.layer.forward(inputs)[1])
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-4)


@every_layer
def test_a_layer_is_inverted(name):
    holder, inputs = layer_and_inputs(name)
    outputs, _ = holder.layer.forward(inputs)
    np.testing.assert_allclose(numpy(holder.layer.inverse(outputs)), inputs, atol=1e-4)


@every_layer
def test_log_determinant_of_a_layer_has_one_value_per_image(name):
    holder, inputs = layer_and_inputs(name)
    assert holder.layer.forward(inputs)[1].shape == (len(inputs),)


@every_layer
def test_fitting_leaves_the_variables(name):
    holder, inputs = layer_and_inputs(name)
    before = [numpy(variable.value).copy() for variable in holder.variables]
    _, values = holder.layer.fitted(inputs)
    assert len(values) == len(holder.layer.data_dependent)
    assert all(map(np.array_equal, before, (numpy(v.value) for v in holder.variables)))


@pytest.mark.parametrize(
    "name", [name for name in LAYERS if "coupling" in name or "checker" in name or name == "prior"]
)
def test_a_new_coupling_is_the_identity(name):
    make, shape = LAYERS[name]
    inputs = np.random.default_rng(1).standard_normal((3, *shape)).astype("float32")
    outputs, log_det = make().forward(inputs)
    assert np.array_equal(numpy(outputs), inputs)
    assert not numpy(log_det).any()


@pytest.mark.parametrize("name", ["even checkerboard", "odd checkerboard"])
def test_a_checkerboard_changes_every_other_pixel(name):
    holder, inputs = layer_and_inputs(name)
    changed = (numpy(holder.layer.forward(inputs)[0]) != inputs)[..., 0]
    even = np.indices(changed.shape[1:]).sum(axis=0) % 2 == 0
    assert (changed == (even if name.startswith("even") else ~even)).all()


def test_squeeze_keeps_blocks_together():
    images = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    squeezed = numpy(Squeeze().forward(images)[0])
    assert squeezed[0, 0, 1].tolist() == [2, 3, 6, 7]


def test_fitted_actnorm_normalises():
    inputs = 5 + 3 * np.random.default_rng(0).standard_normal((16, 4, 4, 3)).astype("float32")
    outputs = numpy(ActNorm(3).fitted(inputs)[0])
    np.testing.assert_allclose(outputs.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(outputs.std(axis=(0, 1, 2)), 1, atol=1e-5)


def test_invertible_convolution_starts_as_a_rotation():
    layer = InvertibleConv(6)
    matrix = functools.reduce(np.matmul, map(numpy, layer.factors()))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(6), atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 7, 32])
def test_lu_decomposition(size):
    matrix = np.random.default_rng(size).standard_normal((size, size))
    permutation, lower, upper = lu_decomposition(matrix)
    np.testing.assert_allclose(permutation @ lower @ upper, matrix, atol=1e-12)
    assert np.array_equal(np.tril(lower), lower)
    np.testing.assert_allclose(np.triu(upper), upper, atol=1e-12)
    assert sorted(permutation.argmax(axis=1)) == list(range(size))


def test_actnorm_and_convolution_agree_with_tensorflow_probability():
    holder, inputs = layer_and_inputs("invertible convolution")
    permutation, lower, upper = map(numpy, holder.layer.factors())
    bijector = tfp.bijectors.ScaleMatvecLU(
        lower_upper=(lower - np.eye(4, dtype="float32") + upper),
        permutation=permutation.argmax(axis=0),
    )
    outputs, log_det = map(numpy, holder.layer.forward(inputs))
    np.testing.assert_allclose(outputs, bijector.forward(inputs), atol=1e-5)
    expected = bijector.forward_log_det_jacobian(inputs, event_ndims=3)
    np.testing.assert_allclose(log_det, expected * np.ones(len(inputs)), rtol=1e-4)
