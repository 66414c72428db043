"""The projection discriminator against its formula, and its conditional generator."""

import numpy as np
import pytest
from keras import ops

import kgen
from kgen import backend
from kgen.testing.comparing import array

COUNT = 6
LABELS = np.array([0, 1, 2, 2, 1, 0], "int32")


def model_of(architecture="conv", **settings):
    kgen.set_seed(0)
    settings = {"latent_size": 4, "base_channels": 2, "classes": 5, **settings}
    sizes = {"generator_units": (8,), "discriminator_units": (8,)}
    shape = {"image_shape": (16, 16, 1), "levels": 17}
    return kgen.ProjectionGAN(**shape, architecture=architecture, **sizes, **settings)


def some_images(count=COUNT):
    images = np.random.default_rng(1).uniform(-1, 1, (count, 16, 16, 1))
    return images.astype("float32")


def embedding_of(model):
    """The variable of all e_y, (classes, features)."""
    (found,) = (v for v in model.discriminator.trainable_variables if v.shape[0] == 5)
    return found


@pytest.mark.parametrize("architecture", ["dense", "conv", "resnet"])
def test_the_projection_is_linear_in_the_embedding(architecture):
    """D(x, y) - w . phi(x) - b = e_y . phi(x): its parts add up, and rows go by their label."""
    model = model_of(architecture, spectral_normalization=False)
    vectors, images = embedding_of(model), ops.convert_to_tensor(some_images())
    first, second = np.random.default_rng(0).standard_normal((2, *vectors.shape))

    def logits(matrix):
        vectors.assign(matrix)
        return array(model.discriminate(images, LABELS))

    plain = logits(0.0 * first)
    one, two, both = (logits(m) - plain for m in (first, second, 2.0 * first - second))
    assert np.abs(one).min() > 0
    np.testing.assert_allclose(both, 2.0 * one - two, rtol=1e-3, atol=1e-4)
    only = first * (np.arange(5) == 1)[:, None]
    np.testing.assert_allclose(logits(only) - plain, one * (LABELS == 1)[:, None], atol=1e-5)


def test_the_projection_is_the_embeddings_product_with_the_features():
    """The gradient by e_y is the sum of phi(x) over the images of label y; that by w, over all."""
    model = model_of(spectral_normalization=False)
    variables = [embedding_of(model), model.discriminator.trainable_variables[-2]]
    labels = ops.convert_to_tensor(LABELS)
    images = ops.convert_to_tensor(some_images())
    _, (of_vectors, of_weights) = backend.value_and_grad(
        model, lambda: (ops.sum(model.discriminate(images, labels)), {}), variables
    )
    assert {v.shape[-1] for v in variables} >= {1}
    np.testing.assert_allclose(array(of_vectors).sum(axis=0), array(of_weights)[:, 0], rtol=1e-3)


@pytest.mark.parametrize("architecture", ["dense", "conv", "resnet"])
def test_every_label_has_a_scale_and_an_offset_in_the_generator(architecture):
    model = model_of(architecture)
    tables = [v for v in model.generator.trainable_variables if v.shape[0] == 5]
    assert {v.name for v in tables} == {"gamma", "beta"}
    latents = np.repeat(np.float32([[0.1, -0.2, 0.3, 0.5]]), 3, axis=0)
    vectors = np.eye(5, dtype="float32")[:3]
    before = array(model.generator([latents, vectors]))
    np.testing.assert_allclose(before[1:], before[:1].repeat(2, axis=0), atol=1e-6)  # ones, zeros
    for table in tables:
        value = array(table.value)
        value[1] += np.random.default_rng(0).standard_normal(value.shape[1])
        table.assign(value)
    after = array(model.generator([latents, vectors]))
    np.testing.assert_allclose(after[[0, 2]], before[[0, 2]], atol=1e-6)
    assert np.abs(after[1] - before[1]).max() > 1e-4


def test_rates_are_those_of_two_time_scales():
    optimizers = model_of().recommended_optimizer()
    rates = {player: float(array(o.learning_rate)) for player, o in optimizers.items()}
    assert rates == pytest.approx({"discriminator": 4e-4, "generator": 1e-4})


@pytest.mark.parametrize("architecture", ["dense", "conv"])
def test_other_networks_train(architecture):
    """The contract trains the residual ones."""
    model = model_of(architecture, r1_weight=1.0, minibatch_deviation=True)
    model.compile()
    images = np.random.default_rng(0).integers(0, 17, (COUNT, 16, 16, 1)).astype("uint8")
    history = model.fit(images, LABELS, batch_size=COUNT, verbose=0).history
    assert np.isfinite(list(history.values())).all()
    assert model.sample(2, seed=0).shape == (2, 16, 16, 1)


# === Captions and attributes ===

CAPTIONS = np.int32([[2, 3, 0], [4, 0, 0], [2, 4, 0], [3, 0, 0], [4, 2, 0], [2, 0, 0]])
ATTRIBUTES = np.float32([[1, 0], [0, 1], [1, 1], [0, 0], [1, 0], [0, 1]])
GIVEN = {
    "captions": ({"words": ("a", "red", "seven"), "length": 3}, CAPTIONS),
    "attributes": ({"attributes": ("bold", "red")}, ATTRIBUTES),
    "both": (
        {"words": ("a", "red", "seven"), "length": 3, "attributes": ("bold", "red")},
        {"captions": CAPTIONS, "attributes": ATTRIBUTES},
    ),
}


@pytest.mark.parametrize("given", GIVEN)
def test_what_is_given_is_learned_by_the_discriminator_alone(given):
    """The encoder is the discriminator's, all weights move, and the condition moves images."""
    settings, condition = GIVEN[given]
    # Of hinge losses the logit's bias has no gradient while all logits are within the margin.
    model = model_of(classes=0, loss="non_saturating", **settings)
    model.compile()
    encoder = {v.path for v in model.condition_encoder.trainable_variables}
    own = [{v.path for v in model.variables_of(player)} for player in model.players]
    assert encoder <= own[0]
    assert not encoder & own[1]
    before = {v.path: array(v.value) for v in model.trainable_variables}
    images = np.random.default_rng(0).integers(0, 17, (COUNT, 16, 16, 1)).astype("uint8")
    model.fit(images, condition, batch_size=COUNT, epochs=2, verbose=0)
    after = {v.path: array(v.value) for v in model.trainable_variables}
    assert [path for path in after if np.array_equal(after[path], before[path])] == []
    assert model.sample(COUNT, condition, seed=0).shape == (COUNT, 16, 16, 1)
    inputs = model.with_condition(ops.ones((COUNT, 4)), condition)
    first, second = array(model.generator(inputs))[:2]  # which differ by their condition alone
    assert np.abs(first - second).max() > 0


def test_something_must_be_given():
    with pytest.raises(kgen.KgenError, match="Expected classes to be a whole number from 1"):
        model_of(classes=0)
