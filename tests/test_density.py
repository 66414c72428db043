"""Uses of log p(x) and of latents, on densities known in closed form and on tiny models of kgen."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy.stats import mannwhitneyu
from sklearn.naive_bayes import BernoulliNB

import kgen
from kgen import KgenError, density, pictures
from kgen.analysis.probe import linear_probe
from kgen.data import Split
from kgen.spaces import Labels

SHAPE = (2, 2, 1)
ALL_IMAGES = np.array(list(np.ndindex(2, 2, 2, 2)), "uint8").reshape(-1, *SHAPE)


class Bernoullis:
    """Independent pixels that are 1 with the given probabilities (4,)."""

    likelihood = "exact"
    condition_space = None

    def __init__(self, probabilities):
        self.probabilities = np.asarray(probabilities)

    def log_prob(self, images, condition=None):
        return self.of_pixels(images, self.probabilities)

    def of_pixels(self, images, probabilities):
        pixels = images.reshape(-1, 4)
        return np.log(np.where(pixels == 1, probabilities, 1 - probabilities)).sum(axis=1)


class LabelledBernoullis(Bernoullis):
    """Pixels are 1 with probabilities (classes, 4) that depend on the label."""

    condition_space = Labels(3)

    def log_prob(self, images, condition):
        return self.of_pixels(images, self.probabilities[condition])


class Bound(LabelledBernoullis):
    """A bound that k samples bring nearer, with noise that the seed decides."""

    likelihood = "bound"

    def log_prob(self, images, condition, samples, seed):
        noise = np.random.default_rng(seed).random(len(images))
        return super().log_prob(images, condition) - noise / samples


@pytest.fixture
def naive_bayes():
    """Scikit-learn's naive Bayes classifier of 3 unequally frequent labels."""
    generator = np.random.default_rng(0)
    labels = generator.choice(3, 200, p=[0.6, 0.3, 0.1])
    images = generator.random((200, 4)) < np.array([0.2, 0.5, 0.8])[labels, None]
    return BernoulliNB().fit(images, labels)


def model_of(naive_bayes, kind=LabelledBernoullis):
    return kind(np.exp(naive_bayes.feature_log_prob_))


# === Bayes' rule ===


def test_bayes_rule_is_scikit_learns(naive_bayes):
    prior = np.exp(naive_bayes.class_log_prior_)
    found = density.classify(model_of(naive_bayes), ALL_IMAGES, prior)
    pixels = ALL_IMAGES.reshape(-1, 4)
    np.testing.assert_allclose(found.posterior, naive_bayes.predict_proba(pixels))
    assert found.labels.tolist() == naive_bayes.predict(pixels).tolist()
    assert len(set(found.labels)) > 1


def test_without_a_prior_labels_are_equally_probable(naive_bayes):
    naive_bayes.class_log_prior_ = np.log(np.full(3, 1 / 3))
    found = density.classify(model_of(naive_bayes), ALL_IMAGES)
    np.testing.assert_allclose(
        found.posterior, naive_bayes.predict_proba(ALL_IMAGES.reshape(-1, 4))
    )


def test_a_label_of_probability_zero_is_never_given(naive_bayes):
    found = density.classify(model_of(naive_bayes), ALL_IMAGES, prior=[0, 0.5, 0.5])
    assert 0 not in found.labels
    assert (found.posterior[:, 0] == 0).all()


def test_labels_are_summed_over(naive_bayes):
    log_probs = density.log_prob(model_of(naive_bayes), ALL_IMAGES)
    assert np.exp(log_probs).sum() == pytest.approx(1)  # over all images of four pixels


def test_a_bound_is_taken_with_its_samples_and_one_noise_for_all_labels(naive_bayes):
    exact = density.classify(model_of(naive_bayes), ALL_IMAGES)
    bound = density.classify(model_of(naive_bayes, Bound), ALL_IMAGES, samples=1, seed=3)
    nearer = density.classify(model_of(naive_bayes, Bound), ALL_IMAGES, samples=100, seed=3)
    gaps = [(exact.log_joint - found.log_joint).max() for found in (bound, nearer)]
    assert gaps[0] == pytest.approx(100 * gaps[1])
    np.testing.assert_allclose(bound.posterior, exact.posterior)  # equal noise: it cancels


# === Outliers ===


