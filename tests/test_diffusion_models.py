"""Diffusion models with a network: guidance, conditions, training, averages."""

import functools

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats
from test_unet import scatter

import kgen
from kgen import backend
from kgen.errors import KgenError
from kgen.models.diffusion import samplers
from kgen.spaces import rows_of
from kgen.testing.comparing import array

SHAPE = (8, 8, 1)
EVERY_CLASS = (kgen.DDPM, kgen.ImprovedDDPM, kgen.EDM, kgen.FlowMatching)
CHAINS = (kgen.DDPM, kgen.ImprovedDDPM)
GIVEN = {
    "nothing": {},
    "labels": {"classes": 3},
    "attributes": {"attributes": ("red", "large")},
    "captions": {"words": ("a", "b", "c"), "length": 4},
    "several": {"classes": 3, "attributes": ("red", "large"), "words": ("a", "b"), "length": 4},
}
every_class = pytest.mark.parametrize("model_class", EVERY_CLASS)


@functools.cache
def scattered(model_class, given="labels", seed=0):
    """A small model with random weights, none of them zero, and without averages."""
    kgen.set_seed(seed)
    model = model_class(**arguments(model_class), **GIVEN[given], ema=0.0)
    return scatter(model)


def arguments(model_class):
    small = {"image_shape": SHAPE, "levels": 17, "base_channels": 8, "multipliers": (1,)}
    return {**small, "timesteps": 20} if model_class in CHAINS else small


def condition_of(model, shift=0):
    """What three images are given; shifted, everything else."""
    captions = np.array([[1, 0, 0, 0], [1, 2, 0, 0], [2, 1, 1, 1]])
    parts = {
        "labels": (np.arange(3) + shift) % 3,
        "attributes": np.array([[shift, 1 - shift], [1, shift], [0, 0]], "float32"),
        "captions": np.roll(captions, shift, axis=0),
    }
    names = {"Labels": "labels", "Attributes": "attributes", "Tokens": "captions"}
    space = model.condition_space
    if space is None or isinstance(space, dict):
        return parts if space else None
    return parts[names[type(space).__name__]]


def values(model, condition, guidance, start=None, sampler="heun"):
    """What three steps of sampling lead to, as floats."""
    schedule = samplers.schedule_of(model.noise_path, model.times(3), guidance)
    start = model.first_noise(3, 0) if start is None else start
    return model.generate(start, condition, schedule, sampler)


def followed(model, denoise):
    """The same by a denoiser of one's own."""
    schedule = samplers.schedule_of(model.noise_path, model.times(3))
    schedule, start = map(ops.convert_to_tensor, (schedule, model.first_noise(3, 0)))
    run = backend.compiled(
        model,
        lambda x: samplers.run(samplers.heun, denoise, model.noise_path, x, schedule),
    )
    return array(run(array(start)))


# === Guidance ===


# Guidance stands once, in the base class: each law on two of them, for every case is compiled.
@pytest.mark.parametrize("model_class", [kgen.EDM, kgen.ImprovedDDPM])
def test_guidance_1_is_conditional_and_0_is_unconditional(model_class):
    model, labels = scattered(model_class), np.arange(3)
    given = followed(model, lambda x, p: model.denoise(x, p, model.embed(labels)))
    nothing = ops.broadcast_to(model.condition_embedding.nothing.value, (3, 32))
    free = followed(model, lambda x, p: model.denoise(x, p, nothing))
    assert np.abs(given - free).max() > 0.05
    np.testing.assert_allclose(values(model, labels, 1.0), given, atol=2e-4)
    np.testing.assert_allclose(values(model, labels, 0.0), free, atol=2e-4)
    other = values(model, labels[::-1].copy(), 0.0)
    np.testing.assert_array_equal(other, values(model, labels, 0.0))


@pytest.mark.parametrize("model_class", [kgen.DDPM, kgen.FlowMatching])
def test_guidance_extrapolates_the_networks_output(model_class):
    """As the docstring states it: nothing + guidance (condition - nothing)."""
    model, labels = scattered(model_class), np.arange(3)
    nothing = ops.broadcast_to(model.condition_embedding.nothing.value, (3, 32))

    def denoise(x, point):
        given, free = (model.output(x, point, e) for e in (model.embed(labels), nothing))
        return model.interpreted(free + 2.5 * (given - free), x, point)

    np.testing.assert_allclose(
        values(model, labels, 2.5), followed(model, denoise), rtol=1e-3, atol=1e-3
    )


