"""The VAE's bound against NumPy, and against p(x) of a toy where an integral over z gives it.

The toy has binary 2x2 images and one latent, so that all 16 images and a fine grid of z are few.
"""

import functools
import itertools

import keras
import numpy as np
import pytest
from keras import ops
from scipy import special, stats
from test_distributions import reference_log_pmf, tfd

import kgen
from kgen.errors import KgenError
from kgen.inference import IMAGES_PER_CHUNK, SAMPLES_PER_CHUNK
from kgen.models.autoencoders.vae import VAE

PRIOR = tfd.Normal(np.float64(0), np.float64(1))
IMAGES = np.array(list(itertools.product((0, 1), repeat=4)), "uint8").reshape(16, 2, 2, 1)


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def randomise(network, seed, size=1.0):
    """Weights that neither initialisation nor training would give: all of size `size`."""
    generator = np.random.default_rng(seed)
    weights = [generator.normal(0, size, weight.shape) for weight in network.get_weights()]
    network.set_weights(weights)


def dense(network, inputs):
    """Output of a network of dense layers, in NumPy and float64, (n, units)."""
    weights = [weight.astype("float64") for weight in network.get_weights()]
    *hidden, (kernel, bias) = zip(weights[::2], weights[1::2], strict=True)
    for hidden_kernel, hidden_bias in hidden:
        inputs = np.maximum(inputs @ hidden_kernel + hidden_bias, 0)
    return inputs @ kernel + bias


def posterior(model, images):
    """Mean and log variance of q(z|x), in NumPy."""
    brightness = images.reshape(len(images), -1) / (model.levels - 1)
    return np.split(dense(model.encoder, brightness), 2, axis=-1)


def some_images(levels, count=5, shape=(3, 2, 3)):
    return np.random.default_rng(0).integers(0, levels, (count, *shape)).astype("uint8")


@functools.cache
def small(levels=2):
    model = VAE((3, 2, 3), levels=levels, latent_size=2, hidden=(6, 5))
    randomise(model.encoder, 1, 0.5)
    randomise(model.decoder, 2, 0.5)
    return model


# === The toy ===


@functools.cache
def toy():
    model = VAE((2, 2, 1), levels=2, latent_size=1, hidden=(6,))
    randomise(model.encoder, 3, 0.1)  # a posterior as wide as the prior bounds all weights
    randomise(model.decoder, 4, 1.0)
    return model


@functools.cache
def grid():
    """A grid of z, the weight of each point, and log p(x|z): (16, points)."""
    latents, step = np.linspace(-9, 9, 36_001, retstep=True)
    logits = dense(toy().decoder, latents[:, None])  # (points, 4)
    return latents, step, tfd.Bernoulli(logits=logits).log_prob(IMAGES.reshape(16, 1, 4)).sum(-1)


@functools.cache
def true_log_prob():
    latents, step, log_likelihood = grid()
    joint = log_likelihood + PRIOR.log_prob(latents)
    return special.logsumexp(joint, axis=-1) + np.log(step)


@functools.cache
def true_bound():
    """The ELBO of all 16 images."""
    latents, step, log_likelihood = grid()
    mean, log_variance = posterior(toy(), IMAGES)  # (16, 1) each
    q = tfd.Normal(mean, np.exp(log_variance / 2))
    return (q.prob(latents) * log_likelihood).sum(-1) * step - kl_from_prior(mean, log_variance)


def kl_from_prior(mean, log_variance):
    q = tfd.Normal(mean, np.exp(log_variance / 2))
    return tfd.kl_divergence(q, PRIOR).sum(-1)


def test_toy_is_a_distribution_far_from_uniform():
    assert abs(np.exp(true_log_prob()).sum() - 1) < 1e-9
    assert np.ptp(true_log_prob()) > 2


def test_toy_bound_is_loose_enough_to_see():
    assert (true_log_prob() - true_bound() > 0.01).all()
    assert (true_log_prob() - true_bound()).mean() > 0.2


