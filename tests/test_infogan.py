"""InfoGAN: its codes and their information against NumPy, and on games whose answer is known."""

import math

import keras
import numpy as np
import pytest
from keras import ops
from scipy import stats

import kgen
from kgen.metrics import cluster_scores
from kgen.models.gans.codes import Codes, latents_of
from kgen.testing.comparing import array, refused

COUNT = 7


def model_of(**settings):
    kgen.set_seed(0)
    settings = {"latent_size": 16, "architecture": "dense", **settings}
    sizes = {"generator_units": (8,), "discriminator_units": (32,)}
    return kgen.InfoGAN((8, 8, 1), levels=17, **sizes, **settings)


def normal_latents(count, size=16):
    return np.random.default_rng(0).standard_normal((count, size)).astype("float32")


# === Codes ===


def test_codes_are_uniform_categories_and_numbers():
    noise, category, numbers = map(array, Codes(10, 2).split(normal_latents(5000)))
    assert np.array_equal(noise, normal_latents(5000)[:, :4])
    assert np.array_equal(category.sum(axis=1), np.ones(5000))
    assert stats.chisquare(category.sum(axis=0)).pvalue > 1e-3
    for number in numbers.T:
        assert stats.kstest(number, stats.uniform(-1, 2).cdf).pvalue > 1e-3


def test_latents_of_codes_have_these_codes_and_are_the_mean_of_such():
    category, numbers = np.eye(10)[[3, 7]], np.array([[-0.9, 0.4], [0.0, 0.99]])
    latents = latents_of(category, numbers, 16)
    _, found, again = map(array, Codes(10, 2).split(latents))
    assert np.array_equal(found, category)
    np.testing.assert_allclose(again, numbers, atol=1e-5)
    drawn = normal_latents(200_000)
    threes = drawn[drawn[:, 4:14].argmax(axis=1) == 3, :14]
    np.testing.assert_allclose(latents[0, :14], threes.mean(axis=0), atol=0.03)


def test_the_generator_is_given_the_codes_and_not_the_latents():
    """Latents that differ, but neither in their noise nor in their codes, give equal images."""
    model = model_of()
    latents = normal_latents(4)
    scaled = latents.copy()
    scaled[:, 4:14] *= 3.0
    assert np.array_equal(model.decode(latents), model.decode(scaled))
    scaled[:, 4:14] *= -1.0
    images = (array(model.generator(z, training=False)) for z in (latents, scaled))
    assert not np.allclose(*images, atol=1e-3)


# === Information ===


def information_at(model, guesses, latents):
    loss, terms = model.information_loss(latents, ops.convert_to_tensor(guesses))
    return float(array(loss)), *(float(array(terms[name])) for name in model.metric_names[-2:])


def test_information_is_numpys():
    model = model_of(category_weight=2.0, number_weight=0.5)
    latents = normal_latents(COUNT)
    guesses = np.random.default_rng(1).standard_normal((COUNT, 12)).astype("float32")
    loss, of_category, of_numbers = information_at(model, guesses, latents)
    chosen, numbers = latents[:, 4:14].argmax(axis=1), 2 * stats.norm.cdf(latents[:, 14:]) - 1
    probabilities = np.exp(guesses[:, :10]) / np.exp(guesses[:, :10]).sum(axis=1, keepdims=True)
    expected = np.log(10) + np.log(probabilities[np.arange(COUNT), chosen]).mean()
    assert of_category == pytest.approx(expected, rel=1e-5)
    densities = stats.norm(guesses[:, 10:]).logpdf(numbers).sum(axis=1).mean()
    weighted = 2 * expected + 0.5 * (2 * np.log(2) + densities)
    assert loss == pytest.approx(-weighted, rel=1e-5)
    best = [
        np.log(2) + stats.norm(guess, np.sqrt(np.mean((number - guess) ** 2))).logpdf(number).mean()
        for number, guess in zip(numbers.T, guesses[:, 10:].T, strict=True)
    ]
    assert of_numbers == pytest.approx(sum(best), rel=1e-4)


def test_a_certain_guess_has_all_the_information_and_a_constant_one_none():
    model, latents = model_of(), normal_latents(2000)
    category, numbers = (array(part) for part in Codes(10, 2).split(latents)[1:])
    certain = np.concatenate([60.0 * category, numbers], axis=1)
    _, of_category, of_numbers = information_at(model, certain, latents)
    assert of_category == pytest.approx(math.log(10), rel=1e-5)
    assert of_numbers > 10
    _, of_category, of_numbers = information_at(model, 0.0 * certain, latents)
    assert of_category == pytest.approx(0, abs=1e-5)
    assert of_numbers == pytest.approx(2 * (np.log(2) - np.log(2 * np.pi * np.e / 3) / 2), abs=0.05)


