"""Models of texts: probabilities, sampling, evaluation, and the verbs."""

import itertools

import keras
import numpy as np
import pytest

import kgen
from kgen import evaluate, fit, sample
from kgen.metrics import posterior_figures
from kgen.models.language.decoders import DECODERS
from kgen.spaces.tokens import UNKNOWN
from kgen.testing.comparing import array

WORDS, LENGTH = ("a", "b"), 3  # with the unknown one, three words
TEXTS = np.int32(
    [
        (*words, *[0] * (LENGTH - size))
        for size in range(LENGTH + 1)
        for words in itertools.product((1, 2, 3), repeat=size)
    ]
)
every_network = pytest.mark.parametrize("network", DECODERS)


def scattered(model, seed=0):
    """Every weight drawn anew: also those that start at zero."""
    random = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(random.normal(0, 0.5, variable.shape).astype("float32"))
    return model


def language_model(network="recurrent", length=LENGTH, **settings):
    settings = {"features": 8, "blocks": 2, "heads": 2} | settings
    return scattered(kgen.LanguageModel(WORDS, length, network=network, **settings))


def copied(model, other):
    """`other`, of more places, with the weights of `model`; further places are zero."""
    for own, weight in zip(other.weights, model.weights, strict=True):
        missing = [(0, a - b) for a, b in zip(own.shape, weight.shape, strict=True)]
        own.assign(np.pad(array(weight), missing))
    return other


# === Probabilities ===


@every_network
def test_probabilities_of_all_texts_sum_to_one(network):
    probabilities = np.exp(language_model(network).log_prob(TEXTS))
    assert len(TEXTS) == 1 + 3 + 9 + 27
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-5)
    assert probabilities.std() > 1e-3


@every_network
def test_samples_have_these_probabilities(network):
    model = language_model(network)
    count = 20_000
    drawn = model.sample(count, seed=0)
    codes, (expected, received) = 4 ** np.arange(LENGTH), (TEXTS, drawn)
    frequencies = np.bincount(received @ codes, minlength=64)[expected @ codes]
    assert frequencies.sum() == count, "a sample is no text"
    probabilities = np.exp(model.log_prob(TEXTS))
    errors = (frequencies - count * probabilities) / np.sqrt(count * probabilities)
    assert (errors**2).sum() < 40 + 4 * np.sqrt(2 * 40)  # chi-squared


def test_a_text_without_temperature_is_the_most_probable_known_word_after_word():
    model = language_model()
    bias = array(model.output_layer.bias)
    model.output_layer.bias.assign(bias + 9 * (np.arange(len(bias)) == UNKNOWN))
    texts = model.sample(3, seed=1, temperature=0.0)
    assert (texts == texts[0]).all()
    for place in range(LENGTH):  # the first `place` words, and any word behind
        prefix = texts[0, :place]
        if place and not prefix[-1]:
            break
        of_next = {}
        for text, log_prob in zip(TEXTS, model.log_prob(TEXTS), strict=True):
            if (text[:place] == prefix).all():
                of_next[text[place]] = of_next.get(text[place], 0.0) + np.exp(log_prob)
        assert max(of_next, key=of_next.get) == UNKNOWN
        del of_next[UNKNOWN]
        assert max(of_next, key=of_next.get) == texts[0, place]


@every_network
def test_padding_changes_no_probability(network):
    model, short = language_model(network), TEXTS[TEXTS[:, -1] == 0]
    longer = copied(model, language_model(network, length=LENGTH + 2))
    padded = np.pad(short, ((0, 0), (0, 2)))
    np.testing.assert_allclose(longer.log_prob(padded), model.log_prob(short), atol=1e-5)


def test_the_dropout_of_training_is_of_the_models_noise():
    model = language_model(dropout=0.5)
    model.compile(keras.optimizers.SGD(0.0))
    texts = TEXTS[1:]
    losses = model.fit(texts, batch_size=len(texts), epochs=2, verbose=0).history["loss"]
    assert abs(losses[0] - losses[1]) > 1e-3
    first, second = (model.evaluate(texts, batch_size=len(texts), verbose=0) for _ in range(2))
    assert first == second


# === Evaluation ===


def test_the_perplexity_of_equal_probabilities_is_the_vocabularys_size():
    model = language_model()
    for variable in model.output_layer.trainable_variables:
        variable.assign(np.zeros(variable.shape, "float32"))
    figures = kgen.evaluation.likelihood(model, kgen.data.Split(TEXTS), samples=1)
    assert figures["perplexity"] == pytest.approx(4.0, rel=1e-5)
    assert model.space.symbols(TEXTS[[0, 1, -1]]).tolist() == [1, 2, 3]


def test_mutual_information_is_that_of_known_posteriors():
    random = np.random.default_rng(0)
    nothing = posterior_figures(np.zeros((400, 3)), np.zeros((400, 3)))
    assert nothing == {"kl": 0.0, "mutual_information": nothing["mutual_information"]} | {
        "active_units": 0,
        "units": 3,
    }
    assert abs(nothing["mutual_information"]) < 0.15
    apart = posterior_figures(100 * random.normal(size=(50, 2)), np.full((50, 2), -6.0))
    assert apart["mutual_information"] == pytest.approx(np.log(50), abs=0.2)
    variance = 0.2  # x ~ N(0, 1 - variance) is the mean, so that q(z) = N(0, 1)
    mean = np.sqrt(1 - variance) * random.normal(size=(4000, 1))
    linear = posterior_figures(mean, np.full((4000, 1), np.log(variance)))
    assert linear["mutual_information"] == pytest.approx(-0.5 * np.log(variance), abs=0.06)
    assert linear["kl"] == pytest.approx(-0.5 * np.log(variance), abs=0.06)
    assert linear["active_units"] == 1


# === Verbs ===


def test_sentences_from_a_file_to_an_evaluation(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines = [f"a {word} bird {verb}" for word in ("red", "blue") for verb in ("sang", "flew")] * 10
    (tmp_path / "own.txt").write_text("\n".join(lines))
    small = ["--batch-size", "12", "--out", "run", "--set", "features=16", "latent_size=2"]
    fit.main(["--model", "sentence_vae", "--data", "own.txt", "--epochs", "10", *small])
    assert len((tmp_path / "run/samples/epoch-010.txt").read_text().splitlines()) == 64
    assert "\ntexts: run/samples/epoch-010.txt\n" in capsys.readouterr().out
    with pytest.raises(kgen.KgenError, match="one batch of 64 training texts, received 33: pass"):
        fit.main(["--model", "sentence_vae", "--data", "own.txt", "--out", "other"])
    sample.main(["run", "-n", "3", "--seed", "0"])
    printed = capsys.readouterr().out.splitlines()
    lines = (tmp_path / "run/samples.txt").read_text().splitlines()
    assert printed[-4:-1] == lines
    model = kgen.load("run/model")
    rows = kgen.latent.interpolate(model, ["a red bird sang"], ["a blue bird flew"], steps=5)
    ends = model.reconstruct(["a red bird sang", "a blue bird flew"])
    np.testing.assert_array_equal(rows[0, [0, -1]], ends)
    evaluate.main(["run", "--data", "own.txt", "--bound-samples", "5"])
    printed, progress = capsys.readouterr()
    assert "100%" in progress
    assert "text/s" in progress
    assert "received the texts of own: compare likelihoods" in printed
    assert "perplexity" in printed
    assert "bits per dimension" not in printed
    assert "of 2 units active" in printed
