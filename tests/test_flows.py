"""Flows against automatic Jacobians, their own inverses, and sums over all images of a space."""

import functools
import itertools
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
from kgen.models.flows.dequantization import VariationalDequantization

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
    "glow": {"scales": 2, "depth": 2, "base_channels": 4},
    "realnvp": {"scales": 2, "base_channels": 4},
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


def perturb(holder, size=0.1):
    """Weights that initialisation would not give: no coupling is the identity."""
    generator = np.random.default_rng(0)
    for variable in holder.trainable_variables:
        noise = size * generator.standard_normal(tuple(variable.shape))
        variable.assign(numpy(variable.value) + noise)
    return holder


def layer_and_inputs(name, count=3):
    make, shape = LAYERS[name]
    holder = perturb(Holder(make()))
    inputs = np.random.default_rng(1).standard_normal((count, *shape)).astype("float32")
    return holder, ops.convert_to_tensor(inputs)


@functools.cache
def model(name, dequantization="uniform", image_shape=(4, 4, 1)):
    kgen.set_seed(0)
    settings = {**MODELS[name], "dequantization": dequantization}
    flow = kgen.models.create(name, image_shape=image_shape, levels=4, **settings)
    return perturb(flow, 0.05)  # larger ones stretch by 1e5: float32 does not tell bins apart


def some_images(count=5, shape=(4, 4, 1), levels=4):
    return np.random.default_rng(0).integers(0, levels, (count, *shape)).astype("uint8")


def log_determinants(holder, function, inputs):
    """log|det| of the Jacobian of `function`, whose rows are the gradients of every output.

    All in one pass: each input is repeated once per output, and of each copy one output is looked
    at.
    """
    inputs = numpy(inputs)
    size = math.prod(inputs.shape[1:])
    copies = np.repeat(inputs, size, axis=0)  # (n * size, ...)
    looked_at = ops.convert_to_tensor(np.tile(np.eye(size, dtype="float32"), (len(inputs), 1)))

    def outputs(copies):
        return ops.sum(ops.reshape(function(copies), (-1, size)) * looked_at, axis=-1)

    gradients = backend.compiled(holder, lambda x: backend.input_gradient(holder, outputs, x))
    jacobian = numpy(gradients(copies)).astype("float64").reshape(-1, size, size)
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
    np.testing.assert_allclose(numpy(holder.layer.inverse(outputs)), numpy(inputs), atol=1e-4)


@every_layer
def test_log_determinant_of_a_layer_has_one_value_per_image(name):
    holder, inputs = layer_and_inputs(name)
    assert holder.layer.forward(inputs)[1].shape == (len(inputs),)


@every_layer
def test_fitting_leaves_the_variables(name):
    holder, inputs = layer_and_inputs(name)
    before = [numpy(variable.value).copy() for variable in holder.variables]
    _, values = holder.layer.data_dependent_init(inputs)
    assert len(values) == len(holder.layer.data_dependent_variables)
    assert all(map(np.array_equal, before, (numpy(v.value) for v in holder.variables)))


@pytest.mark.parametrize(
    "name", [name for name in LAYERS if "coupling" in name or "checker" in name or name == "prior"]
)
def test_a_new_coupling_is_the_identity(name):
    make, shape = LAYERS[name]
    inputs = np.random.default_rng(1).standard_normal((3, *shape)).astype("float32")
    outputs, log_det = make().forward(ops.convert_to_tensor(inputs))
    assert np.array_equal(numpy(outputs), inputs)
    assert not numpy(log_det).any()


@pytest.mark.parametrize("name", ["even checkerboard", "odd checkerboard"])
def test_a_checkerboard_changes_every_other_pixel(name):
    holder, inputs = layer_and_inputs(name)
    changed = (numpy(holder.layer.forward(inputs)[0]) != numpy(inputs))[..., 0]
    even = np.indices(changed.shape[1:]).sum(axis=0) % 2 == 0
    assert (changed == (even if name.startswith("even") else ~even)).all()


def test_squeeze_keeps_blocks_together():
    images = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    squeezed = numpy(Squeeze().forward(ops.convert_to_tensor(images))[0])
    assert squeezed[0, 0, 1].tolist() == [2, 3, 6, 7]


def test_fitted_actnorm_normalises():
    inputs = 5 + 3 * np.random.default_rng(0).standard_normal((16, 4, 4, 3)).astype("float32")
    outputs = numpy(ActNorm(3).data_dependent_init(ops.convert_to_tensor(inputs))[0])
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


def test_invertible_convolution_agrees_with_tensorflow_probability():
    holder, inputs = layer_and_inputs("invertible convolution")
    permutation, lower, upper = map(numpy, holder.layer.factors())
    bijector = tfp.bijectors.ScaleMatvecLU(
        lower_upper=(lower - np.eye(4, dtype="float32") + upper),
        permutation=permutation.argmax(axis=0),
    )
    outputs, log_det = map(numpy, holder.layer.forward(inputs))
    np.testing.assert_allclose(outputs, bijector.forward(numpy(inputs)), atol=1e-5)
    expected = bijector.forward_log_det_jacobian(numpy(inputs), event_ndims=3)
    np.testing.assert_allclose(log_det, expected * np.ones(len(inputs)), rtol=1e-4)


