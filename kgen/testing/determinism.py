"""Randomness: equal seeds train alike, bit for bit, and every draw is new."""

import numpy as np

from kgen.testing.check import check
from kgen.testing.comparing import (
    array,
    assert_alike,
    assert_same,
    same,
    state_of,
    weights_in,
)
from kgen.testing.states import BATCH_SIZE
from kgen.training.order import Batches


@check
def equal_seeds_train_alike(case):
    """Bit for bit: what two models begin with, and the losses over forty steps from there."""
    first_lessons = {name: np.array(values[:2]) for name, values in case.lessons.history.items()}
    model = case.anew()
    assert_same(state_of(case.create()), weights_in(state_of(model)))
    again = {name: np.array(values) for name, values in case.teach(model, epochs=2).items()}
    assert_alike(again, first_lessons)


@check
def other_seeds_give_other_weights(case):
    first, second = (model.get_weights() for model in (case.create(0), case.create(1)))
    assert not all(map(same, first, second))


@check(of_base_class=True)
def noise_is_new_at_every_call(case):
    model = case.model
    assert not same(array(model.normal((4,))), array(model.normal((4,))))


@check
def noise_is_new_at_every_step(case):
    """Steps on equal weights and items differ in their losses if they draw noise at all."""
    model, batch = case.anew(), case.training_data(BATCH_SIZE)
    first = model.fit(*batch, verbose=0).history
    drawn = {name: value for name, value in state_of(model).items() if "seed_generator" in name}
    draws = not all(same(case.kept.start[name], state) for name, state in drawn.items())
    second = case.kept.put_back({**case.kept.start, **drawn}).fit(*batch, verbose=0).history
    differ = any(not np.isclose(first[name], second[name], rtol=1e-6) for name in first)
    assert differ == draws


@check(of_base_class=True)
def fit_trains_on_the_batches_of_its_seed(case):
    model = case.anew()
    batches = Batches(*case.training_data(), BATCH_SIZE, model.seed)
    for epoch in (0, 1):
        drawn = [batches.batch(epoch, index) for index in range(batches.num_batches)]
        in_order = (np.concatenate(part) for part in zip(*drawn, strict=True))
        model.fit(*in_order, batch_size=BATCH_SIZE, shuffle=False, verbose=0)
    assert_same(state_of(model), case.trained.state)
