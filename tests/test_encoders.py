"""The classifiers that sample quality is measured by: those that come with kgen, equal everywhere,
and those of a user's own images, trained once and kept."""

import dataclasses
import hashlib
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from test_data import real

from kgen import data as data_sets
from kgen import encoders
from kgen.data import Dataset, Split
from kgen.data.named import PUBLISHED
from kgen.encoders import classifier, inception
from kgen.encoders.frozen import FROZEN, frozen_classifier
from kgen.errors import KgenError
from kgen.spaces import Pixels

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


@pytest.fixture(scope="module")
def own(digits):
    """The digits as a user's own images, which no classifier comes with."""
    return dataclasses.replace(digits, name="own")


# === Classifiers that come with kgen ===


def of_the_kind(frozen, name):
    """Images as a classifier that comes with kgen takes them, of the set `name`, and no labels."""
    identity = frozen.identity
    size = (20, *identity.image_shape)
    images = np.random.default_rng(0).integers(identity.levels, size=size, dtype="uint8")
    source = f"{PUBLISHED[name].sources[0].publisher}; at most 20 images"
    space = Pixels(images.shape[1:], identity.levels)
    return Dataset(name, Split(images), Split(images), space, source, "none")


kinds = pytest.mark.parametrize(
    ("frozen", "name"),
    [
        pytest.param(frozen, name, id=f"{frozen.identity.name}-{name}")
        for frozen in FROZEN
        for name in frozen.sets
    ],
)
every_file = pytest.mark.parametrize("frozen", FROZEN, ids=lambda frozen: frozen.identity.name)


def test_every_published_set_with_labels_has_one():
    """A new one needs a recipe in benchmarks/train_classifiers.py."""
    fitting = {(name, frozen.identity.levels) for frozen in FROZEN for name in frozen.sets}
    published = {(name, known.levels) for name, known in PUBLISHED.items() if known.label_names}
    assert published | {("binarized_mnist", 2)} <= fitting
    assert {name for name, _ in fitting} <= set(PUBLISHED)


@kinds
def test_nothing_is_trained_for_a_named_set(frozen, name, cache, monkeypatch):
    monkeypatch.setattr(classifier, "fit", None)  # whoever trains, fails
    encoder = encoders.for_data(of_the_kind(frozen, name))
    assert encoder.identity == frozen.identity
    assert encoder.name == f"kgen's classifier of {frozen.identity.name}"
    assert not cache.exists()


@every_file
def test_a_file_is_small_and_the_registered_one(frozen):
    content = frozen.path().read_bytes()
    assert len(content) < 2_000_000
    assert hashlib.sha256(content).hexdigest() == frozen.identity.sha256


@every_file
def test_features_are_equal_on_every_backend(frozen):
    """They are those that NumPy computes from the file."""
    images = of_the_kind(frozen, frozen.sets[0]).test.images
    encoder = frozen.classifier()
    features, probabilities = computed_in_numpy(frozen, images)
    scale = np.abs(features).max()
    np.testing.assert_allclose(encoder(images), features, atol=1e-4 * scale)
    np.testing.assert_allclose(encoder.probabilities(images), probabilities, atol=1e-4)


def computed_in_numpy(frozen, images):
    """(features, probabilities) of the network in a file: every layer spelled out."""
    with np.load(frozen.path()) as file:
        weights = [file[str(index)].astype("float64") for index in range(len(file.files))]
    *convolutions, kernel, bias, last_kernel, last_bias = weights
    x = images / (frozen.identity.levels - 1)
    for start in range(0, len(convolutions), 5):
        taps, gamma, beta, mean, variance = convolutions[start : start + 5]
        x = convolved(x, taps, strides=1 if start == 0 else 2)
        x = np.maximum(gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta, 0)
    features = np.maximum(x.reshape(len(x), -1) @ kernel + bias, 0)
    exponentials = np.exp(features @ last_kernel + last_bias)
    return features, exponentials / exponentials.sum(axis=1, keepdims=True)


