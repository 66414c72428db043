"""`kgen.training.Given`: one class of models given labels, attributes, captions or nothing."""

import json

import keras
import numpy as np
import pytest
from keras import ops

import kgen
from kgen import backend, data, fit
from kgen.bounds import Count, ImageShape, Levels
from kgen.data import Dataset, Split
from kgen.inference import in_chunks, inference
from kgen.layers import ConditionEmbedding, TimeEmbedding, UNet
from kgen.models import REGISTRY
from kgen.models.creation import arguments_of
from kgen.spaces import Attributes, Labels, Tokens
from kgen.testing.comparing import assert_same, state_of
from kgen.training import Given, ImageModel

WORDS = ("a", "one", "two")
LABELS, ATTRIBUTES, CAPTIONS = Labels(10), Attributes(("odd",)), Tokens(3, WORDS)
GIVEN = {  # {name: (arguments, the condition space)}
    "nothing": ({}, None),
    "labels": ({"classes": 10}, LABELS),
    "attributes": ({"attributes": ("odd",)}, ATTRIBUTES),
    "captions": ({"words": WORDS, "length": 3}, CAPTIONS),
    "all": (
        {"classes": 10, "attributes": ("odd",), "words": WORDS, "length": 3},
        {"labels": LABELS, "attributes": ATTRIBUTES, "captions": CAPTIONS},
    ),
}
every_kind = pytest.mark.parametrize("kind", GIVEN)
DIGITS = data.load("digits").limit(64)
HOW = {"batch_size": 32, "epochs": 3, "verbose": 0}


class Denoiser(Given, ImageModel):
    """One step of a diffusion model: the noise in an image, given anything or nothing."""

    def __init__(
        self,
        image_shape: ImageShape = (8, 8, 1),
        levels: Levels = 17,
        *,
        base_channels: Count = 4,
        **kwargs,
    ):
        super().__init__(image_shape, levels, **kwargs)
        self.base_channels = base_channels
        self.unet = UNet(image_shape, base_channels, (1, 2), 1, 1, 8, image_shape[-1], dropout=0.1)
        self.times = TimeEmbedding(8)
        self.given = self.condition_space and ConditionEmbedding(self.condition_space, 8)

    def recommended_optimizer(self):
        return keras.optimizers.Adam(0.01)

    def noise_in(self, noisy, level, condition, dropped=None, training=False):
        embedding = self.times(level)
        if condition is not None:
            embedding = embedding + self.given(condition, dropped)
        return self.unet(noisy, embedding, training=training)

    def objective(self, images, condition, training):
        count = ops.shape(images)[0]
        level, dropped = self.uniform((count,)), self.uniform((count,)) < 0.2
        noise = self.normal((count, *self.image_shape))
        noisy = self.scale(images) + level[:, None, None, None] * noise
        found = self.noise_in(noisy, level, condition, dropped, training)
        return ops.mean((found - noise) ** 2), {}

    def sample(self, count=None, condition=None, seed=None):
        count, condition = self.to_sample(count, condition, noise=64)
        noise = np.random.default_rng(seed).standard_normal((count, *self.image_shape), "float32")
        return in_chunks(self._sample, noise, condition)

    @inference
    def _sample(self, noise, condition):
        return self.to_levels(
            noise - self.noise_in(noise, 1.0 + 0.0 * noise[:, 0, 0, 0], condition)
        )


def condition_of(labels):
    """What `GIVEN` has, of some labels."""
    parts = {
        "labels": labels,
        "attributes": np.float32(labels % 2)[:, None],
        "captions": CAPTIONS.encode([("a two", "a one")[label % 2] for label in labels]),
    }
    return {"nothing": None, "all": parts, **parts}


def data_given(kind):
    splits = [Split(s.x, condition_of(s.labels)[kind]) for s in (DIGITS.train, DIGITS.test)]
    return Dataset("toy", *splits, DIGITS.space, "", "", condition_space=GIVEN[kind][1])


def model_of(kind):
    kgen.set_seed(0)
    return Denoiser(**GIVEN[kind][0])


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr("kgen.models.REGISTRY", dict(REGISTRY))
    kgen.models.register("denoiser", Denoiser)


@every_kind
def test_the_condition_space_follows_from_the_arguments(kind):
    assert model_of(kind).condition_space == GIVEN[kind][1]


