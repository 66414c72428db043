"""The sentence VAE: sentences given a latent, its bound, its objective, and latents of strings."""

import keras
import numpy as np
import pytest
from keras import ops
from test_language import LENGTH, TEXTS, WORDS, copied, every_network, language_model, scattered

import kgen
from kgen import backend
from kgen.spaces import Tokens
from kgen.spaces.tokens import UNKNOWN
from kgen.testing.comparing import array


def sentence_vae(length=LENGTH, **settings):
    settings = {"features": 8, "latent_size": 3, "dropout": 0.0} | settings
    return scattered(kgen.SentenceVAE(WORDS, length, **settings))


def probabilities_of_all(model, latent):
    """The probabilities of all texts given one latent (1, size), by the whole pass, (40,)."""
    given = backend.compiled(model, lambda x, z: model.log_probs(x, model.context_of(z)))
    return np.exp(array(given(TEXTS, latent.repeat(len(TEXTS), axis=0))).astype("float64"))


def probabilities_of_words(probabilities):
    """p(word | words before), of all words at each place of all texts: (40, length, words)."""
    is_equal = TEXTS[:, None, :-1] == TEXTS[:, :-1]
    begins_so = np.cumprod(np.pad(is_equal, [(0, 0), (0, 0), (1, 0)], constant_values=1), axis=2)
    joint = np.einsum("tup,u,upw->tpw", begins_so, probabilities, np.eye(len(WORDS) + 2)[TEXTS])
    return joint / joint.sum(axis=2, keepdims=True)


def latents_of(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 3)).astype("float32")


# === Sentences given a latent ===


def test_probabilities_of_all_sentences_given_a_latent_sum_to_one():
    probabilities = probabilities_of_all(sentence_vae(), latents_of(1))
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-5)


@every_network
def test_words_are_drawn_one_by_one_with_the_probabilities_of_the_whole_pass(network):
    """Noise just within the bounds of each word's probability draws this word."""
    model, bounds = sentence_vae(network=network), []
    for latent in 3.0 * latents_of(3)[:, None]:
        of_words = probabilities_of_words(probabilities_of_all(model, latent))
        of_own = np.take_along_axis(of_words, TEXTS[..., None], axis=2)[..., 0]
        above = np.take_along_axis(of_words.cumsum(axis=2), TEXTS[..., None], axis=2)[..., 0]
        assert of_own.min() > 1e-4
        for noise in (above - of_own + 1e-5, above - 1e-5):
            latents = latent.repeat(len(TEXTS), axis=0)
            drawn = model._sentences(latents, noise.astype("float32"), 1.0)
            np.testing.assert_array_equal(drawn, TEXTS)
        bounds.append(above)
    assert np.std(bounds, axis=0).max() > 0.1  # they depend on the latent


@every_network
def test_a_decoded_sentence_is_the_most_probable_known_word_after_word(network):
    model, latents = sentence_vae(network=network), 3.0 * latents_of(8)
    decoded = model.decode(latents)
    for text, latent in zip(decoded, latents[:, None], strict=True):
        (row,) = np.flatnonzero((text == TEXTS).all(axis=1))
        of_words = probabilities_of_words(probabilities_of_all(model, latent))[row]
        of_words[:, UNKNOWN] = -1.0
        np.testing.assert_array_equal(of_words.argmax(axis=1), text)
    assert len(np.unique(decoded, axis=0)) > 2


def test_padding_changes_no_sentences_latent_or_bound():
    model, short = sentence_vae(), TEXTS[TEXTS[:, -1] == 0]
    longer = copied(model, sentence_vae(length=LENGTH + 2))
    padded = np.pad(short, ((0, 0), (0, 2)))
    np.testing.assert_allclose(longer.latents(padded), model.latents(short), atol=1e-5)
    bounds = (m.log_prob(x, samples=3, seed=0) for m, x in ((longer, padded), (model, short)))
    np.testing.assert_allclose(*bounds, atol=1e-4)


# === The bound and the objective ===


def test_without_information_in_z_it_is_the_language_model_for_any_number_of_samples():
    vae, plain = sentence_vae(), language_model(blocks=1)
    for part in ("kernel", "bias"):
        for layer in (vae.latent_layer, vae.posterior_layer):  # q(z|x) = p(z), and z unread
            variable = getattr(layer, part)
            variable.assign(np.zeros(variable.shape, "float32"))
    plain.word_vectors.assign(vae.word_vectors)
    for own, layer in ((plain.decoder, vae.decoder), (plain.output_layer, vae.output_layer)):
        own.set_weights(layer.get_weights())
    bound = vae.log_prob(TEXTS, samples=7, seed=0)
    np.testing.assert_allclose(bound, plain.log_prob(TEXTS), atol=1e-4)