def test_outliers_in_the_tail_are_found_and_the_area_is_scipys():
    model = Bernoullis([0.9, 0.9, 0.2, 0.1])
    images = (np.random.default_rng(0).random((300, 4)) < model.probabilities).astype("uint8")
    images = images.reshape(-1, *SHAPE)
    found = density.detect_outliers(model, images, ALL_IMAGES)
    assert found.log_probs.shape == (300,)
    np.testing.assert_array_equal(found.outlier_log_probs, model.log_prob(ALL_IMAGES))
    statistic = mannwhitneyu(found.log_probs, found.outlier_log_probs).statistic
    assert found.auroc == pytest.approx(statistic / (300 * 16))
    assert found.auroc == density.outlier_auroc(model, images, ALL_IMAGES) > 0.8


def test_outliers_at_the_mode_are_missed_and_the_area_says_so():
    """The failure of Nalisnick et al.: no draw is as probable as the one image at the mode."""
    model = Bernoullis([0.4, 0.4, 0.4, 0.4])
    images = ALL_IMAGES[1:]
    assert density.outlier_auroc(model, images, np.zeros((5, *SHAPE), "uint8")) == 0


def test_of_a_model_with_labels_outliers_need_none(naive_bayes):
    found = density.detect_outliers(model_of(naive_bayes, Bound), ALL_IMAGES, ALL_IMAGES, 2, 5)
    assert found.auroc == 0.5


# === Linear probe ===


def probed(latents_of, train_labels, test_labels):
    """The probe of a model whose latents are read off images that hold their label."""
    model = SimpleNamespace(encodes=True, condition_space=None, latents=latents_of)
    splits = [
        Split(np.tile(labels.astype("uint8")[:, None, None, None], (1, *SHAPE)), labels)
        for labels in (train_labels, test_labels)
    ]
    return linear_probe(model, *splits)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_labels_that_latents_hold_are_read_off(classes):
    def latents(images):
        noise = np.random.default_rng(len(images)).normal(size=(len(images), 8))
        return np.hstack([10 * np.eye(classes)[images[:, 0, 0, 0]], noise])

    found = probed(latents, np.arange(300) % classes, np.arange(90) % classes)
    assert found.accuracy == 1
    assert found.labels.tolist() == (np.arange(90) % classes).tolist()
    assert found.projection.shape == (90, 2)
    centres = [found.projection[label::classes].mean(axis=0) for label in range(classes)]
    spread = found.projection[0::classes].std(axis=0).max()
    nearest = min(np.linalg.norm(a - b) for a in centres for b in centres if a is not b)
    assert nearest > spread


def test_latents_without_labels_are_read_by_chance():
    def latents(images):
        return np.random.default_rng(len(images)).normal(size=(len(images), 4))

    assert probed(latents, np.arange(600) % 4, np.arange(400) % 4).accuracy < 0.4


def test_the_probe_is_judged_on_the_test_images():
    def latents(images):
        return images.reshape(len(images), -1).astype("float32")

    train, test = np.arange(100) % 2, np.arange(40) % 2
    model = SimpleNamespace(encodes=True, condition_space=None, latents=latents)
    splits = [
        Split(np.tile(y.astype("uint8")[:, None, None, None], (1, *SHAPE)), y)
        for y in (train, test)
    ]
    swapped = Split(splits[1].images, 1 - test)
    assert linear_probe(model, *splits).accuracy == 1
    assert linear_probe(model, splits[0], swapped).accuracy == 0


# === Tiny models of kgen ===


def halves(count, seed=0):
    """Binary images, the upper half (label 0) or the lower one (1) on, a tenth of pixels wrong."""
    generator, labels = np.random.default_rng(seed), np.arange(count) % 2
    upper = np.arange(8)[:, None, None] < 4
    images = np.where(labels[:, None, None, None] == 0, upper, ~upper)
    wrong = generator.random((count, 8, 8, 1)) < 0.1
    return (images ^ wrong).astype("uint8"), labels


