"""The IAF posterior against its Jacobian, its formula in NumPy, the plain VAE and quadrature."""

import numpy as np
import pytest
from keras import ops

import kgen
from kgen import backend
from kgen.distributions import normal_kl, normal_log_prob, standard_normal_log_prob
from kgen.testing.comparing import array

SHAPE = (2, 3, 1)


def model_of(latent_size, deviation=0.5, **settings):
    """A model whose weights are all random."""
    kgen.set_seed(0)
    settings = {"hidden": (7,), "flow_steps": 3, "flow_hidden": (11, 9), **settings}
    model = kgen.IAFVAE(SHAPE, 2, latent_size=latent_size, **settings)
    generator = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(deviation * generator.standard_normal(variable.shape).astype("float32"))
    return model


def random(*shape):
    return np.random.default_rng(1).standard_normal(shape).astype("float32")


def some_images(count):
    return np.random.default_rng(2).integers(0, 2, (count, *SHAPE), "uint8")


def jacobian(model, function, latents):
    """d function(latents)[0, i] / d latents[0, j], for latents (1, d)."""

    def gradient(latents, chosen):
        return backend.input_gradient(model, lambda x: ops.sum(function(x) * chosen), latents)

    compiled = backend.compiled(model, gradient)
    rows = np.eye(latents.shape[1], dtype="float32")
    return np.array([array(compiled(latents, row[None]))[0] for row in rows])


def test_the_log_determinant_is_that_of_the_jacobian():
    model, latents, context = model_of(6), random(1, 6), random(1, 6) + 1
    found = jacobian(model, lambda x: model.flowed(x, context)[0], latents)
    expected = np.linalg.slogdet(found)[1]
    assert array(model.flowed(latents, context)[1])[0] == pytest.approx(expected, rel=1e-4)
    assert np.abs(found).min() > 0  # reversed between steps, every entry depends on all


def test_an_entry_sees_itself_by_the_gate_the_entries_before_it_and_the_context():
    model, latents, context = model_of(5), random(1, 5), random(1, 5) + 1
    step = model.flow[0]
    found = jacobian(model, lambda x: step(x, context)[0], latents)
    assert np.abs(np.triu(found, 1)).max() == 0
    assert np.abs(found[np.tril_indices(5)]).min() > 0
    assert np.log(np.diag(found)).sum() == pytest.approx(
        array(step(latents, context)[1])[0], rel=1e-4
    )
    by_context = jacobian(model, lambda h: step(latents, h)[0], context)
    assert np.abs(by_context).min() > 0


def test_a_step_is_that_of_the_paper():
    model, latents, context = model_of(4, flow_hidden=(10,)), random(3, 4), random(3, 4) + 1
    step, degrees = model.flow[1], np.arange(10) % 4
    first, last = (layer.get_weights() for layer in (step.hidden[0], step.shift_and_scale))
    seen = np.array([1, 2, 3, 4, 0, 0, 0, 0])[:, None] <= degrees
    x = np.concatenate([latents, context], axis=1) @ (array(first[0]) * seen) + array(first[1])
    x = np.where(x > 0, x, np.exp(x) - 1)
    seen = degrees[:, None] < np.array([1, 2, 3, 4, 1, 2, 3, 4])
    m, s = np.split(x @ (array(last[0]) * seen) + array(last[1]), 2, axis=1)
    gate = 1 / (1 + np.exp(-s - 2))
    found, log_det = step(latents, context)
    np.testing.assert_allclose(array(found), gate * latents + (1 - gate) * m, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(array(log_det), np.log(gate).sum(axis=1), rtol=1e-4)


def closed(model):
    """The model with steps that change nothing: m = 0 and sigmoid(s) = 1."""
    for step in model.flow:
        step.shift_and_scale.kernel.assign(0.0 * step.shift_and_scale.kernel)
        step.shift_and_scale.bias.assign(np.repeat([0.0, 50.0], model.latent_size))
    return model


def test_with_closed_gates_it_is_the_plain_vae():
    model, images = closed(model_of(4, flow_steps=1)), some_images(5)
    mean, log_variance, _ = map(ops.convert_to_tensor, model.encode(images))
    noise = ops.convert_to_tensor(random(2000, 5, 4))
    latents, log_posterior = model.posterior_draws(ops.convert_to_tensor(images), None, noise)
    expected = mean + ops.exp(0.5 * log_variance) * noise
    np.testing.assert_allclose(array(latents), array(expected), rtol=1e-5, atol=1e-5)
    gaussian = array(normal_log_prob(expected, mean, log_variance))
    np.testing.assert_allclose(array(log_posterior), gaussian, rtol=1e-4, atol=1e-4)
    estimate = array(log_posterior - standard_normal_log_prob(latents)).mean(axis=0)
    np.testing.assert_allclose(estimate, array(normal_kl(mean, log_variance)), rtol=0.1)
    np.testing.assert_allclose(model.latents(images), array(mean), rtol=1e-5, atol=1e-6)


def as_wide_as_the_prior(model):
    """The model with a posterior under which importance weights are bounded."""
    for variable in model.encoder.trainable_variables:
        variable.assign(0.1 * variable.value)
    bias = model.encoder.layers[-1].bias
    bias.assign(array(bias.value) + np.repeat([0.0, 1.5, 0.0], model.latent_size))
    return model


def test_the_bound_approaches_the_integral_over_latents():
    """A wrong sign or factor of the log-determinant would move it."""
    model, images = as_wide_as_the_prior(model_of(2)), some_images(6)
    axis = np.linspace(-7, 7, 281).astype("float32")
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    parameters = model.apply_decoder(ops.convert_to_tensor(grid))
    log_prior = array(standard_normal_log_prob(grid)).astype(float)
    expected = []
    for image in images:
        log_joint = log_prior + array(
            model.likelihood_distribution.log_prob(np.tile(image, (len(grid), 1, 1, 1)), parameters)
        )
        expected.append(np.log(np.exp(log_joint).sum() * (axis[1] - axis[0]) ** 2))
    found = model.log_prob(images, samples=4000, seed=0)
    np.testing.assert_allclose(found, expected, atol=0.05)
    one = np.mean([model.log_prob(images, seed=seed) for seed in range(50)], axis=0)
    assert (one < np.array(expected) - 0.1).all()


def test_the_loss_is_the_negative_bound_of_one_draw():
    model, images = model_of(3), some_images(8)
    noise = ops.convert_to_tensor(random(1, 8, 3))
    model.normal = lambda shape: noise
    loss, terms = model.objective(ops.convert_to_tensor(images), None, True)
    weights = array(model.log_weights(ops.convert_to_tensor(images), None, noise))
    assert float(array(loss)) == pytest.approx(-weights.mean(), rel=1e-5)
    assert float(array(terms["reconstruction"] + terms["kl"])) == pytest.approx(
        float(array(loss)), rel=1e-6
    )