def test_the_exponentials_of_the_bounds_are_the_probabilities():
    """In the mean over draws, so that they sum to 1."""
    model = sentence_vae()
    for variable in model.posterior_layer.trainable_variables:  # q(z|x) near p(z): little variance
        variable.assign(0.2 * array(variable))
    bounds = model.log_prob(TEXTS, samples=2000, seed=0)
    assert np.exp(bounds).sum() == pytest.approx(1.0, abs=0.03)


def test_with_all_words_dropped_the_decoder_knows_the_lengths_alone():
    model = sentence_vae()
    texts = np.int32([[1, 2, 0], [3, 1, 0], [1, 1, 0], [3, 2, 0]])
    for dropped, is_independent in ((1.0, True), (0.0, False)):
        log_probs = array(model.log_probs(texts, word_dropout=dropped))
        difference = abs(log_probs[0] + log_probs[1] - log_probs[2] - log_probs[3])
        assert (difference < 1e-4) == is_independent


@pytest.mark.parametrize(
    ("annealing", "expected"),
    [
        ("none", (1, 1, 1, 1, 1)),
        ("linear", (0, 0.25, 0.5, 1, 1)),
        ("cyclical", (0, 0.5, 1, 0, 0.5)),
    ],
)
def test_the_weight_of_the_kl_term_is_annealed(annealing, expected):
    model = sentence_vae(annealing=annealing, annealing_steps=8)
    model.compile()
    for step, weight in zip((0, 2, 4, 8, 10), expected, strict=True):
        model.optimizer.iterations.assign(step)
        assert float(array(model.kl_weight())) == pytest.approx(weight)


def test_free_bits_cost_nothing():
    free, plain = (
        sentence_vae(annealing="none", word_dropout=0.0, free_bits=bits) for bits in (50.0, 0.0)
    )
    losses = []
    for model in (free, plain):
        kgen.set_seed(0)
        model.normal = lambda shape: ops.zeros((len(TEXTS), 3))
        loss, terms = model.objective(TEXTS, None, True)
        losses.append(float(array(loss)))
        reconstruction, kl = (float(array(terms[name])) for name in ("reconstruction", "kl"))
    assert kl < 50.0
    assert losses[0] == pytest.approx(reconstruction + 3 * 50.0, rel=1e-5)
    assert losses[1] == pytest.approx(reconstruction + kl, rel=1e-5)


def test_a_transformer_learns_to_draw_and_to_reconstruct_sentences():
    space, verbs = Tokens(4, ("a", "red", "blue", "bird", "sang", "flew")), ("sang", "flew")
    texts = [f"a {colour} bird {verb}" for colour in ("red", "blue") for verb in verbs]
    kgen.set_seed(0)
    small = {"features": 16, "heads": 2, "latent_size": 2, "dropout": 0.0, "word_dropout": 0.6}
    # ln 2 nats for each latent: one tells the colour, the other the verb.
    how = {"network": "transformer", "annealing": "none", "free_bits": 0.7}
    model = kgen.SentenceVAE(space.words, space.length, **small, **how)
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(texts * 16, batch_size=64, epochs=200, verbose=0)
    drawn = space.decode(model.sample(200, seed=0))
    counts = [drawn.count(text) for text in texts]
    assert sum(counts) > 180
    assert min(counts) > 20
    assert space.decode(model.reconstruct(texts)) == texts


# === Latents of strings ===


def test_traversals_begin_at_strings():
    model = sentence_vae()
    row = model.space.encode(["a b"])[0]
    expected = kgen.latent.traverse(model, row, (0, 2), values=[-1, 1])
    for text in (
        "a b",
        ["a b"],
        ("a b",),
        np.array(["a b"]),
        row.tolist(),
        model.latents("a b")[0],
    ):
        rows = kgen.latent.traverse(model, text, (0, 2), values=[-1, 1])
        np.testing.assert_array_equal(rows, expected)
    assert kgen.latent.traverse(model, "a b").shape == (9, 9, LENGTH)
    with pytest.raises(kgen.KgenError, match="Expected one text to traverse from, received 2"):
        kgen.latent.traverse(model, ["a", "b"])


def test_one_string_is_one_end_of_an_interpolation():
    model = sentence_vae()
    expected = kgen.latent.interpolate(model, ["a b"], ["b"], steps=3)
    rows = kgen.latent.interpolate(model, "a b", np.array(["b"]), steps=3)
    np.testing.assert_array_equal(rows, expected)
