"""Texts as vectors, the recurrent network and the attention that read them, and captions."""

import logging

import keras
import numpy as np
import pytest
from keras import ops
from test_unet import gradients, scatter

import kgen
from kgen.layers import GRU, attention
from kgen.layers.attention import Block
from kgen.layers.text import TEXT_ENCODERS, text_encoder_of
from kgen.runs.asked import asked_condition
from kgen.spaces import Tokens
from kgen.testing.comparing import array

SPACE = Tokens(length=5, words=("a", "red", "seven", "blue"))
TEXTS = np.int32([[2, 3, 4, 0, 0], [2, 3, 4, 5, 1], [0, 0, 0, 0, 0]])
every_encoder = pytest.mark.parametrize("kind", TEXT_ENCODERS)


def encoder(kind):
    return scatter(text_encoder_of(kind, SPACE, 8))


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


# === Encoders ===


@every_encoder
def test_padding_has_no_effect(kind):
    layer = encoder(kind)
    before = array(layer(TEXTS))
    embeddings = array(layer.words.embeddings)
    embeddings[0] += 7.0
    layer.words.embeddings.assign(embeddings)
    np.testing.assert_array_equal(array(layer(TEXTS)), before)
    longer = scatter(text_encoder_of(kind, Tokens(9, SPACE.words), 8))
    for own, other in zip(longer.variables, layer.variables, strict=True):
        more = len(own.shape) and own.shape[0] - other.shape[0]
        own.assign(np.pad(array(other), [(0, more)] + [(0, 0)] * (len(own.shape) - 1)))
    padded = np.pad(TEXTS, ((0, 0), (0, 4)))
    np.testing.assert_allclose(array(longer(padded)), before, atol=1e-6)


@every_encoder
def test_words_and_their_order_are_seen_and_no_words_are_finite(kind):
    layer = encoder(kind)
    texts = np.int32([[2, 3, 4, 0, 0], [4, 3, 2, 0, 0], [2, 3, 4, 1, 0], [0, 0, 0, 0, 0]])
    vectors = array(layer(texts))
    assert vectors.shape == (4, 8)
    assert np.isfinite(vectors).all()
    differences = np.abs(vectors[:, None] - vectors).max(axis=-1)
    assert differences[~np.eye(4, dtype=bool)].min() > 1e-3


@every_encoder
def test_a_new_encoder_hears_the_first_word_as_well_as_the_last(kind):
    """The last state of a new GRU has forgotten it: a model would learn the last words alone."""
    kgen.set_seed(0)
    layer = text_encoder_of(kind, Tokens(12, tuple("abcdefgh")), 32)
    texts = np.random.default_rng(0).integers(2, 10, (20, 12)).astype("int32")
    before, effects = array(layer(texts)), []
    for place in (0, -1):
        others = texts.copy()
        others[:, place] = 2 + (others[:, place] - 1) % 8  # the next word
        effects.append(np.abs(array(layer(others)) - before).mean())
    assert 0.5 < effects[0] / effects[1] < 4.0
    np.testing.assert_allclose(before.var(axis=-1), 1.0, atol=0.1)  # the epsilon lowers it


@every_encoder
def test_gradients_reach_every_weight(kind):
    layer = encoder(kind)
    found = gradients(layer, lambda: ops.mean(layer(TEXTS) ** 2))
    assert [path for path, value in found.items() if np.abs(value).max() < 1e-8] == []


@every_encoder
def test_it_is_saved_within_a_keras_model(kind, tmp_path):
    inputs = keras.Input((5,), dtype="int32")
    model = keras.Model(inputs, encoder(kind)(inputs))
    model.save(tmp_path / "text.keras")
    loaded = keras.saving.load_model(tmp_path / "text.keras")
    np.testing.assert_allclose(array(loaded(TEXTS)), array(model(TEXTS)), atol=1e-6)


# === The recurrent network and the attention ===


