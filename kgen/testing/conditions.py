"""Conditions: labels enter the model that says so, and wrong ones are refused."""

import numpy as np

from kgen.testing.case import InOrder
from kgen.testing.check import check, has_likelihood, is_conditional
from kgen.testing.comparing import refused, same
from kgen.testing.trained import BATCH_SIZE, COUNT


@check(needs=is_conditional)
def labels_change_the_samples(case):
    zeros, ones = (case.taught.sample(8, labels=np.full(8, label), seed=0) for label in (0, 1))
    assert not same(zeros, ones)


@check(needs=is_conditional)
def samples_without_labels_are_of_the_classes_in_turn(case):
    model, labels = case.taught, np.arange(12) % case.classes
    assert same(model.sample(12, seed=0), model.sample(12, labels=labels, seed=0))


@check(needs=is_conditional)
def training_without_labels_is_refused(case):
    with refused("label", "none"):
        case.model.fit(case.items, batch_size=BATCH_SIZE, verbose=0)
    with refused("labels"):
        case.model.fit(InOrder(case.items), verbose=0)


@check(needs=is_conditional)
def labels_out_of_range_are_refused(case):
    known, next_one = f"0..{case.classes - 1}", case.classes
    with refused(known, str(next_one)):
        case.model.fit(case.items, np.full(COUNT, next_one), batch_size=BATCH_SIZE)
    with refused(known, "-1"):
        case.model.sample(2, labels=[-1, 0])


@check(needs=is_conditional)
def labels_of_another_number_or_type_are_refused(case):
    with refused("(2,)", "(3,)"):
        case.model.sample(2, labels=[0, 1, 2])
    with refused("whole numbers", "float64"):
        case.model.sample(2, labels=[0.0, 1.0])


@check(needs=lambda c: has_likelihood(c) and not c.conditional)
def labels_that_would_not_enter_are_refused(case):
    with refused("no labels"):
        case.model.log_prob(case.items[:2], labels=case.all_conditions[:2])
