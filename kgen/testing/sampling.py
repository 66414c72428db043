"""Samples: what they are, and that seeds and weights alone decide what is drawn."""

from unittest import mock

import keras
import numpy as np

from kgen import backend
from kgen.spaces import rows_of
from kgen.testing.check import can_sample, check, has_no_noise, has_noise, has_sampler
from kgen.testing.comparing import array, assert_near_levels, assert_same, same, state_of
from kgen.testing.states import COUNT


@check
def samples_have_the_shape_of_items(case):
    for count in (8, COUNT):
        assert case.made_by(case.taught, count).shape == (count, *case.item_shape)


@check
def samples_are_arrays_of_the_items_dtype(case):
    samples = case.made_by(case.taught)
    assert isinstance(samples, np.ndarray)
    assert samples.dtype == case.items.dtype


@check
def samples_are_values_of_items(case):
    assert case.are_valid(case.made_by(case.taught, COUNT))


@check(needs=has_noise)
def samples_without_seed_differ(case):
    model = case.taught
    first, second = (model.sample(COUNT, **case.condition()) for _ in range(2))
    assert not same(first, second)  # of two levels, eight may be equal


@check(needs=can_sample)
def samples_of_equal_seeds_are_equal(case):
    model = case.taught
    first, second = (model.sample(8, **case.condition(8), seed=3) for _ in range(2))
    assert same(first, second)


@check(needs=has_noise)
def samples_of_other_seeds_differ(case):
    model = case.taught
    first, second = (model.sample(COUNT, **case.condition(), seed=seed) for seed in (3, 4))
    assert not same(first, second)


@check(needs=has_no_noise)
def samples_without_noise_are_functions_of_their_own_condition(case):
    """Neither the seed nor what else is sampled at the same time changes a sample."""
    model, conditions = case.taught, case.condition(8)["condition"]
    together = model.sample(8, conditions, seed=3)
    assert same(model.sample(8, conditions, seed=4), together)
    alone = [model.sample(1, rows_of(conditions, slice(row, row + 1))) for row in range(8)]
    assert_near_levels(np.concatenate(alone), together)


@check(needs=can_sample)
def sampling_changes_no_variable(case):
    model = case.taught
    before = state_of(model)
    model.sample(8, **case.condition(8))
    assert_same(state_of(model), before)


@check(needs=can_sample)
def one_pass_samples_where_the_model_says_so(case):
    """One call of one compiled function, which is no loop."""
    calls, compiled = [], backend.compiled

    def recording(model, function, loop=False):
        run = compiled(model, function, loop=loop)

        def call(*arrays):
            calls.append(loop)
            return run(*arrays)

        return call

    with mock.patch.object(backend, "compiled", recording):
        case.create().sample(8, **case.condition(8), seed=0)
    assert (calls == [False]) == (case.model_class.sampling == "direct")


@check
def samples_see_new_weights(case):
    """Compiled sampling reads the weights of the moment, not those it was compiled with."""
    before = case.made_by(case.anew())
    assert not same(case.made_by(case.taught), before)
    assert same(case.made_by(case.anew()), before)


@check
def an_uncompiled_model_samples(case):
    assert case.made_by(case.uncompiled, 2).shape[0] == 2


@check(of_base_class=True)
def a_callback_may_sample(case):
    """Also in the middle of an epoch; and training goes on to the same weights."""

    class Sampling(keras.callbacks.Callback):
        samples = []

        def on_train_batch_end(self, batch, logs=None):
            self.samples.append(case.made_by(self.model, 2))

    model = case.anew()
    case.fit_whole_batches(model, callbacks=[Sampling()])
    assert len(Sampling.samples) == 3
    assert_same(state_of(model), case.in_order.state)


@check(needs=has_sampler)
def its_sampler_is_a_keras_model_of_the_same_images(case, folder):
    model, count = case.taught, 8
    latents = np.random.default_rng(3).standard_normal((count, model.latent_size), "float32")
    condition = case.entering(count)
    inputs = latents if condition is None else [latents, *keras.tree.flatten(condition)]
    sampler = model.sampler()
    expected = model.sample(count, condition, 3, **model.picture_arguments)
    assert same(array(sampler(inputs)), expected)
    sampler.save(folder / "sampler.keras")
    assert same(array(keras.saving.load_model(folder / "sampler.keras")(inputs)), expected)