def convolved(x, taps, strides):
    """A convolution of 3x3 taps with "same" padding: what is odd of it lies below and right."""
    edges = [max((-(-size // strides) - 1) * strides + 3 - size, 0) for size in x.shape[1:3]]
    x = np.pad(x, [(0, 0), *((edge // 2, edge - edge // 2) for edge in edges), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    return np.einsum("nhwcij,ijco->nhwo", windows[:, ::strides, ::strides], taps)


def recognised(data):
    """The share of the test images that their frozen classifier classifies correctly."""
    network = frozen_classifier(data).network
    return classifier.accuracy(network, np.asarray(data.test.images), data.test.labels)


def test_digits_are_recognised_as_registered(digits):
    assert recognised(digits) == frozen_classifier(digits).identity.test_accuracy == 1


@pytest.mark.parametrize(
    ("name", "binarize"),
    [("mnist", None), ("mnist", "static"), ("fashion_mnist", None), ("cifar10", None)],
)
def test_images_are_recognised_as_registered(name, binarize):
    real(name)
    data = data_sets.load(name, binarize=binarize)
    identity = frozen_classifier(data).identity
    if data.checksum != identity.data_sha256:  # the whole of CIFAR-10
        pytest.skip("these are not the images the classifier was tested on")
    # An image may change sides where backends round differently.
    assert recognised(data) == pytest.approx(identity.test_accuracy, abs=3 / len(data.test))


def test_a_part_of_a_named_set_has_its_classifier(digits):
    assert frozen_classifier(digits.limit(10)).identity == frozen_classifier(digits).identity


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(lambda: data_sets.load("digits", size=6), id="another size"),
        pytest.param(lambda: data_sets.load("digits", binarize="static"), id="other levels"),
        pytest.param(
            lambda: dataclasses.replace(data_sets.load("digits"), source="a folder"),
            id="a folder of that name",
        ),
    ],
)
def test_other_images_have_one_trained_and_are_told_so(changed, quick, caplog):
    data = changed()
    encoder = encoders.for_data(data)
    assert encoder.identity.image_shape == data.image_shape
    assert encoder.name == "classifier of digits trained on this machine"
    assert "no classifier comes with kgen for digits" in caplog.text
    assert "only with figures by the same one" in caplog.text


def test_a_damaged_file_is_refused():
    frozen = FROZEN[0]
    other = dataclasses.replace(frozen.identity, sha256="0" * 64)
    with pytest.raises(KgenError, match=r"digits\.npz with sha256 0000.*install kgen again"):
        dataclasses.replace(frozen, identity=other).classifier()


# === Classifiers of the user's own images ===


def test_it_is_trained_once_and_kept(quick, own, monkeypatch):
    first = encoders.for_data(own)
    monkeypatch.setattr(classifier, "fit", None)  # whoever trains again, fails
    second = encoders.for_data(own)
    assert second.identity == first.identity
    images = own.test.images[:20]
    np.testing.assert_allclose(second(images), first(images), atol=1e-6)


def test_two_at_once_share_one(quick, own, monkeypatch):
    trainings = []

    def fit(*_):
        trainings.append(1)
        time.sleep(0.5)  # long enough for the other one to come

    monkeypatch.setattr(classifier, "fit", fit)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(encoders.for_data, [own, own])
    assert len(trainings) == 1
    assert first.identity == second.identity


def test_damaged_weights_are_trained_again(quick, own):
    first = encoders.for_data(own)
    (weights,) = quick.rglob("weights.npz")
    weights.write_bytes(weights.read_bytes()[:-100])
    second = encoders.for_data(own)
    assert second.sha256 == classifier.hashlib.sha256(weights.read_bytes()).hexdigest()
    np.testing.assert_allclose(
        second(own.test.images[:20]), first(own.test.images[:20]), rtol=1e-3, atol=1e-3
    )


def test_features_and_probabilities(quick, own):
    encoder = encoders.for_data(own)
    images = own.test.images[:20]
    assert encoder(images).shape == (20, 128)
    assert encoder(images).dtype == np.float32
    np.testing.assert_allclose(encoder.probabilities(images).sum(axis=1), 1, atol=1e-5)


def test_it_is_float32_whatever_the_models_are(quick, own, policy):
    policy("mixed_bfloat16")
    encoder = encoders.for_data(own)
    assert {layer.compute_dtype for layer in encoder.network.layers if layer.weights} == {"float32"}


@pytest.mark.slow
def test_digits_of_ones_own_are_recognised(cache, own):
    assert encoders.for_data(own).identity.test_accuracy > 0.98


def test_other_images_are_refused(quick, own):
    with pytest.raises(KgenError, match=r"\(8, 8, 1\) for .*, received uint8 of shape \(4, 4, 1\)"):
        encoders.for_data(own)(np.zeros((2, 4, 4, 1), "uint8"))


def test_grey_images_without_labels_are_refused(cache):
    unlabelled = data_sets.load(np.zeros((200, 8, 8, 1), "uint8"))
    with pytest.raises(KgenError, match="put each class into a sub-folder"):
        encoders.for_data(unlabelled)
    assert not cache.exists()


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


def test_a_classifier_may_be_asked_for_by_name(quick, own, tmp_path):
    assert encoders.for_data(own, name="classifier").identity.name == "own"
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