def test_guidance_of_another_number_of_images():
    """TensorFlow compiles for any number, once it has seen two."""
    model, start = scattered(kgen.EDM), scattered(kgen.EDM).first_noise(5, 0)
    labels = np.arange(5) % 3
    many = values(model, labels, 2.0, start)
    for count in (3, 2):
        few = values(model, labels[:count], 2.0, start[:count])
        np.testing.assert_allclose(few, many[:count], rtol=1e-4, atol=1e-4)


# === Conditions ===


@pytest.mark.parametrize("given", GIVEN)
def test_any_condition_enters_and_an_image_depends_on_its_own_alone(given):
    model = scattered(kgen.FlowMatching, given)
    condition, start = condition_of(model), model.first_noise(3, 0)
    sampled = functools.partial(values, model, guidance=1.0, sampler="ddim")
    together = sampled(condition)
    alone = [sampled(rows_of(condition, slice(i, i + 1)), start=start[i : i + 1]) for i in range(3)]
    np.testing.assert_allclose(np.concatenate(alone), together, atol=1e-4)
    if given == "nothing":
        with pytest.raises(KgenError, match="Expected no condition"):
            model.sample(condition=np.arange(3), steps=1)
        return
    assert model.sample(condition=condition, seed=0, steps=1).shape == (3, *SHAPE)
    other = condition_of(model, shift=1)
    names = list(condition) if isinstance(condition, dict) else [None]
    for name in names:  # each part by itself
        mixed = other if name is None else {**condition, name: other[name]}
        moved = sampled(model.checked_condition(mixed, 3))
        assert np.abs(moved - together)[0].max() > 1e-3


def test_conditions_are_dropped_for_each_item():
    kgen.set_seed(0)
    model = scatter(kgen.EDM(**arguments(kgen.EDM), classes=3, drop=0.25))
    labels = np.arange(600) % 3
    whole, found = array(model.embed(labels)), array(model.embed(labels, training=True))
    is_nothing = (found == array(model.condition_embedding.nothing.value)).all(axis=1)
    np.testing.assert_array_equal(found[~is_nothing], whole[~is_nothing])
    assert is_nothing.mean() == pytest.approx(0.25, abs=0.07)


