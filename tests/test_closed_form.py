"""Models fitted in closed form go through `fit` as all others, with precise sums."""

import keras
import numpy as np
import pytest

import kgen
from kgen.errors import KgenError
from kgen.testing.comparing import array, assert_close, assert_same, same, state_of
from kgen.testing.states import Kept
from kgen.training.closed_form import Sums

POINTS = kgen.data.load("moons").train.x[:200]
BATCH = 40  # 5 steps an epoch


def mixture(**settings):
    kgen.set_seed(0)
    model = kgen.MixtureOfGaussians(size=2, components=3, covariance="full")
    model.compile(**settings)
    return model


def fitted(model, epochs=4, **settings):
    settings = {"batch_size": BATCH, "verbose": 0, **settings}
    return model.fit(POINTS, epochs=epochs, **settings).history


@pytest.fixture(scope="module")
def expected():
    """The history and the state of four epochs."""
    model = mixture()
    return fitted(model), state_of(model)


class AtStep(keras.callbacks.Callback):
    """Calls a function of the model after a step of an epoch, both from 0."""

    def __init__(self, epoch, step, function):
        super().__init__()
        self.place, self.function = (epoch, step), function

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            self.function(self.model)


def test_sums_keep_what_rounding_takes():
    sums, values = Sums({"x": (2,)}), np.float32([[1e4, 0.1]] + [[0.1, 1e4]] * 999)
    for value in values:
        sums.add({"x": value})
    exact = values.astype("float64").sum(axis=0)
    np.testing.assert_allclose(sums.totals()["x"], exact, rtol=1e-8)
    sums.reset()
    assert not sums.totals()["x"].any()


@pytest.mark.usefixtures("steps_as_kgen_compiles_them")
def test_sums_are_as_precise_in_compiled_steps():
    """In float32 the variance of 1 around 300 would be wrong by more than a tenth."""
    points = np.random.default_rng(0).normal(300, 1, size=(3000, 2)).astype("float32")
    model = kgen.PCA(size=2, latent_size=1)
    model.compile()
    model.fit(points, batch_size=1, verbose=0)
    loadings = array(model.loadings)
    covariance = loadings @ loadings.T + np.exp(array(model.log_variance)) * np.eye(2)
    np.testing.assert_allclose(covariance, np.cov(points.T, ddof=0), atol=2e-3)


def test_an_epochs_validation_loss_is_the_next_ones_loss():
    history = fitted(mixture(), validation_data=(POINTS,))
    np.testing.assert_allclose(history["val_loss"][:-1], history["loss"][1:], rtol=1e-5)


@pytest.mark.parametrize("batch_size", [200, 64])
def test_the_size_of_batches_does_not_matter(batch_size, expected):
    model = mixture()
    history = fitted(model, batch_size=batch_size)
    weights = ("means", "logits", "factors")
    received, wanted = (
        {name: value for name, value in state.items() if name.endswith(weights)}
        for state in (state_of(model), expected[1])
    )
    assert len(wanted) == 3
    assert_close(received, wanted, 1e-4)
    assert_close(history, expected[0], 1e-4)


@pytest.mark.usefixtures("steps_as_kgen_compiles_them")
def test_several_steps_per_execution_do_not_matter(expected):
    model = mixture(steps_per_execution=5)
    history = fitted(model)
    assert_close(history, expected[0], 1e-4)
    assert_close(state_of(model), expected[1], 1e-4)


def test_a_run_continues_within_an_epoch_bit_for_bit():
    states = []
    model = mixture()
    fitted(model, callbacks=[AtStep(2, 1, lambda model: states.append(state_of(model)))])
    resumed = Kept(mixture(), states[0]).anew()
    fitted(resumed, initial_epoch=2, initial_step=2)
    assert_same(state_of(resumed), state_of(model))


def test_an_epoch_that_was_broken_off_leaves_nothing_to_the_next():
    def stop(model):
        raise InterruptedError

    model = mixture()
    with pytest.raises(InterruptedError):
        fitted(model, callbacks=[AtStep(0, 1, stop)])
    assert model.sums.totals()["counts"].sum() == pytest.approx(2 * BATCH)
    fitted(model, epochs=1)
    assert array(model.starts.updates) == 1
    assert not model.sums.totals()["counts"].any()


def test_steps_alone_change_no_weight():
    model = mixture()
    means = array(model.means)
    model.train_on_batch(POINTS[:BATCH])
    assert same(array(model.means), means)
    model.end_epoch()
    assert not same(array(model.means), means)


def test_an_optimizer_trains_by_gradient_steps_from_there():
    model = mixture()
    fitted(model)
    model.compile(keras.optimizers.SGD(0.0))
    means = array(model.means)
    fitted(model, epochs=1)
    assert same(array(model.means), means)
    assert not model.sums.totals()["counts"].any()
    model.compile("adam")
    losses = fitted(model, epochs=2)["loss"]
    assert losses[1] < losses[0]


def test_what_has_no_meaning_in_closed_form_is_refused():
    with pytest.raises(KgenError, match="Expected no learning rate for MixtureOfGaussians"):
        kgen.training.set_learning_rate(mixture(), 0.1)
    with pytest.raises(KgenError, match="Expected ema=0 for PCA"):
        kgen.PCA(size=3, latent_size=1, ema=0.9)
    with pytest.raises(KgenError, match="Expected a learning rate that LearningRateScheduler"):
        fitted(mixture(), callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 0.1)])


def test_the_verb_trains_and_resumes(tmp_path):
    from kgen.fit import main

    run = tmp_path / "run"
    settings = ["covariance=full", "components=3"]
    options = ["--model", "mixture_of_gaussians", "--data", "moons", "--limit", "500"]
    main([*options, "--epochs", "3", "--out", str(tmp_path / "whole"), "--set", *settings])
    main([*options, "--epochs", "2", "--out", str(run), "--set", *settings])
    main(["--resume", str(run), "--epochs", "3"])
    models = [kgen.load(folder / "model") for folder in (run, tmp_path / "whole")]
    assert_same(*map(state_of, models))


def test_the_verb_trains_no_longer_than_a_closed_form_takes(tmp_path):
    from kgen.fit import main

    options = ["--model", "pca", "--data", "moons", "--limit", "99", "--set", "latent_size=1"]
    main([*options, "--out", str(tmp_path / "run")])
    lines = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert len(lines) == 1 + 2  # names, and a line for each epoch
    model = mixture()
    assert model.short_run_epochs == 30
    model.compile(keras.optimizers.Adam(1e-3))
    assert model.short_run_epochs is None