def test_log_prob_of_many_samples_is_the_true_one():
    found = toy().log_prob(IMAGES, samples=5000, seed=0)
    assert abs((found - true_log_prob()).mean()) < 0.01
    np.testing.assert_allclose(found, true_log_prob(), rtol=0, atol=0.05)


def test_log_prob_of_one_sample_is_the_bound_in_the_mean():
    found = toy().log_prob(np.repeat(IMAGES, 1000, 0), seed=0).reshape(16, 1000)
    error = found.std(-1) / np.sqrt(1000)
    assert (np.abs(found.mean(-1) - true_bound()) < 4 * error).all()
    assert error.max() < 0.1


def test_log_prob_rises_with_the_samples_towards_the_truth():
    images = np.repeat(IMAGES, 300, 0)
    means = [toy().log_prob(images, samples=k, seed=0).mean() for k in (1, 4, 16, 64)]
    assert (np.diff([true_bound().mean() - 0.02, *means, true_log_prob().mean()]) > 0).all()


def test_samples_are_drawn_as_often_as_probable():
    draws = toy().sample(20_000, seed=0)
    counts = np.bincount(draws.reshape(-1, 4) @ [8, 4, 2, 1], minlength=16)
    expected = np.exp(true_log_prob())
    assert stats.chisquare(counts, 20_000 * expected / expected.sum()).pvalue > 1e-3


def test_medians_are_those_of_latents_from_the_prior():
    latents, step, log_likelihood = grid()
    draws = toy().sample(20_000, seed=0, mode="median")
    counts = np.bincount(draws.reshape(-1, 4) @ [8, 4, 2, 1], minlength=16)
    most_probable = log_likelihood.argmax(0)  # of independent pixels, each the more probable
    expected = 20_000 * step * np.bincount(most_probable, PRIOR.prob(latents), minlength=16)
    expected *= 20_000 / expected.sum()
    assert (counts[expected == 0] == 0).all()
    assert stats.chisquare(counts[expected > 0], expected[expected > 0]).pvalue > 1e-3


def test_training_finds_two_images():
    kgen.set_seed(0)
    model = VAE((2, 2, 1), levels=2, latent_size=1, hidden=(16,))
    model.compile(keras.optimizers.Adam(0.02))
    images = np.repeat(np.eye(2, dtype="uint8"), 2, -1).reshape(2, 2, 2, 1)
    model.fit(np.tile(images, (640, 1, 1, 1)), batch_size=64, epochs=10, verbose=0)
    bounds = model.log_prob(images, samples=200, seed=0)
    assert (bounds > np.log(0.5) - 0.4).all()  # without z: 4 log 0.5
    assert np.exp(bounds).sum() < 1.02


# === Objective ===


def objective(model, images, noise, training=True):
    """Loss and terms for given noise, as floats."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VAE, "normal", lambda self, shape: ops.convert_to_tensor(noise))
        loss, terms = model.objective(ops.convert_to_tensor(images), None, training)
    return float(numpy(loss)), {name: float(numpy(value)) for name, value in terms.items()}


def some_noise(model, count=5):
    shape = (count, model.latent_size)
    return np.random.default_rng(5).standard_normal(shape, "float32")


def decoded(model, images, noise):
    """The decoder's output for the latents that `noise` gives, in NumPy (n, h, w, parameters)."""
    mean, log_variance = posterior(model, images)
    outputs = dense(model.decoder, mean + np.exp(log_variance / 2) * noise)
    return outputs.reshape(*images.shape[:3], -1)


@pytest.mark.parametrize("training", [True, False])
def test_binary_reconstruction_is_numpys(training):
    model, images = small(2), some_images(2)
    noise = some_noise(model)
    logits = decoded(model, images, noise)
    expected = -tfd.Bernoulli(logits=logits).log_prob(images).sum((1, 2, 3)).mean()
    _, terms = objective(model, images, noise, training)
    np.testing.assert_allclose(terms["reconstruction"], expected, rtol=1e-5)


