"""Conditions: they enter the model that says so, and wrong ones are refused."""

import numpy as np

from kgen.errors import KgenError
from kgen.spaces import default_condition, parts_of, rows_of
from kgen.testing.case import InOrder
from kgen.testing.check import can_sample, check, has_likelihood, is_conditional
from kgen.testing.comparing import refused, same
from kgen.testing.states import BATCH_SIZE, COUNT


def is_sampled_given(model_class):
    return is_conditional(model_class) and can_sample(model_class)


def altered(condition, change):
    """A condition with its first part changed: an array, or a dict with another first array."""
    if not isinstance(condition, dict):
        return change(condition)
    first = next(iter(condition))
    return {**condition, first: change(condition[first])}


@check(needs=is_sampled_given)
def conditions_change_the_samples(case):
    others = np.flatnonzero([_differ(case, row) for row in range(COUNT)])
    samples = (
        case.taught.sample(8, rows_of(case.all_conditions, np.full(8, row)), seed=0)
        for row in (0, others[0])
    )
    assert not same(*samples)


def _differ(case, row):
    parts = _as_dict(case.all_conditions).values()
    return all((part[row] != part[0]).any() for part in parts)


def _as_dict(condition):
    return condition if isinstance(condition, dict) else {"condition": condition}


@check(needs=is_sampled_given)
def samples_without_a_condition_have_what_its_space_chooses(case):
    model = case.taught
    try:
        condition = default_condition(case.condition_space, COUNT)
    except KgenError as error:
        with refused(str(error)):
            model.sample(COUNT)
    else:
        assert same(model.sample(COUNT, seed=0), model.sample(COUNT, condition, seed=0))


@check(needs=is_sampled_given)
def the_number_of_samples_is_that_of_the_conditions(case):
    for count in (8, COUNT):
        assert case.taught.sample(**case.condition(count)).shape[0] == count


@check(needs=is_conditional)
def training_without_a_condition_is_refused(case):
    with refused("received"):
        case.model.fit(case.items, batch_size=BATCH_SIZE, verbose=0)
    with refused("pair them"):
        case.model.fit(InOrder(case.items), verbose=0)


@check(needs=is_conditional)
def conditions_out_of_range_are_refused(case):
    first = next(iter(parts_of(case.condition_space).values()))
    if first.limits is None:
        return
    low, high = first.limits
    for value in (low - 1, high + 1):
        wrong = altered(case.all_conditions, lambda part, value=value: np.full(part.shape, value))
        with refused("Expected", "received"):
            case.model.fit(case.items, rows_of(wrong, slice(COUNT)), batch_size=BATCH_SIZE)


@check(needs=is_sampled_given)
def conditions_of_another_number_or_shape_are_refused(case):
    with refused("Expected", "received", "3"):
        case.model.sample(2, **case.condition(3))
    wrong = altered(rows_of(case.all_conditions, slice(2)), lambda part: part[..., None])
    with refused("Expected", "received"):
        case.model.sample(2, wrong)


@check(needs=lambda c: has_likelihood(c) and not c.conditional)
def a_condition_that_would_not_enter_is_refused(case):
    with refused("no condition"):
        case.model.log_prob(case.items[:2], case.all_conditions[:2])