def test_both_players_are_paid_the_information(monkeypatch):
    """Where the weight is 2 more, both losses are less by 2 times the information."""
    model = model_of(category_weight=0.0, number_weight=0.0)
    images = ops.convert_to_tensor(np.zeros((COUNT, 8, 8, 1), "uint8"))
    noise = ops.convert_to_tensor(normal_latents(COUNT))
    monkeypatch.setattr(model, "normal", lambda _: noise)
    losses = [model.discriminator_loss, model.generator_loss]
    before = [float(array(loss(images, training=False)[0])) for loss in losses]
    _, terms = model.generator_loss(images, training=False)
    model.category_weight = 2.0
    after = [float(array(loss(images, training=False)[0])) for loss in losses]
    paid = 2 * float(array(terms["category_information"]))
    assert abs(paid) > 1e-3
    np.testing.assert_allclose(np.subtract(before, after), paid, rtol=1e-3)


def taught_recogniser(monkeypatch, images_of):
    """A model whose G is `images_of(latents)`, after some steps of D and Q, and its information."""
    model = model_of()

    def latents_and_images(images, training):
        latents = model.normal((ops.shape(images)[0], model.latent_size))
        return latents, images_of(model, latents)

    monkeypatch.setattr(model, "latents_and_images", latents_and_images)
    model.compile({player: keras.optimizers.Adam(5e-3) for player in model.players})
    images = np.zeros((2000, 8, 8, 1), "uint8")
    logs = model.fit(images, batch_size=100, epochs=10, verbose=0).history
    return logs["category_information"][-1], logs["number_information"][-1]


def copying(model, latents):
    """Images of the codes: a pixel per category, and pixels as bright as the numbers."""
    _, *codes = model.codes.split(latents)
    pixels = ops.pad(ops.concatenate(codes, axis=1), [[0, 0], [0, 52]])
    return ops.reshape(pixels, (-1, 8, 8, 1))


def ignoring(model, latents):
    """Images of the noise alone."""
    pixels = ops.pad(latents[:, :4], [[0, 0], [0, 60]])
    return ops.reshape(ops.tanh(pixels), (-1, 8, 8, 1))


def test_a_generator_that_copies_the_code_has_its_entropy_as_information(monkeypatch):
    of_category, of_numbers = taught_recogniser(monkeypatch, copying)
    assert math.log(10) - 0.05 < of_category < math.log(10)
    assert of_numbers > 2


def test_a_generator_that_ignores_the_code_has_no_information(monkeypatch):
    of_category, of_numbers = taught_recogniser(monkeypatch, ignoring)
    assert -0.1 < of_category < 0.02
    assert -0.5 < of_numbers < 0


# === Inference ===


def test_permuted_codes_are_permuted_clusters():
    model = model_of()
    data = kgen.data.load("digits").test
    before = model.encode(data.images)["category"]
    order = np.random.default_rng(0).permutation(10)
    kernel, bias = (v for v in model.discriminator.trainable_variables if v.shape[-1] == 12)
    for variable in (kernel, bias):
        value = array(variable.value)
        variable.assign(np.concatenate([value[..., :10][..., order], value[..., 10:]], axis=-1))
    after = model.encode(data.images)["category"]
    np.testing.assert_allclose(after, before[:, order], atol=1e-6)
    scores = [cluster_scores(found.argmax(axis=1), data.labels) for found in (before, after)]
    assert scores[0] == scores[1]


def test_encoded_images_are_what_q_says_of_them():
    model = model_of()
    images = kgen.data.load("digits").test.images[:3]
    found = model.encode(images)
    guesses = array(model.discriminator(images / np.float32(8) - 1)[1])
    np.testing.assert_allclose(found["numbers"], guesses[:, 10:], rtol=1e-4, atol=1e-5)
    assert np.array_equal(found["category"].argmax(axis=1), guesses[:, :10].argmax(axis=1))
    np.testing.assert_allclose(found["category"].sum(axis=1), 1, rtol=1e-5)


def test_pictures_traverse_every_code():
    model = model_of(numbers=1)
    pictures = model.pictures()
    assert list(pictures) == ["categories", "number_1"]
    for images in pictures.values():
        assert images.shape == (10, 10, 8, 8, 1)
        assert 0 <= images.min() < images.max() <= 1
        assert not np.array_equal(images[:, 0], images[:, 1])
    alike = pictures["number_1"][0, 0] - pictures["number_1"][0, 1]
    other = pictures["number_1"][0, 0] - pictures["number_1"][1, 0]
    assert 0 < np.abs(alike).sum() != np.abs(other).sum()


def test_too_few_latents_are_refused():
    with refused("latent_size", "12", "11"):
        model_of(latent_size=11)