@pytest.mark.parametrize("name", ["cvae", "gated_pixelcnn"])
def test_trained_conditional_models_tell_halves_apart(name):
    kgen.set_seed(0)
    small = kgen.models.get(name).small_arguments
    settings = {**small, "classes": 2, "levels": 2, "image_shape": (8, 8, 1)}
    model = kgen.models.create(name, **settings)
    model.compile()
    model.fit(*halves(640), batch_size=32, epochs=10, verbose=0)
    images, labels = halves(64, seed=1)
    found = density.classify(model, images, samples=3)
    assert np.mean(found.labels == labels) > 0.9
    np.testing.assert_allclose(found.posterior.sum(axis=1), 1)
    bound = {"samples": 3, "seed": 0} if model.likelihood == "bound" else {}
    expected = model.log_prob(images, condition=np.ones(64, int), **bound) + np.log(0.5)
    np.testing.assert_allclose(found.log_joint[:, 1], expected, rtol=1e-6)
    stripes = np.broadcast_to(np.arange(8)[:, None] % 2, images.shape).astype("uint8")
    assert density.outlier_auroc(model, images, stripes) > 0.95


def test_even_random_latents_of_digits_hold_their_labels():
    kgen.set_seed(0)
    data = kgen.data.load("digits")
    vae = kgen.models.create("vae", data, latent_size=16, hidden=(32,))
    found = linear_probe(vae, data.train, data.test)
    assert 0.5 < found.accuracy < 1


# === Pictures ===


def test_pictures_are_written(tmp_path):
    groups = {"data": np.arange(30.0), "others": -np.arange(5.0)}
    labels, predicted = np.arange(30) % 4, np.arange(30) % 3
    paths = [tmp_path / f"{name}.png" for name in ("histograms", "confusion", "scatter")]
    pictures.save_histograms(paths[0], groups, "log p(x), nats", title="a title")
    pictures.save_confusion(paths[1], labels, predicted, names=("a", "b", "c", "d"))
    pictures.save_scatter(paths[2], np.random.default_rng(0).normal(size=(30, 2)), labels)
    for path in paths:
        image = Image.open(path).convert("RGB")
        assert min(image.size) > 200
        assert len(image.getcolors(2**24)) > 10  # something is drawn


def test_a_confusion_is_drawn_where_it_is(tmp_path):
    """All images of label 0 were given 1: the dark square is in the upper row, on the right."""
    path = tmp_path / "confusion.png"
    pictures.save_confusion(path, np.zeros(9, int), np.ones(9, int))
    blue = np.asarray(Image.open(path).convert("RGB")).astype(int)
    rows, columns = np.nonzero((blue[..., 2] - blue[..., 0] > 60) & (blue[..., 0] < 60))
    height, width, _ = blue.shape
    assert len(rows) > 100
    assert rows.mean() < height / 2
    assert columns.mean() > width / 2


@pytest.mark.parametrize(
    "save",
    [
        lambda path: pictures.save_histograms(path, {"data": np.arange(3.0)}, "nats"),
        lambda path: pictures.save_confusion(path, [0, 1], [1, 1]),
        lambda path: pictures.save_scatter(path, np.zeros((2, 2)), [0, 1]),
    ],
)
def test_a_picture_that_cannot_be_written_is_one_line(save, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(KgenError, match="Expected to write"):
        save(tmp_path / "file" / "picture.png")


# === Mistakes ===

BLIND = SimpleNamespace(likelihood=None, condition_space=None, encodes=False)
LATENT = SimpleNamespace(encodes=True, condition_space=None)
LABELLED = Split(ALL_IMAGES, np.arange(16) % 2)


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        ("with a likelihood", lambda: density.outlier_auroc(BLIND, ALL_IMAGES, ALL_IMAGES)),
        (
            "given labels",
            lambda: density.classify(Bernoullis([0.5] * 4), ALL_IMAGES),
        ),
        (
            "3 probabilities",
            lambda: density.classify(LabelledBernoullis(np.ones((3, 4)) / 2), ALL_IMAGES, [1, 0]),
        ),
        (
            "sum to 1",
            lambda: density.classify(
                LabelledBernoullis(np.ones((3, 4)) / 2), ALL_IMAGES, [1, 1, 1]
            ),
        ),
        ("with latents", lambda: linear_probe(BLIND, LABELLED, LABELLED)),
        (
            "images alone",
            lambda: linear_probe(
                SimpleNamespace(encodes=True, encodes_alone=False, condition_space=Labels(2)),
                LABELLED,
                LABELLED,
            ),
        ),
        ("with labels", lambda: linear_probe(LATENT, LABELLED, Split(ALL_IMAGES))),
        ("2 labels", lambda: linear_probe(LATENT, Split(ALL_IMAGES, np.zeros(16)), LABELLED)),
    ],
)
def test_mistakes_are_named(words, mistake):
    with pytest.raises(KgenError, match=words):
        mistake()