def test_the_gru_computes_what_that_of_keras_does():
    own, keras_gru = scatter(GRU(3, 4)), keras.layers.GRU(4, return_sequences=True)
    keras_gru.build((None, 6, 3))
    for weight, value in zip(keras_gru.trainable_variables, own.trainable_variables, strict=True):
        weight.assign(value)
    x = normal(2, 6, 3)
    np.testing.assert_allclose(array(own(x)), array(keras_gru(x)), atol=1e-5)


def test_the_gru_step_by_step_equals_the_whole_pass_and_keeps_its_state_where_told():
    layer, x = scatter(GRU(3, 4)), normal(2, 6, 3)
    is_read = np.array([[1, 1, 0, 1, 0, 0], [1, 1, 1, 1, 1, 1]], bool)
    state, states = np.zeros((2, 4), "float32"), []
    for number in range(6):
        before = ops.convert_to_tensor(state)
        new = array(layer.step(before, layer.projected(x[:, number])))
        state = np.where(is_read[:, number, None], new, state)
        states.append(state)
    np.testing.assert_allclose(array(layer(x, is_read)), np.stack(states, 1), atol=1e-6)


@pytest.mark.parametrize("longest", [2, 3, 128])
def test_attention_step_by_step_equals_the_whole_pass(longest, monkeypatch):
    monkeypatch.setattr(attention, "LONGEST_PART", longest)
    layer, x = scatter(Block(8, 2)), normal(2, 5, 8)
    cache, outputs = layer.empty_cache(2, 5), []
    for number in range(5):
        output, cache = layer.step(ops.convert_to_tensor(x[:, number]), cache, number)
        outputs.append(array(output))
    np.testing.assert_allclose(array(layer(x)), np.stack(outputs, 1), atol=1e-5)


def test_attention_does_not_look_at_what_is_not_visible():
    layer, x = scatter(Block(8, 2)), normal(2, 5, 8)
    visible = np.array([[1, 1, 1, 0, 0]] * 2, bool)
    before = array(layer(x, visible))
    x[:, 3:, 0] += 1.0
    np.testing.assert_array_equal(array(layer(x, visible))[:, :3], before[:, :3])
    x[:, 2, 0] += 1.0
    assert np.abs(array(layer(x, visible))[:, 0] - before[:, 0]).max() > 1e-3


# === Captions ===


def test_unknown_words_get_one_warning_that_names_them(caplog):
    with caplog.at_level(logging.WARNING, "kgen"):
        tokens = SPACE.check(["a crimson seven", "a mauve, crimson seven"])
    (record,) = caplog.records
    assert "3 unknown word(s), read as <unknown>: crimson, mauve, ,. " in record.getMessage()
    assert tokens[0].tolist() == [2, 1, 4, 0, 0]
    with caplog.at_level(logging.WARNING, "kgen"):
        asked_condition(SPACE, ["a red one"])
    assert "1 unknown word(s), read as <unknown>: one." in caplog.records[-1].getMessage()
    SPACE.check(["a red seven"])
    assert len(caplog.records) == 2


def captioned(count=64):
    """Bright images are "a red seven", dark ones "blue"."""
    random = np.random.default_rng(0)
    bright = np.arange(count) % 2
    images = random.integers(0, 5, (count, 8, 8, 1)) + 12 * bright[:, None, None, None]
    captions = SPACE.encode([("blue", "a red seven")[row] for row in bright])
    split = kgen.data.Split(images.astype("uint8"), captions)
    space = kgen.spaces.Pixels((8, 8, 1), 17)
    return kgen.data.Dataset("toy", split, split, space, "", "", condition_space=SPACE)


SMALL = {
    "cvae": {"hidden": (16,), "latent_size": 2},
    "edm": {"base_channels": 8, "multipliers": (1, 2), "attention": 0},
    "gated_pixelcnn": {"features": 8, "blocks": 1},
    "image_transformer": {"features": 8, "blocks": 1},
    "projection_gan": {"base_channels": 8, "latent_size": 4},
}
LONGER = ("edm", "projection_gan")  # learn for more than thirty epochs


