"""A constant learning rate, set for a run or while it is trained: nothing else is lost."""

import json

import keras
import numpy as np
import pytest
from keras import ops

import kgen
from kgen import fit
from kgen.training.learning_rate import _state
from kgen.training.optimizers import members_of

DIGITS = kgen.data.load("digits").limit(64)
RUN = ["--limit", "64", "--batch-size", "32", "--set", "hidden=(16,)"]


def trained(name):
    model = kgen.models.create(name, DIGITS, **kgen.models.get(name).small_arguments)
    model.compile()
    model.fit(DIGITS.train.images, batch_size=32, verbose=0)
    return model


def rates(model):
    return [float(ops.convert_to_numpy(m.learning_rate)) for m in members_of(model.optimizer)]


def states(model):
    return [ops.convert_to_numpy(v) for m in members_of(model.optimizer) for v in _state(m)]


@pytest.mark.parametrize("name", ["vae", "glow", "gan", "wgan"])  # schedules, constants, both
def test_slots_and_iterations_go_on(name):
    model = trained(name)
    before = states(model)
    kgen.training.set_learning_rate(model, 0.25)
    assert rates(model) == [0.25] * len(rates(model))
    assert np.max(before[0]) == 2 * getattr(model, "critic_steps", 1)  # iterations of 2 batches
    assert any(np.abs(state).max() > 0 for state in before[1:])
    for state, expected in zip(states(model), before, strict=True):
        np.testing.assert_array_equal(state, expected)
    model.fit(DIGITS.train.images, batch_size=32, epochs=2, initial_epoch=1, verbose=0)
    assert rates(model) == [0.25] * len(rates(model))
    assert np.max(states(model)[0]) == 2 * np.max(before[0])


def test_what_the_optimizer_was_built_with_stays():
    model = trained("glow")
    kgen.training.set_learning_rate(model, 0.25)
    assert (model.optimizer.epsilon, model.optimizer.global_clipnorm) == (1e-3, 100.0)


def test_the_step_is_as_long_as_the_rate_says():
    model = kgen.VAE((8, 8, 1), levels=17, latent_size=2, hidden=(4,))
    model.compile(keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(9.0, 1, 0.5)))
    kgen.training.set_learning_rate(model, 1e-9)
    before = model.get_weights()
    model.fit(DIGITS.train.images, batch_size=32, verbose=0)
    for weight, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_allclose(weight, expected, atol=1e-4)


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), 11, "fast"])
def test_another_rate_is_refused(rate):
    model = kgen.VAE((8, 8, 1), levels=17, latent_size=2, hidden=(4,))
    model.compile()
    with pytest.raises(kgen.KgenError, match="learning_rate to be a finite number above 0 to 10"):
        kgen.training.set_learning_rate(model, rate)


@pytest.mark.parametrize("name", ["vae", "wgan"])
def test_a_saved_model_keeps_its_rate_and_slots(name, tmp_path):
    model = trained(name)
    kgen.training.set_learning_rate(model, 0.25)
    kgen.save(model, tmp_path / "model")
    loaded = kgen.saving.load(tmp_path / "model", continuing=True)
    assert rates(loaded) == rates(model)
    for state, expected in zip(states(loaded), states(model), strict=True):
        np.testing.assert_array_equal(state, expected)


def test_a_run_of_a_constant_rate_goes_on_with_it_and_with_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def weights(folder):
        return (tmp_path / folder / "model" / "variables.safetensors").read_bytes()

    def record(folder):
        return json.loads((tmp_path / folder / "run.json").read_text())

    fit.main([*RUN, "--epochs", "2", "--learning-rate", "0.01", "--out", "straight"])
    fit.main([*RUN, "--epochs", "1", "--learning-rate", "0.01", "--out", "resumed"])
    fit.main(["--resume", "resumed", "--epochs", "2"])
    assert weights("resumed") == weights("straight")
    assert record("resumed")["learning_rate"] == record("straight")["learning_rate"] == 0.01
    fit.main(["--resume", "straight", "--epochs", "3"])
    fit.main(["--resume", "resumed", "--epochs", "3", "--learning-rate", "0.02"])
    assert weights("resumed") != weights("straight")
    assert record("resumed")["options"]["learning_rate"] == 0.02
    assert rates(kgen.load("resumed/model")) == pytest.approx([0.02])
    fit.main(["--resume", "resumed", "--epochs", "4"])
    assert rates(kgen.load("resumed/model")) == pytest.approx([0.02])


def test_a_schedule_becomes_a_constant_when_a_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit.main([*RUN, "--epochs", "1", "--out", "run"])
    fit.main(["--resume", "run", "--epochs", "2", "--learning-rate", "0.02"])
    model = kgen.load("run/model")
    assert rates(model) == pytest.approx([0.02])
    assert np.max(states(model)[0]) == 4  # iterations of both epochs


def test_a_model_stays_compiled_as_it_was():
    model = kgen.VAE((8, 8, 1), levels=17, latent_size=2, hidden=(8,))
    for how in ({"run_eagerly": True, "steps_per_execution": 3}, {}):
        model.compile(**how)
        before = model.run_eagerly, model.steps_per_execution, model.jit_compile_inference
        kgen.training.set_learning_rate(model, 1e-3)
        assert (model.run_eagerly, model.steps_per_execution, model.jit_compile_inference) == before