# === Whole flows ===


@every_model
def test_log_determinant_of_a_flow_is_that_of_its_jacobian(name):
    flow = model(name)
    inputs = np.random.default_rng(1).standard_normal((3, 4, 4, 1)).astype("float32")
    expected = log_determinants(flow, lambda x: flow.transform(x)[0], inputs)
    received = numpy(flow.transform(ops.convert_to_tensor(inputs))[1])
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-3)


@every_model
def test_log_determinant_of_the_logits_is_that_of_their_jacobian(name):
    flow, images = model(name), some_images(2)
    noise = np.random.default_rng(1).random(images.shape, "float32")
    slopes = backend.input_gradient(
        flow, lambda u: flow.to_logits(images, u)[0], ops.convert_to_tensor(noise)
    )
    expected = np.log(numpy(slopes) * flow.levels).sum(axis=(1, 2, 3))  # dy = du / levels
    received = numpy(flow.to_logits(ops.convert_to_tensor(images), ops.convert_to_tensor(noise))[1])
    np.testing.assert_allclose(received, expected, rtol=1e-4)


@every_model
def test_latents_are_inverted(name):
    flow = model(name)
    latents = np.random.default_rng(2).standard_normal((5, 16)).astype("float32")
    logits = flow.inverse_transform(ops.convert_to_tensor(latents))
    np.testing.assert_allclose(numpy(flow.transform(logits)[0]), latents, atol=1e-3)


@every_model
@pytest.mark.parametrize("shape", [(8, 8, 3), (14, 10, 1), (6, 7, 3)])
def test_images_of_any_shape_are_reconstructed(name, shape):
    flow = model(name, image_shape=shape)
    images = some_images(3, shape)
    assert flow.encode(images).shape == (3, math.prod(shape))
    assert np.array_equal(flow.reconstruct(images), images)


@pytest.mark.parametrize(
    ("name", "shape", "scales"), [("glow", (7, 7, 1), 1), ("realnvp", (7, 7, 1), 2)]
)
def test_images_without_channels_to_split_are_refused(name, shape, scales):
    with pytest.raises(kgen.KgenError, match=r"even sides|choose scales=1"):
        kgen.models.create(name, image_shape=shape, scales=scales, base_channels=4)


def test_another_dequantization_is_refused():
    with pytest.raises(kgen.KgenError, match="'gaussian'"):
        kgen.models.create("glow", image_shape=(4, 4, 1), dequantization="gaussian")


def test_samples_of_temperature_zero_are_one_image():
    samples = model("glow").sample(4, seed=0, temperature=0)
    assert np.array_equal(samples, np.repeat(samples[:1], 4, axis=0))


def test_temperature_scales_the_latents():
    flow = model("glow")
    latents = np.random.default_rng(3).standard_normal((4, 16), "float32")
    assert np.array_equal(flow.sample(4, seed=3), flow.decode(latents))
    cooler = flow.sample(4, seed=3, temperature=0.7)
    assert np.array_equal(cooler, flow.decode(np.float32(0.7) * latents))


def test_inverse_of_a_trained_flow_is_exact():
    digits = kgen.data.load("digits")
    kgen.set_seed(0)
    flow = kgen.models.create("glow", digits, scales=2, depth=1, base_channels=8)
    flow.compile()
    flow.fit(digits.train.images[:1408], batch_size=64, epochs=2, verbose=0)
    images = digits.test.images[:100]
    logits = flow.to_logits(ops.convert_to_tensor(images), 0.5)[0]
    inverted = flow.inverse_transform(ops.convert_to_tensor(flow.encode(images)))
    error = np.abs(numpy(inverted) - numpy(logits)).max()
    assert error < 1e-3, f"largest error of the inverse: {error:.2e}"
    assert np.array_equal(flow.reconstruct(images), images), f"although the error is {error:.2e}"


# === Likelihood ===


def masses_of_all_images(flow, samples):
    """Bounds on the probability of each image of 2 binary pixels."""
    images = np.array(list(itertools.product((0, 1), repeat=2)), "uint8").reshape(4, 1, 2, 1)
    return images, np.exp(flow.log_prob(images, samples=samples, seed=0))


