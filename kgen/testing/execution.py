"""Ways to run: what is trained is the same, however its steps are compiled and fed."""

import numpy as np

from kgen.capabilities import log_prob_arguments
from kgen.testing.case import InOrder
from kgen.testing.check import check, has_likelihood
from kgen.testing.comparing import assert_close, finite, state_of
from kgen.testing.states import WHOLE


@check(as_users_run=True)
def everything_at_its_defaults_trains_and_samples(case):
    """XLA where it pays, recorded steps on PyTorch; and the same again from the same start."""
    kept = case.at_defaults
    first, second = (
        kept.anew().fit(*case.training_data(WHOLE), verbose=0).history for _ in range(2)
    )
    assert finite(first)
    assert first == second
    assert len(case.made_by(kept.model)) == 8


@check(as_users_run=True)
def trains_and_samples_under_xla(case):
    """Where there is no XLA, `jit_compile=True` stands for recorded steps."""
    if case.at_defaults.model.jit_compile:  # the check above did
        return
    model = case.compiled(jit_compile=True)
    assert finite(case.fit_whole_batches(model))
    assert len(case.made_by(model)) == 8


@check(needs=has_likelihood)
def log_prob_under_xla_is_that_of_the_graph(case):
    if case.model.jit_compile:  # on JAX there is no other
        return
    model = case.create()
    seeded = log_prob_arguments(model, seed=0)
    expected = case.log_prob(model, 5, **seeded)
    model.compile(jit_compile=True)
    np.testing.assert_allclose(case.log_prob(model, 5, **seeded), expected, rtol=1e-4)


@check
def several_steps_per_execution_train_alike(case):
    """On TensorFlow it is also the graph of its own pipelines, for batches of any size."""
    model = case.compiled(steps_per_execution=3)
    history = case.fit_whole_batches(model)
    assert int(model.optimizer.iterations) == 3
    assert_close(history, case.in_order.history, 1e-5)
    assert_close(state_of(model), case.in_order.state, 5e-5)  # it may sum in another order


@check
def eager_training_equals_compiled(case):
    model = case.compiled(run_eagerly=True)
    history = case.fit_whole_batches(model)
    assert_close(history, case.in_order.history, 1e-4)
    assert_close(state_of(model), case.in_order.state, 1e-4)


@check(of_base_class=True)
def trains_on_a_pydataset(case):
    model = case.anew()
    model.fit(InOrder(*case.training_data(WHOLE)), verbose=0)
    # TensorFlow's graph of its own pipelines, for batches of any size, may sum in another order.
    assert_close(state_of(model), case.in_order.state, 1e-5)