# Every model once, and both encoders with the quickest: nothing of a model depends on the encoder.
@pytest.mark.parametrize(
    ("name", "kind"), [*((name, "recurrent") for name in SMALL), ("cvae", "transformer")]
)
def test_conditional_models_take_captions(name, kind):
    data = captioned()
    kgen.set_seed(0)
    model = kgen.models.create(name, data, text_encoder=kind, **SMALL[name])
    assert model.condition_space == SPACE
    model.compile(None if model.players else keras.optimizers.Adam(0.01))
    history = model.fit(data.train, batch_size=32, epochs=30, verbose=0).history
    few = {"steps": 3} if name == "edm" else {}
    bright, dark = (model.sample(9, [text] * 9, 0, **few) for text in ("a red seven", "blue"))
    if not model.players:
        assert history["loss"][-1] < history["loss"][0]
    if name not in LONGER:
        assert bright.mean() > dark.mean()
    assert (bright != dark).any()


def test_a_sampler_that_is_given_captions_is_saved(tmp_path):
    data = captioned()
    model = kgen.models.create("cvae", data, ema=0.9, **SMALL["cvae"])
    texts = data.train.condition[:3]
    latents = np.random.default_rng(0).standard_normal((3, 2), "float32")
    model.sampler().save(tmp_path / "sampler.keras")
    images = array(keras.saving.load_model(tmp_path / "sampler.keras")([latents, texts]))
    np.testing.assert_array_equal(images, model.sample(3, texts, 0, mode="median"))


# === Strings in place of tokens ===


class Series:
    """Has what of a Series of pandas is used: it is no NumPy array."""

    def __init__(self, texts):
        self.array = np.array(texts, object)
        self.dtype, self.shape = self.array.dtype, self.array.shape

    def __len__(self):
        return len(self.array)

    def __array__(self, dtype=None, copy=None):
        return self.array


STRINGS = {
    "list": list,
    "tuple": tuple,
    "array": np.array,
    "array of objects": lambda texts: np.array(texts, object),
    "array of NumPy's strings": lambda texts: np.array(texts, np.dtypes.StringDType()),
    "list of NumPy's strings": lambda texts: list(np.array(texts)),
    "series": Series,
}
every_kind_of_strings = pytest.mark.parametrize("kind", STRINGS.values(), ids=STRINGS)


def batches(*parts):
    """A generator of two batches."""
    return (tuple(part[32 * index :][:32] for part in parts) for index in range(2))