def test_reconstruction_of_256_levels_is_numpys():
    model, images = small(256), some_images(256)
    noise = some_noise(model)
    location, log_scale = np.split(decoded(model, images, noise), 2, axis=-1)
    pmf = reference_log_pmf(256, location, log_scale)
    each = np.take_along_axis(pmf, images[..., None].astype("int64"), -1)
    _, terms = objective(model, images, noise)
    np.testing.assert_allclose(terms["reconstruction"], -each.sum() / len(images), rtol=1e-5)


@pytest.mark.parametrize("levels", [2, 256])
def test_kl_is_tfps(levels):
    model, images = small(levels), some_images(levels)
    _, terms = objective(model, images, some_noise(model))
    expected = kl_from_prior(*posterior(model, images)).mean()
    np.testing.assert_allclose(terms["kl"], expected, rtol=1e-5)


@pytest.mark.parametrize("levels", [2, 256])
def test_loss_is_the_sum_of_its_terms(levels):
    model = small(levels)
    loss, terms = objective(model, some_images(levels), some_noise(model))
    assert set(terms) == {"reconstruction", "kl"}
    np.testing.assert_allclose(loss, terms["reconstruction"] + terms["kl"], rtol=1e-6)


def test_loss_draws_new_noise_each_time():
    model, images = small(), ops.convert_to_tensor(some_images(2))
    first, second = (model.objective(images, None, True) for _ in range(2))
    assert float(numpy(first[0])) != float(numpy(second[0]))
    assert float(numpy(first[1]["kl"])) == float(numpy(second[1]["kl"]))


def test_loss_is_the_negative_bound_in_the_mean():
    images = np.repeat(IMAGES, 500, 0)
    loss, _ = objective(toy(), images, some_noise(toy(), len(images)))
    spread = toy().log_prob(images, seed=0).reshape(16, 500).std(-1).mean()
    assert abs(loss + true_bound().mean()) < 4 * spread / np.sqrt(len(images))
    assert spread / np.sqrt(len(images)) < 0.02


# === log_prob ===


def test_log_prob_of_one_sample_is_numpys():
    model, images = small(), some_images(2)
    noise = np.random.default_rng(7).standard_normal((1, 5, 2), "float32")[0]  # as log_prob draws
    mean, log_variance = posterior(model, images)
    q = tfd.Normal(mean, np.exp(log_variance / 2))
    latents = mean + np.exp(log_variance / 2) * noise
    expected = tfd.Bernoulli(logits=decoded(model, images, noise)).log_prob(images).sum((1, 2, 3))
    expected += (PRIOR.log_prob(latents) - q.log_prob(latents)).sum(-1)
    np.testing.assert_allclose(model.log_prob(images, seed=7), expected, rtol=1e-5)


@pytest.fixture
def chunks(monkeypatch):
    """The shapes (samples, images, latent size) of noise that log-weights were computed for."""
    shapes, compute = [], VAE._log_weights

    def recorded(self, images, noise, condition):
        assert len(images) == noise.shape[1]
        shapes.append(noise.shape)
        return compute(self, images, noise, condition)

    monkeypatch.setattr(VAE, "_log_weights", recorded)
    return shapes


def test_log_prob_of_many_samples_decodes_few_at_once(chunks):
    toy().log_prob(IMAGES, samples=5000)
    assert {images for _, images, _ in chunks} == {16}
    assert max(samples for samples, _, _ in chunks) <= SAMPLES_PER_CHUNK
    assert sum(samples for samples, _, _ in chunks) == 5000


def test_log_prob_of_many_images_decodes_few_at_once(chunks):
    count, samples = IMAGES_PER_CHUNK + 30, SAMPLES_PER_CHUNK + 5
    assert toy().log_prob(np.repeat(IMAGES[:1], count, 0), samples=samples).shape == (count,)
    assert sorted(chunks) == sorted(
        itertools.product((SAMPLES_PER_CHUNK, 5), (IMAGES_PER_CHUNK, 30), (1,))
    )


def test_log_prob_keeps_the_order_of_images():
    order = np.random.default_rng(8).permutation(16)
    many = np.tile(IMAGES[order], (10, 1, 1, 1))  # in more than one chunk
    found = toy().log_prob(many, samples=500, seed=0)
    np.testing.assert_allclose(found, np.tile(true_log_prob()[order], 10), atol=0.25)
    assert np.abs(np.diff(np.sort(true_log_prob()))).max() > 0.25