def shades(count, seed=0):
    """Images (n, 4, 4, 1) of 17 levels, dark for label 0 and bright for label 1."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, count)
    noise = generator.integers(0, 5, (count, 4, 4, 1))
    return (noise + 12 * labels[:, None, None, None]).astype("uint8"), labels


@pytest.fixture(scope="module")
def shaded():
    """A model that has learned `shades`."""
    kgen.set_seed(0)
    size = {"image_shape": (4, 4, 1), "levels": 17, "base_channels": 8, "multipliers": (1,)}
    model = kgen.EDM(**size, attention=0, classes=2, ema=0.9)
    model.compile(keras.optimizers.Adam(5e-3))
    model.fit(*shades(1024), batch_size=64, epochs=8, verbose=0)
    return model


def test_samples_are_of_the_class_that_was_asked_for(shaded):
    labels = np.arange(40) % 2
    means = shaded.sample(condition=labels, seed=0, steps=12).mean(axis=(1, 2, 3))
    assert ((means > 8) == labels).mean() > 0.94
    free = shaded.sample(condition=labels, seed=0, steps=12, guidance=0.0).mean(axis=(1, 2, 3))
    assert 0.15 < ((free > 8) == labels).mean() < 0.85


def test_labels_of_other_images_are_noticed(shaded):
    images, labels = shades(512, seed=1)
    right, wrong = (
        shaded.evaluate(images, given, verbose=0, return_dict=True)["loss"]
        for given in (labels, 1 - labels)
    )
    assert wrong > 1.5 * right


def test_samples_are_those_of_the_averaged_weights(shaded):
    """A model without averages whose weights they are draws the same images."""
    plain = kgen.EDM(**{**shaded.get_config(), "ema": 0.0, "name": "plain"})
    pairs = zip(plain.trainable_variables, shaded.trainable_variables, strict=True)
    for variable, trained in pairs:
        variable.assign(array(shaded.averages.of(trained).value))
    plain.measured.assign(array(shaded.measured.value))
    expected = shaded.sample(condition=np.arange(4) % 2, seed=1, steps=3)
    found = plain.sample(condition=np.arange(4) % 2, seed=1, steps=3)
    assert (found == expected).mean() > 0.98


# === Training ===


def test_times_are_spread_evenly_and_each_is_uniform():
    model = scattered(kgen.FlowMatching)
    draws = np.array([array(model.spread_uniform(5)) for _ in range(300)])
    assert (draws >= 0.0).all()
    assert (draws < 1.0).all()
    gaps = np.diff(np.sort(draws, axis=1), axis=1)
    np.testing.assert_allclose(gaps, 0.2, atol=1e-5)
    for item in draws.T:
        assert stats.kstest(item, "uniform").pvalue > 1e-3


def test_training_times_have_their_distributions():
    uniform = ((np.arange(4000) + 0.5) / 4000).astype("float32")
    chain = array(scattered(kgen.DDPM).draw_times(ops.convert_to_tensor(uniform)))
    np.testing.assert_array_equal(np.bincount(chain), [0, *[200] * 20])
    flow = array(scattered(kgen.FlowMatching).draw_times(ops.convert_to_tensor(uniform)))
    expected = stats.norm.ppf(uniform.astype("float64"))
    np.testing.assert_allclose(np.log(flow / (1.0 - flow)), expected, atol=2e-3)
    edm = kgen.EDM(**arguments(kgen.EDM), sigma_data=0.9)
    sigma = array(edm.draw_times(ops.convert_to_tensor(uniform)))
    np.testing.assert_allclose(np.log(sigma), -1.2 + 1.2 * expected + np.log(0.9 / 0.5), atol=2e-3)
    edm = kgen.EDM(**arguments(kgen.EDM), sigma_data=0.5, noise_mean=0.3, noise_deviation=1.5)
    sigma = array(edm.draw_times(ops.convert_to_tensor(uniform)))
    np.testing.assert_allclose(np.log(sigma), 0.3 + 1.5 * expected, atol=2e-3)


def test_sigma_data_is_measured_on_the_first_batch_only():
    model = kgen.EDM(**arguments(kgen.EDM))
    images = np.random.default_rng(0).integers(0, 17, (32, *SHAPE)).astype("uint8")
    model.compile()
    model.train_on_batch(images)
    centres = (images + 0.5) * 2.0 / 17 - 1.0
    expected = np.sqrt((centres**2).mean())
    assert float(array(model.measured.value)) == pytest.approx(expected, rel=1e-5)
    model.train_on_batch(np.zeros_like(images))
    assert float(array(model.measured.value)) == pytest.approx(expected, rel=1e-5)
    stated = kgen.EDM(**arguments(kgen.EDM), sigma_data=0.3)
    stated.measure(ops.convert_to_tensor(images))
    assert float(array(stated.measured.value)) == pytest.approx(0.3)


def test_the_bound_teaches_the_variances_only():
    """The first half of the network's outputs, the means, and the second one, the variances."""
    model = scattered(kgen.ImprovedDDPM)
    images = np.random.default_rng(0).integers(0, 17, (8, *SHAPE)).astype("uint8")
    images, labels = ops.convert_to_tensor(images), ops.convert_to_tensor(np.arange(8) % 3)
    kernel = model.unet.last.kernel

    def gradient(term):
        def loss():
            return model.objective(images, labels, True)[1][term], ()

        return array(backend.value_and_grad(model, loss, [kernel])[1][0])

    bits, error = gradient("bits_per_dimension"), gradient("error")
    assert (bits[..., :1] == 0.0).all()
    assert np.abs(bits[..., 1:]).max() > 1e-3
    assert np.abs(error[..., :1]).max() > 1e-3
    assert (error[..., 1:] == 0.0).all()


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_a_pixel_anywhere_in_its_bin_has_its_level(levels):
    model = kgen.FlowMatching((4, 4, 1), levels, base_channels=8, multipliers=(1,), attention=0)
    images = (np.arange(16) * 16 % levels).astype("uint8").reshape(1, 4, 4, 1)
    images[0, 0, 0, 0] = levels - 1
    for place in (0.01, 0.5, 0.99):
        found = model.values_of(ops.convert_to_tensor(images), lambda shape, place=place: place)
        np.testing.assert_array_equal(array(model.images_of(found)), images)
        assert np.abs(array(found)).max() <= 1.0


@pytest.mark.parametrize("model_class", CHAINS)
def test_fewer_timesteps_than_20_are_refused(model_class):
    with pytest.raises(KgenError, match="Expected timesteps"):
        model_class(**{**arguments(model_class), "timesteps": 19})