@every_kind_of_strings
def test_strings_of_every_kind_are_tokens(kind):
    tokens = SPACE.check(kind(["a red", "seven", ""]))
    assert tokens.tolist() == [[2, 3, 0, 0, 0], [4, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert tokens.dtype == "int32"


@pytest.mark.parametrize(
    ("texts", "received"),
    [
        (np.array(["a", None], object), r"object of shape \(2,\): pass one string a text"),
        (np.array([["a"], ["red"]]), r"str\d+ of shape \(2, 1\): pass one string a text"),
        (np.array(["a", "red"]), r"shape \(3, 5\), received int32 of shape \(2, 5\)"),
        (np.array([b"a", b"red"]), r"bytes\d+ of shape \(2,\): pass one string a text"),
        ([], r"float64 of shape \(0,\)|int32 of shape \(0, 5\)"),
    ],
)
def test_what_are_no_strings_is_named(texts, received):
    with pytest.raises(kgen.KgenError, match=f"^Expected texts.*{received}"):
        SPACE.check(texts, 3)


@every_kind_of_strings
def test_models_take_strings_of_every_kind(kind):
    data = captioned()
    images, tokens = data.train.x, data.train.condition
    texts = kind(SPACE.decode(tokens))
    histories = []
    for captions in (tokens, texts):
        kgen.set_seed(0)
        model = kgen.models.create("cvae", data, **SMALL["cvae"])
        model.compile(keras.optimizers.Adam(0.01))
        how = {"batch_size": 32, "validation_data": (images, captions), "verbose": 0}
        histories.append(model.fit(images, captions, **how).history)
    assert histories[1] == pytest.approx(histories[0], rel=1e-6)
    np.testing.assert_array_equal(
        model.sample(condition=texts, seed=0), model.sample(condition=tokens, seed=0)
    )
    np.testing.assert_allclose(model.latents(images, texts), model.latents(images, tokens))


@every_kind_of_strings
def test_models_of_texts_take_strings_of_every_kind(kind):
    texts, histories = ["a red seven", "blue", "seven", "a"], []
    for x in (SPACE.encode(texts), kind(texts)):
        kgen.set_seed(0)
        model = kgen.LanguageModel(SPACE.words, SPACE.length, features=8)
        model.compile(keras.optimizers.Adam(0.01))
        histories.append(model.fit(x, batch_size=2, verbose=0).history)
        model.evaluate(x, verbose=0)
    assert histories[1] == pytest.approx(histories[0], rel=1e-6)
    np.testing.assert_allclose(model.log_prob(kind(texts)), model.log_prob(SPACE.encode(texts)))


class Captioned(keras.utils.PyDataset):
    """Two batches, of which it hears the epochs."""

    def __init__(self, *parts):
        super().__init__(workers=2)
        self.batches, self.heard = list(batches(*parts)), []

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]

    def on_epoch_end(self):
        self.heard.append("end")


def loader(images, texts):
    torch = pytest.importorskip("torch", reason="a DataLoader is PyTorch's")
    return torch.utils.data.DataLoader(list(zip(images[:64], texts[:64], strict=True)), 32)


BATCHES = {"generator": batches, "PyDataset": Captioned, "DataLoader": loader}


@pytest.mark.parametrize("kind", [list, np.array], ids=["list", "array"])
@pytest.mark.parametrize("made", BATCHES.values(), ids=BATCHES)
def test_batches_hold_strings(made, kind, caplog):
    data = captioned()
    images, tokens = data.train.x, data.train.condition
    texts, histories = SPACE.decode(tokens), []
    texts[0], tokens[0] = "crimson", SPACE.encode(["crimson"])[0]
    texts[-1], tokens[-1] = "mauve", SPACE.encode(["mauve"])[0]
    for captions in (tokens, kind(texts)):
        kgen.set_seed(0)
        model = kgen.models.create("cvae", data, **SMALL["cvae"])
        model.compile(keras.optimizers.Adam(0.01))
        with caplog.at_level(logging.WARNING, "kgen"):
            history = model.fit(made(images, captions), shuffle=False, verbose=0).history
        histories.append(history)
    assert histories[1] == pytest.approx(histories[0], rel=1e-6)
    warnings = [record.getMessage() for record in caplog.records if "unknown" in record.msg]
    assert len(warnings) == 1  # of the first batch, not of each
    assert "crimson" in warnings[0]


def test_a_pydataset_hears_of_every_epoch():
    data = captioned()
    batches_of_words = Captioned(data.train.x, SPACE.decode(data.train.condition))
    model = kgen.models.create("cvae", data, **SMALL["cvae"])
    model.compile()
    model.fit(batches_of_words, epochs=2, verbose=0)
    assert batches_of_words.heard.count("end") >= 2  # Keras calls it once more before the first


def test_strings_in_tf_data_are_told_to_be_tokens():
    tf = pytest.importorskip("tensorflow", reason="tf.data is TensorFlow's")
    data = captioned()
    texts = tf.constant(SPACE.decode(data.train.condition))
    model = kgen.models.create("cvae", data, **SMALL["cvae"])
    model.compile()
    with pytest.raises(kgen.KgenError, match="texts must be tokens"):
        model.fit(tf.data.Dataset.from_tensor_slices((data.train.x, texts)).batch(32))
