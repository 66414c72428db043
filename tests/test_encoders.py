"""The classifiers that sample quality is measured by: trained once, kept, equal everywhere."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from kgen import data as data_sets
from kgen import encoders
from kgen.encoders import classifier, inception
from kgen.errors import KgenError

FEW_STEPS = 40


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setattr(classifier, "cache_folder", lambda: tmp_path / "data")
    return tmp_path / "encoders"


@pytest.fixture
def quick(cache, monkeypatch):
    """An empty cache, and a recipe of few steps."""
    monkeypatch.setattr(classifier, "FEWEST_STEPS", FEW_STEPS)
    monkeypatch.setattr(classifier, "MOST_STEPS", FEW_STEPS)
    return cache


@pytest.fixture(scope="module")
def digits():
    return data_sets.load("digits")


def test_it_is_trained_once_and_kept(quick, digits, monkeypatch):
    first = encoders.for_data(digits)
    monkeypatch.setattr(classifier, "fit", None)  # whoever trains again, fails
    second = encoders.for_data(digits)
    assert second.identity == first.identity
    images = digits.test.images[:20]
    np.testing.assert_allclose(second(images), first(images), atol=1e-6)


def test_two_at_once_share_one(quick, digits, monkeypatch):
    trainings = []

    def fit(*_):
        trainings.append(1)
        time.sleep(0.5)  # long enough for the other one to come

    monkeypatch.setattr(classifier, "fit", fit)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(encoders.for_data, [digits, digits])
    assert len(trainings) == 1
    assert first.identity == second.identity


def test_damaged_weights_are_trained_again(quick, digits):
    first = encoders.for_data(digits)
    (weights,) = quick.rglob("weights.npz")
    weights.write_bytes(weights.read_bytes()[:-100])
    second = encoders.for_data(digits)
    assert second.sha256 == classifier.hashlib.sha256(weights.read_bytes()).hexdigest()
    np.testing.assert_allclose(
        second(digits.test.images[:20]), first(digits.test.images[:20]), rtol=1e-3, atol=1e-3
    )


def test_features_and_probabilities(quick, digits):
    encoder = encoders.for_data(digits)
    images = digits.test.images[:20]
    assert encoder(images).shape == (20, 128)
    assert encoder(images).dtype == np.float32
    np.testing.assert_allclose(encoder.probabilities(images).sum(axis=1), 1, atol=1e-5)


def test_it_is_float32_whatever_the_models_are(quick, digits, policy):
    policy("mixed_bfloat16")
    encoder = encoders.for_data(digits)
    assert {layer.compute_dtype for layer in encoder.network.layers if layer.weights} == {"float32"}


@pytest.mark.slow
def test_digits_are_recognised(cache, digits):
    assert encoders.for_data(digits).identity.test_accuracy > 0.98


@pytest.mark.slow
def test_mnist_is_recognised(cache):
    assert encoders.for_data(data_sets.load("mnist")).identity.test_accuracy >= 0.99


def test_other_images_are_refused(quick, digits):
    with pytest.raises(KgenError, match=r"shape \(8, 8, 1\), received uint8 of shape \(4, 4, 1\)"):
        encoders.for_data(digits)(np.zeros((2, 4, 4, 1), "uint8"))


def test_grey_images_without_labels_are_refused(cache):
    unlabelled = data_sets.load(np.zeros((200, 8, 8, 1), "uint8"))
    with pytest.raises(KgenError, match="put each class into a sub-folder"):
        encoders.for_data(unlabelled)
    assert not cache.exists()


def test_a_set_without_labels_has_the_classifier_of_its_source(quick, digits, monkeypatch):
    monkeypatch.setitem(classifier.LABELLED, "array", {"source": "digits"})
    unlabelled = data_sets.load(np.zeros((200, 8, 8, 1), "uint8"))
    assert unlabelled.name == "array"
    assert encoders.for_data(unlabelled).identity.name == "digits"


def colour(folder, **labels):
    np.savez(folder / "colour.npz", images=np.zeros((200, 8, 8, 3), "uint8"), **labels)
    return data_sets.load(folder / "colour.npz")


@pytest.mark.parametrize(
    ("labelled", "name"), [(False, None), (False, "inception"), (True, "inception")]
)
def test_inception_is_for_colour_without_labels_or_whoever_asks(
    labelled, name, tmp_path, monkeypatch
):
    monkeypatch.setattr(encoders, "Inception", lambda levels: ("inception", levels))
    data = colour(tmp_path, **({"labels": np.arange(200) % 2} if labelled else {}))
    assert encoders.for_data(data, name=name) == ("inception", data.levels)


def test_inception_of_grey_images_is_refused_before_anything_is_downloaded(digits):
    with pytest.raises(KgenError, match=r"colour images .* received digits of shape \(8, 8, 1\)"):
        encoders.for_data(digits, name="inception")


def test_a_classifier_may_be_asked_for_by_name(quick, digits, tmp_path):
    assert encoders.for_data(digits, name="classifier").identity.name == "digits"
    with pytest.raises(KgenError, match="put each class into a sub-folder"):
        encoders.for_data(colour(tmp_path), name="classifier")


@pytest.mark.slow
def test_inception_makes_features_of_colour_images():
    encoder = inception.Inception(weights=None)
    images = np.random.default_rng(0).integers(256, size=(2, 32, 32, 3), dtype="uint8")
    features = encoder(images)
    assert features.shape == (2, 2048)
    assert features.dtype == np.float32
    assert len(encoder.sha256) == 64


def test_inception_refuses_grey_images():
    encoder = object.__new__(inception.Inception)
    with pytest.raises(KgenError, match="colour images"):
        encoder(np.zeros((2, 8, 8, 1), "uint8"))


def test_inception_without_a_network_is_one_line(monkeypatch):
    import keras

    def unreachable(**_):
        raise Exception("URL fetch failure: no route")

    monkeypatch.setattr(keras.applications, "InceptionV3", unreachable)
    with pytest.raises(KgenError, match="URL fetch failure"):
        inception.Inception()


def test_resizing_keeps_a_constant_and_is_not_rounded():
    image = np.full((40, 30, 3), 7, "uint8")
    np.testing.assert_allclose(inception.resized(image), 7, atol=1e-4)
    image[:20] = 200
    resized = inception.resized(image)
    assert resized.shape == (299, 299, 3)
    assert np.abs(resized - np.round(resized)).max() > 0.1


def test_resizing_is_antialiased():
    """Shrinking is an average over the pixels that become one, not a choice of one of them."""
    stripes = np.zeros((299 * 4, 299 * 4, 3), "uint8")
    stripes[:, ::2] = 200
    np.testing.assert_allclose(inception.resized(stripes)[5:-5, 5:-5], 100, atol=1)
    reference = Image.fromarray(stripes).resize((299, 299), Image.Resampling.BICUBIC)
    assert np.abs(inception.resized(stripes) - np.asarray(reference)).max() <= 1
