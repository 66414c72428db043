"""The VQ-VAE against k-means, enumeration, and what its parts must be."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

import kgen
from kgen import backend
from kgen.evaluation import tables
from kgen.layers import Codebook
from kgen.testing.comparing import array

VECTORS = np.random.default_rng(0).normal(size=(60, 3)).astype("float32")
TINY = {"codes": 4, "code_size": 2, "halvings": 1, "base_channels": 4, "residual_blocks": 1}
PRIOR = {"prior_features": 4, "prior_blocks": 1}


def book(codes=5, decay=0.0, **settings):
    """A codebook of the first vectors."""
    made = Codebook(codes, 3, decay, **settings)
    made.vectors.assign(VECTORS[:codes])
    made.sums.assign(VECTORS[:codes])
    made.unused_for.assign(np.zeros(codes))
    return made


def nearest(codes, vectors):
    return ((vectors[:, None] - codes) ** 2).sum(-1).argmin(1)


def test_the_nearest_code_is_that_of_all_distances():
    chosen = array(book().nearest(VECTORS))
    np.testing.assert_array_equal(chosen, nearest(VECTORS[:5], VECTORS))


def test_without_memory_an_update_is_a_step_of_k_means():
    codebook = book()
    chosen = array(codebook.nearest(VECTORS))
    codebook.update(VECTORS, chosen)
    means = [VECTORS[chosen == code].mean(axis=0) for code in range(5)]
    np.testing.assert_allclose(array(codebook.vectors), means, rtol=1e-4)


def test_codes_are_moving_averages_of_what_chose_them():
    codebook, decay = book(decay=0.9), 0.9
    chosen = array(codebook.nearest(VECTORS))
    codebook.update(VECTORS, chosen)
    codebook.update(VECTORS, chosen)
    numbers = np.bincount(chosen, minlength=5)
    sums = np.stack([VECTORS[chosen == code].sum(axis=0) for code in range(5)])
    kept = decay**2
    expected = (kept * VECTORS[:5] + (1 - kept) * sums) / (kept + (1 - kept) * numbers)[:, None]
    np.testing.assert_allclose(array(codebook.vectors), expected, rtol=1e-3)


def test_as_many_codes_as_vectors_leave_no_error():
    codebook = Codebook(len(VECTORS), 3)
    codebook.vectors.assign(VECTORS)
    quantised = array(codebook.vectors_of(codebook.nearest(VECTORS)))
    np.testing.assert_array_equal(quantised, VECTORS)


def test_only_codes_unused_for_long_are_placed_anew_and_on_vectors():
    codebook = book(restart_after=3)
    codebook.unused_for.assign([0, 3, 2, 9, 0])
    codebook.restart_unused(VECTORS, ops.full((5,), 0.5))
    expected = VECTORS[:5].copy()
    expected[[1, 3]] = VECTORS[30]
    np.testing.assert_array_equal(array(codebook.vectors), expected)
    np.testing.assert_array_equal(array(codebook.unused_for), [0, 0, 2, 0, 0])


def test_a_new_codebook_starts_on_the_data():
    codebook = Codebook(8, 3)
    codebook.restart_unused(VECTORS, ops.linspace(0.0, 0.99, 8))
    placed = array(codebook.vectors)
    assert all((code == VECTORS).all(axis=1).any() for code in placed)
    assert len(np.unique(placed, axis=0)) == 8


def test_perplexity_counts_the_codes_that_are_used():
    codebook = book()
    codebook.counts.assign([10, 10, 0, 10, 0])
    assert float(codebook.perplexity()) == pytest.approx(3.0, rel=1e-5)


def test_the_gradient_of_what_is_decoded_passes_straight_through():
    """d reconstruction / d encoder's outputs is d reconstruction / d decoder's inputs."""
    model = kgen.VQVAE((4, 4, 1), 2, commitment=0.0, **TINY, **PRIOR)
    images = np.random.default_rng(1).integers(0, 2, (3, 4, 4, 1)).astype("uint8")
    model.codebook.vectors.assign(np.random.default_rng(2).normal(size=(4, 2)))
    model.encoder = keras.layers.Identity()  # the objective's encoded vectors are then its inputs
    encoded = np.random.default_rng(3).normal(size=(3, 2, 2, 2)).astype("float32")
    model.scale = lambda x: x

    def of_vectors(x):
        with_images = model.likelihood_distribution.log_prob
        model.likelihood_distribution.log_prob = lambda _, parameters: with_images(
            images, parameters
        )
        try:
            return model.objective(x, None, False)[0]
        finally:
            model.likelihood_distribution.log_prob = with_images

    quantised = model.codebook.vectors_of(model.codebook.nearest(encoded.reshape(-1, 2)))

    def of_quantised(x):
        return -ops.mean(model.likelihood_distribution.log_prob(images, model.decoder(x)))

    straight = array(backend.input_gradient(model, of_vectors, ops.convert_to_tensor(encoded)))
    expected = backend.input_gradient(model, of_quantised, ops.reshape(quantised, encoded.shape))
    assert straight.any()
    np.testing.assert_allclose(straight, array(expected), rtol=1e-4, atol=1e-6)


def test_the_bound_is_below_the_exact_mass_of_every_image():
    """Of 2x2 binary images and one code of 4: log p(x) is a sum over the codes."""
    kgen.set_seed(0)
    model = kgen.VQVAE((2, 2, 1), 2, **TINY, **PRIOR)
    images = np.array(list(itertools.product([0, 1], repeat=4)), "uint8").reshape(-1, 2, 2, 1)
    for _, stage, _ in model.stages():
        stage.compile()
    model.fit(images, epochs=30, batch_size=16, verbose=0)
    split = model.stages()[1][2](kgen.data.Split(images))
    model.prior.fit(split, epochs=30, batch_size=16, verbose=0)
    codes = np.arange(4, dtype="uint8").reshape(4, 1, 1, 1)
    log_prior = model.prior.log_prob(codes)  # (4,)
    assert np.logaddexp.reduce(log_prior) == pytest.approx(0.0, abs=1e-4)
    given = [model._log_prob(images, np.repeat(code[None], 16, axis=0)) for code in codes]
    exact = np.logaddexp.reduce(np.asarray(given, "float64") + log_prior[:, None], axis=0)  # (16,)
    assert np.logaddexp.reduce(exact) == pytest.approx(0.0, abs=1e-4)
    bound = model.log_prob(images)
    assert (bound <= exact + 1e-4).all()
    assert (bound < exact - 1e-3).any()


def test_the_prior_learns_in_its_own_stage_alone():
    model = kgen.VQVAE((8, 8, 1), 17, **TINY, **PRIOR)
    first = {id(v) for v in model.variables_of(None)}
    second = {id(v) for v in model.prior.variables_of(None)}
    assert first
    assert second
    assert not first & second
    assert first | second == {id(v) for v in model.trainable_variables}


def test_it_is_evaluated_and_its_bound_draws_nothing():
    data = kgen.data.load("digits").limit(40)
    model = kgen.models.create("vq_vae", data, **TINY, **PRIOR)

    def pixels(images):
        return images.reshape(len(images), -1) / 16

    found = kgen.evaluation.evaluate(model, data, encoder=pixels)
    assert "samples" not in found.likelihood
    assert found.used["sampling"] == {"mode": "draw"}
    text = tables.as_text({"a": found})
    assert "(bound; 40 images)" in text
    assert "with mode=draw" in text