@every_kind
def test_the_configuration_survives_json(kind):
    config = model_of(kind).get_config()
    assert {"image_shape", "levels", "base_channels", "classes", "words"} <= set(config)
    again = Denoiser.from_config(json.loads(json.dumps(config)))
    assert again.get_config() == config
    assert again.condition_space == GIVEN[kind][1]


@every_kind
def test_the_arguments_follow_from_the_data(kind):
    found = arguments_of(Denoiser, data_given(kind))
    assert Denoiser(**found).condition_space == GIVEN[kind][1]


def test_the_captions_of_placed_digits_are_taken(registered):
    words = Tokens(2, ("zero", "on"))
    images = np.zeros((4, 32, 32, 3), "uint8")
    splits = [Split(images, words.encode(["zero on"] * 4))] * 2
    found = Dataset("toy", *splits, kgen.spaces.Pixels((32, 32, 3)), "", "", condition_space=words)
    model = kgen.models.create("denoiser", found)
    assert (model.words, model.length, model.classes) == (("zero", "on"), 2, 0)


def test_words_without_a_length_are_refused():
    with pytest.raises(kgen.KgenError, match="3 words and length 0"):
        Denoiser(words=WORDS)
    with pytest.raises(kgen.KgenError, match="0 words and length 3"):
        Denoiser(length=3)


@every_kind
def test_it_trains_and_samples(kind):
    model, split = model_of(kind), data_given(kind).train
    model.compile()
    losses = model.fit(split, **HOW).history["loss"]
    assert losses[-1] < losses[0]
    condition = kgen.spaces.rows_of(split.condition, slice(5))
    images = model.sample(5, condition, seed=0)
    assert images.shape == (5, 8, 8, 1)
    np.testing.assert_array_equal(model.sample(5, condition, seed=0), images)


def test_a_step_is_compiled_as_a_whole():
    """By XLA on TensorFlow and JAX, which refuses what it cannot compile."""
    model = model_of("all")
    model.compile(jit_compile=True)
    losses = model.fit(data_given("all").train, **HOW).history["loss"]
    assert losses[-1] < losses[0]


@pytest.mark.skipif(backend.name() != "torch", reason="steps are compiled, not recorded")
def test_steps_are_recorded_and_equal_those_that_are_not(recwarn):
    models = []
    for recorded in (True, False):
        model = model_of("all")
        model.compile(jit_compile=recorded)
        model.fit(data_given("all").train, **HOW)
        models.append(model)
    assert_same(*map(state_of, models))
    recordings = models[0].train_function.__closure__[0].cell_contents.recordings
    assert all(recordings.values())
    assert not any("operation by operation" in str(warning.message) for warning in recwarn)


@pytest.mark.parametrize("left_out", ["classes=0", None])
def test_labelled_data_train_with_or_without_labels(registered, tmp_path, monkeypatch, left_out):
    monkeypatch.chdir(tmp_path)
    asked = ["--model", "denoiser", "--data", "digits", "--limit", "64", "--epochs", "1"]
    fit.main([*asked, "--out", "run", *(["--set", left_out] if left_out else [])])
    model = kgen.load("run/model")
    assert model.classes == (0 if left_out else 10)
    assert model.condition_space == (None if left_out else LABELS)


def test_a_condition_without_rows_is_refused():
    with pytest.raises(
        kgen.KgenError, match=r"a row for each item, received 7: pass a list, \[7\]"
    ):
        kgen.CVAE((8, 8, 1), 17, classes=10).sample(condition=7)


def test_data_without_the_condition_that_a_model_needs():
    digits = data.load("digits")
    parts = {"train": Split(digits.train.x), "test": Split(digits.test.x)}
    without = digits.changed("without labels", **parts, condition_space=None, label_names=None)
    with pytest.raises(kgen.KgenError, match="Expected data that give length and words of TextTo"):
        kgen.models.create("text_to_image_gan", without)


@pytest.mark.parametrize(
    ("name", "data_name", "words"),
    [
        ("projection_gan", "moons", "Expected images for ProjectionGAN, received vectors in moons"),
        ("language_model", "digits", "Expected texts for LanguageModel, received images in digits"),
        ("pix2pix", "digits", "Expected source images as what Pix2Pix is given, received labels"),
        ("text_to_image_gan", "digits", "Expected texts as what TextToImageGAN is given"),
        ("cgan", "digits:edges", "Expected labels as what CGAN is given, received images"),
    ],
)
def test_data_that_a_model_cannot_take_are_named_in_words(name, data_name, words):
    with pytest.raises(kgen.KgenError, match=words):
        kgen.models.create(name, data.load(data_name))
