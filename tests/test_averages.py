"""Averaged weights (`ema`) of a model without players: for inference, and part of its state."""

import keras
import numpy as np
import pytest
from toys import Quadratic

import kgen
import kgen.saving
from kgen.testing.comparing import array, assert_same, state_of

IMAGES = kgen.data.load("digits").train.images[:64]
SMALL = {"image_shape": (8, 8, 1), "levels": 17, "latent_size": 2, "hidden": (8,)}
DECAY = 0.5


def vae(ema=0.0, optimizer="sgd"):
    kgen.set_seed(0)
    model = kgen.VAE(**SMALL, ema=ema)
    model.compile(optimizer)
    return model


def fit(model, **place):
    model.fit(IMAGES, batch_size=16, verbose=0, **place)
    return model


def weights_of(model):
    return [array(weight.value) for weight in model.encoder.weights + model.decoder.weights]


def averages_of(model):
    weights = model.encoder.weights + model.decoder.weights
    return [array(model.averages.of(weight).value) for weight in weights]


@pytest.fixture(scope="module")
def averaged():
    """A VAE with averages, trained for two epochs of 4 steps; nobody trains it further."""
    return fit(vae(ema=DECAY), epochs=2)


@pytest.mark.usefixtures("steps_as_kgen_compiles_them")
def test_averages_follow_their_recursion():
    model, expected = vae(ema=DECAY), None
    for step in range(6):
        model.train_on_batch(IMAGES[:16])
        kept = min(DECAY, step / (step + 10))
        mixed = zip(expected or weights_of(model), weights_of(model), strict=True)
        expected = [kept * old + (1 - kept) * new for old, new in mixed]
    for received, value in zip(averages_of(model), expected, strict=True):
        np.testing.assert_allclose(received, value, rtol=1e-4, atol=1e-6)


def test_training_is_that_of_a_model_without(averaged):
    plain = fit(vae(), epochs=2)
    assert all(map(np.array_equal, weights_of(averaged), weights_of(plain)))


def test_inference_is_that_of_a_model_with_the_averages_as_weights(averaged):
    before, plain, without = weights_of(averaged), vae(), fit(vae(), epochs=2)
    names = ("encoder", "decoder")
    for name in names:
        weights = getattr(averaged, name).weights
        getattr(plain, name).set_weights([array(averaged.averages.of(w).value) for w in weights])
    for method, arguments in {
        "sample": {"count": 5},
        "log_prob": {"images": IMAGES[:5], "samples": 2},
    }.items():
        of_weights = getattr(without, method)(**arguments, seed=0)
        received, expected = (
            getattr(model, method)(**arguments, seed=0) for model in (averaged, plain)
        )
        np.testing.assert_allclose(received, expected, rtol=1e-5)
        assert not np.allclose(received, of_weights, rtol=1e-5)
    latents = np.random.default_rng(0).standard_normal((5, 2), "float32")
    exported = averaged.sampler().predict(latents, verbose=0)
    assert np.array_equal(exported, averaged.decode(latents))
    assert all(map(np.array_equal, before, weights_of(averaged)))


def test_validation_is_of_the_weights(averaged):
    """It stands beside the training's losses; and its noise is that of the step."""
    logs = averaged.evaluate(IMAGES, batch_size=64, verbose=0, return_dict=True)
    expected = fit(vae(), epochs=2).evaluate(IMAGES, batch_size=64, verbose=0, return_dict=True)
    assert logs == pytest.approx(expected, rel=1e-6)


class WithTable(Quadratic):
    """Has whole numbers that count its steps, and noise."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.table = self.add_weight(
            shape=(2,), initializer="zeros", dtype="int32", trainable=False, name="table"
        )

    def objective(self, images, condition, training):
        if training:
            self.table.assign(self.table + 1)
        loss, terms = super().objective(images, condition, training)
        return loss + 0.0 * keras.ops.sum(self.normal((1,))), terms


def test_seeds_and_tables_are_not_averaged():
    model = WithTable(ema=DECAY)
    model.compile()
    fit(model)
    assert [weight.name for weight in model.averages.weights] == ["mean", "unused", "calls"]
    assert array(model.table.value).tolist() == [4, 4]
    assert model.averages.of(model.table) is model.table
    seeds = model.seed_generator.state
    assert model.averages.of(seeds) is seeds


def test_saved_and_continued_training_ends_bitwise_equal(tmp_path):
    straight, stopped = (vae(ema=DECAY, optimizer=None) for _ in range(2))
    fit(straight, epochs=2)
    kgen.save(fit(stopped, epochs=1), tmp_path)
    continued = fit(kgen.saving.load(tmp_path, continuing=True), initial_epoch=1, epochs=2)
    assert_same(state_of(continued), state_of(straight))
    assert float(array(continued.averages.steps.value)) == 8