@pytest.mark.parametrize("dequantization", ["uniform", "variational"])
def test_masses_of_all_images_sum_to_one_after_training(dequantization):
    """At most 1, as a lower bound must, and nearly 1 where the density has left the outside."""
    kgen.set_seed(0)
    flow = kgen.models.create(
        "realnvp",
        image_shape=(1, 2, 1),
        levels=2,
        scales=1,
        base_channels=8,
        dequantization=dequantization,
    )
    flow.compile(keras.optimizers.Adam(1e-2))
    images, _ = masses_of_all_images(flow, 1)
    drawn = np.repeat(images, (64, 128, 192, 128), axis=0)  # 1/8, 1/4, 3/8, 1/4
    flow.fit(drawn, batch_size=128, epochs=60, verbose=0)
    _, masses = masses_of_all_images(flow, 4000)
    assert 0.9 < masses.sum() < 1.01, masses
    np.testing.assert_allclose(masses, (0.125, 0.25, 0.375, 0.25), atol=0.1)


def test_mass_is_the_integral_of_the_density_over_the_bin():
    """Against a grid over both pixels' offsets, for weights that training would not give."""
    flow = perturb(
        kgen.models.create("realnvp", image_shape=(1, 2, 1), levels=2, scales=1, base_channels=4)
    )
    images, _ = masses_of_all_images(flow, 1)
    middles = (np.arange(60, dtype="float32") + 0.5) / 60
    grid = np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 1, 2, 1)
    grid = ops.convert_to_tensor(grid)
    weights = [
        numpy(flow.log_weight(ops.convert_to_tensor(np.repeat(image[None], len(grid), 0)), grid))
        for image in images
    ]
    expected = np.log(np.exp(np.float64(weights)).mean(axis=1))
    received = flow.log_prob(images, samples=4000, seed=0)
    np.testing.assert_allclose(received, expected, atol=0.05)


def test_log_q_of_variational_offsets_is_that_of_their_jacobian():
    holder = perturb(Holder(VariationalDequantization((2, 4, 1), levels=4, base_channels=4)))
    images = ops.convert_to_tensor(some_images(3, (2, 4, 1)))
    noise = np.random.default_rng(1).random((3, 2, 4, 1), "float32")
    copies = ops.repeat(images, 8, axis=0)  # one for each of 8 pixels
    expected = -log_determinants(holder, lambda u: holder.layer.offsets(copies, u)[0], noise)
    received = numpy(holder.layer.offsets(images, ops.convert_to_tensor(noise))[1])
    np.testing.assert_allclose(received, expected, rtol=1e-3, atol=1e-3)


def test_variational_dequantization_starts_uniform():
    layer = VariationalDequantization((2, 4, 1), levels=4, base_channels=4)
    noise = np.random.default_rng(1).random((3, 2, 4, 1), "float32")
    images = ops.convert_to_tensor(some_images(3, (2, 4, 1)))
    offsets, log_q = layer.offsets(images, ops.convert_to_tensor(noise))
    np.testing.assert_allclose(numpy(offsets), noise, atol=1e-5)
    np.testing.assert_allclose(numpy(log_q), 0, atol=1e-3)


# === Data-dependent initialisation ===


def still(name="glow"):
    """A model whose optimizer does not move it."""
    kgen.set_seed(0)
    settings = {**MODELS[name], "scales": 1}
    flow = kgen.models.create(name, image_shape=(4, 4, 1), levels=4, **settings)
    flow.compile(keras.optimizers.SGD(0.0))
    return flow


def state(flow):
    return [numpy(variable.value).copy() for variable in flow.weights[:-1]]  # without the seed


@every_model
def test_first_batch_leaves_every_actnorm_normalised(name):
    flow, images = still(name), some_images(64)
    noise = np.random.default_rng(1).random(images.shape, "float32")
    flow.uniform = lambda shape: ops.convert_to_tensor(noise)
    flow.train_on_batch(images)
    values, _ = flow.to_logits(ops.convert_to_tensor(images), ops.convert_to_tensor(noise))
    first = next(b for b in flow.chains[0].bijections if isinstance(b, ActNorm))
    for bijection in flow.chains[0].bijections[: flow.chains[0].bijections.index(first) + 1]:
        values, _ = bijection.forward(values)
    np.testing.assert_allclose(numpy(values).mean(axis=(0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(numpy(values).std(axis=(0, 1, 2)), 1, atol=1e-3)


@every_model
def test_only_the_first_batch_initialises(name):
    flow, images = still(name), some_images(48)
    created = state(flow)
    flow.train_on_batch(images[:24])
    first = state(flow)
    flow.train_on_batch(images[24:])
    assert not all(map(np.array_equal, created, first))
    assert all(map(np.array_equal, first, state(flow)))


def test_initialisation_survives_saving(tmp_path):
    flow, images = still(), some_images(48)
    flow.train_on_batch(images[:24])
    kgen.save(flow, tmp_path)
    loaded = kgen.load(tmp_path)
    loaded.compile(keras.optimizers.SGD(0.0))
    loaded.train_on_batch(images[24:])
    assert all(map(np.array_equal, state(flow), state(loaded)))


def test_evaluation_does_not_initialise():
    flow = still()
    created = state(flow)
    flow.evaluate(some_images(), verbose=0)
    assert all(map(np.array_equal, created, state(flow)))