def test_log_prob_repeats_with_its_seed():
    first, again, other = (toy().log_prob(IMAGES, samples=3, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_log_prob_of_improbable_images_is_finite():
    model = VAE((2, 2, 1), levels=2, latent_size=3, hidden=())
    model.decoder.set_weights([np.zeros((3, 4)), np.full(4, -1e4)])  # p(1) = exp(-10_000)
    found = model.log_prob(IMAGES[[0, -1]], samples=50, seed=0)
    np.testing.assert_allclose(found[1] - found[0], -4e4, rtol=1e-3)


# === Codes and images ===

FORMS = [
    {"image_shape": (2, 2, 1), "levels": 2, "hidden": ()},
    {"image_shape": (3, 5, 3), "levels": 256, "hidden": (4, 3)},
    {"image_shape": (9, 11, 1), "levels": 3, "architecture": "conv", "base_channels": 2},
    {"image_shape": (28, 20, 3), "levels": 256, "architecture": "conv", "base_channels": 2},
]


@functools.cache
def formed(index):
    return VAE(latent_size=3, **FORMS[index])


@pytest.fixture(params=range(len(FORMS)), ids=lambda index: str(FORMS[index]["image_shape"]))
def model(request):
    return formed(request.param)


def test_encode_gives_mean_and_log_variance(model):
    mean, log_variance = model.encode(some_images(model.levels, 4, model.image_shape))
    assert mean.shape == log_variance.shape == (4, 3)
    assert mean.dtype == log_variance.dtype == np.float32
    assert not np.allclose(mean, log_variance)


def test_decode_gives_images(model):
    images = model.decode(np.zeros((4, 3)))
    assert images.shape == (4, *model.image_shape)
    assert images.dtype == np.uint8
    assert images.max() < model.levels


def test_reconstruct_gives_images(model):
    images = model.reconstruct(some_images(model.levels, 4, model.image_shape))
    assert images.shape == (4, *model.image_shape)
    assert images.dtype == np.uint8


@pytest.mark.parametrize("mode", ["draw", "median"])
def test_sample_gives_images(model, mode):
    images = model.sample(4, seed=0, mode=mode)
    assert images.shape == (4, *model.image_shape)
    assert images.dtype == np.uint8
    assert images.max() < model.levels


def test_log_prob_is_one_number_per_image(model):
    found = model.log_prob(some_images(model.levels, 4, model.image_shape), samples=3)
    assert found.shape == (4,)
    # Not all below zero: three weights can estimate a probability above one.
    assert np.isfinite(found).all()


def test_objective_is_a_finite_scalar(model):
    images = some_images(model.levels, 4, model.image_shape)
    loss, terms = objective(model, images, some_noise(model, 4))
    assert np.isfinite([loss, *terms.values()]).all()
    assert terms["kl"] > 0


def test_encode_is_numpys():
    images = some_images(256)
    for found, expected in zip(
        small(256).encode(images), posterior(small(256), images), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_reconstruction_decodes_the_posterior_mean():
    expected = small(256).decode(posterior(small(256), some_images(256))[0])
    differences = small(256).reconstruct(some_images(256)).astype("int64") - expected
    assert np.abs(differences).max() <= 1


def test_decode_is_the_more_probable_value():
    latents = np.linspace(-3, 3, 50)[:, None]
    logits = dense(toy().decoder, latents)
    sure = np.abs(logits) > 1e-4
    assert np.array_equal(toy().decode(latents).reshape(50, 4)[sure], (logits > 0)[sure])


def test_many_images_are_computed_in_order():
    latents = np.random.default_rng(9).standard_normal((600, 1), "float32")
    expected = np.concatenate([toy().decode(part) for part in np.split(latents, 6)])
    assert np.array_equal(toy().decode(latents), expected)
    assert len(np.unique(expected.reshape(600, -1), axis=0)) > 1


@pytest.mark.parametrize("mode", ["draw", "median"])
def test_samples_repeat_with_their_seed(mode):
    first, again, other = (toy().sample(64, seed=seed, mode=mode) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_pixels_are_drawn_from_the_latents_of_medians():
    model = VAE((2, 2, 1), levels=2, latent_size=1, hidden=(6,))
    randomise(model.decoder, 10, 200.0)  # almost no noise in the pixels
    medians, draws = (model.sample(200, seed=3, mode=mode) for mode in ("median", "draw"))
    assert (medians == draws).mean() > 0.95
    assert (medians != model.sample(200, seed=4, mode="median")).mean() > 0.1


# === Networks ===


@pytest.mark.parametrize("architecture", ["resnet", "", None, "Dense"])
def test_unknown_architecture_is_an_error(architecture):
    with pytest.raises(KgenError, match="Expected architecture to be 'dense' or 'conv', received"):
        VAE((8, 8, 1), architecture=architecture)


def test_decoder_mirrors_the_hidden_layers():
    encoder, decoder = (
        [weight.shape for weight in network.get_weights()[::2]]
        for network in (small().encoder, small().decoder)
    )
    assert encoder == [(3 * 2 * 3, 6), (6, 5), (5, 2 * 2)]
    assert decoder == [(2, 5), (5, 6), (6, 3 * 2 * 3)]


@pytest.mark.parametrize(("index", "depth"), [(2, 1), (3, 2)])
def test_convolutions_halve_to_below_eight_and_double_the_channels(index, depth):
    convolutions = [layer for layer in formed(index).encoder.layers if hasattr(layer, "strides")]
    assert [layer.filters for layer in convolutions] == [2, 4][:depth]
    assert {layer.strides for layer in convolutions} == {(2, 2)}
    assert min(convolutions[-1].output.shape[1:3]) < 8


@pytest.mark.parametrize("architecture", ["dense", "conv"])
def test_likelihoods_are_float32_under_mixed_precision(policy, architecture):
    policy("mixed_bfloat16")
    model = VAE((9, 8, 1), latent_size=3, hidden=(4,), architecture=architecture, base_channels=2)
    images = some_images(256, 2, (9, 8, 1))
    assert model.encoder.layers[0].compute_dtype == "bfloat16"
    assert [code.dtype for code in model.encode(images)] == [np.float32, np.float32]
    assert keras.backend.standardize_dtype(model.decoder(np.zeros((2, 3))).dtype) == "float32"
    assert np.isfinite(objective(model, images, some_noise(model, 2))[0])


def test_convolutions_need_eight_pixels():
    with pytest.raises(KgenError, match="use 'dense'"):
        VAE((4, 8, 1), levels=2, architecture="conv")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 2, 2, 1), "float32"), "Expected uint8"),
        (np.zeros((2, 3, 2, 1), "uint8"), r"of shape \(n, 2, 2, 1\)"),
        (np.full((2, 2, 2, 1), 2, "uint8"), "Expected values 0..1"),
        (np.zeros((0, 2, 2, 1), "uint8"), "at least"),
    ],
    ids=["floats", "shape", "range", "none"],
)
@pytest.mark.parametrize("method", ["encode", "log_prob", "reconstruct"])
def test_wrong_images_are_an_error(method, images, message):
    model = VAE((2, 2, 1), levels=2, latent_size=1, hidden=(2,))
    with pytest.raises(KgenError, match=message):
        getattr(model, method)(images)


def test_no_samples_are_an_error():
    model = VAE((2, 2, 1), levels=2, latent_size=1, hidden=(2,))
    with pytest.raises(KgenError, match="from 1 to"):
        model.sample(0)
    with pytest.raises(KgenError, match="at least 1"):
        model.log_prob(np.zeros((1, 2, 2, 1), "uint8"), samples=0)


@pytest.mark.parametrize("levels", [0, 1, 65_537])
def test_levels_out_of_range_are_an_error(levels):
    with pytest.raises(KgenError, match="levels to be a whole number from 2 to 65,536"):
        VAE((2, 2, 1), levels=levels)
