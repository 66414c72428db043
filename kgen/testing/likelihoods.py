"""Likelihood: `log_prob` is log p(x) in nats, or a bound of it."""

import numpy as np

from kgen.capabilities import log_prob_arguments
from kgen.testing.check import check, has_bound, has_likelihood, is_seeded
from kgen.testing.comparing import assert_alike
from kgen.testing.states import COUNT


@check(needs=has_likelihood)
def log_prob_has_one_value_per_item(case):
    assert case.log_prob(case.taught).shape == (COUNT,)


@check(needs=has_likelihood)
def log_prob_is_float64(case):
    assert case.log_prob(case.taught).dtype == np.float64


@check(needs=has_likelihood)
def log_prob_is_finite(case):
    assert np.isfinite(case.log_prob(case.taught)).all()


@check(needs=lambda model_class: model_class.likelihood == "exact")
def log_prob_is_at_most_zero(case):
    assert case.log_prob(case.taught).max() <= 0


@check(needs=has_bound)
def bound_is_at_most_zero(case):
    assert case.log_prob(case.taught, samples=50, seed=0).max() <= 0


@check(needs=is_seeded)
def likelihood_of_equal_seeds_is_equal(case):
    first, second = ({"log_prob": case.log_prob(case.taught, seed=5)} for _ in range(2))
    assert_alike(second, first)


@check(needs=has_bound)
def bound_rises_with_samples(case):
    one, many = (case.log_prob(case.taught, samples=k, seed=0) for k in (1, 50))
    assert many.mean() > one.mean()


@check(needs=has_likelihood)
def training_raises_log_prob(case):
    """With the same noise before and after, where there is any."""

    def found(model):
        return case.log_prob(model, **log_prob_arguments(model, seed=0)).mean()

    before = found(case.anew())
    assert found(case.taught) > before
