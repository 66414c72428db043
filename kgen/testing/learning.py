"""Training: what `fit` and `evaluate` report, and that every variable learns."""

import numpy as np

from kgen.testing.case import InOrder
from kgen.testing.check import check, has_one_loss
from kgen.testing.comparing import array, assert_close, finite, names_of, same, trainable
from kgen.testing.states import BATCH_SIZE, LESSONS, RATE, WHOLE


@check
def losses_are_finite(case):
    assert finite(case.trained.history)


@check
def history_has_the_metric_names(case):
    assert set(case.trained.history) == set(case.model_class.metric_names)


@check(of_base_class=True)
def history_has_every_epoch(case):
    assert {len(values) for values in case.trained.history.values()} == {2}


@check(of_base_class=True)
def metrics_are_the_loss_components(case):
    assert list(case.model.get_metrics_result()) == list(case.model_class.metric_names)


def with_gradient(updates):
    """Names of the variables whose gradient is not zero in all of these updates."""
    return {name for update in updates for name, g in update.gradients.items() if g.any()}


@check
def every_trainable_variable_has_a_gradient(case):
    """In one of the first steps: a layer that starts at zero passes none on in the very first."""
    without = set(trainable(case.recorded.model)) - with_gradient(case.updates)
    if without:
        without -= with_gradient(case.later_updates)
    assert without == set(), f"no gradient of {', '.join(sorted(without))}"


@check
def updates_cover_every_trainable_variable(case):
    updated = set().union(*(update.gradients for update in case.updates))
    assert updated == set(trainable(case.recorded.model))


@check
def training_changes_every_trainable_variable(case):
    before, after = trainable(case.anew()), case.trained.state
    assert [name for name in before if same(before[name], after[name])] == []


@check
def an_optimizer_of_the_users_own_is_obeyed(case):
    """Every variable goes down its gradient, but for those that the first batch sets before it."""
    names = names_of(case.recorded.model)
    set_by_data = getattr(case.recorded.model, "data_dependent_variables", ())
    for update in case.updates:
        updated = update.gradients.keys() - {names[id(variable)] for variable in set_by_data}
        expected = {name: update.before[name] - RATE * update.gradients[name] for name in updated}
        assert_close({name: update.after[name] for name in updated}, expected, 1e-5)


@check(of_base_class=True)
def optimizer_counts_the_steps(case):
    assert int(case.taught.optimizer.iterations) == LESSONS * 20


@check(needs=has_one_loss)
def loss_falls(case):
    name = case.model_class.progress_metric
    first, *_, last = case.lessons.history[name]
    assert last < 0.98 * first, f"the {name} goes from {first} to {last}"


@check(of_base_class=True)
def epoch_logs_are_means_weighted_by_items(case):
    model, logs, sizes = case.anew(), [], []
    for items, conditions in InOrder(*case.training_data()):
        sizes.append(len(items))
        settings = {"batch_size": sizes[-1], "shuffle": False, "verbose": 0}
        logs.append(model.fit(items, conditions, **settings).history)
    history = case.fit(case.anew(), epochs=1, shuffle=False)  # the same steps once more
    assert sizes == [32, 32, 32, 4]
    means = {n: np.average([log[n] for log in logs], axis=0, weights=sizes) for n in history}
    assert_close(history, means, 1e-4)


@check(of_base_class=True)
def validation_is_logged(case):
    held_out = case.training_data(BATCH_SIZE)
    history = case.fit_whole_batches(case.anew(), validation_data=held_out)
    names = case.model_class.metric_names
    assert set(history) == {*names, *(f"val_{name}" for name in names)}
    assert finite(history)


@check
def evaluate_returns_the_metric_names(case):
    logs = case.model.evaluate(*case.training_data(WHOLE), verbose=0, return_dict=True)
    assert set(logs) == set(case.model_class.metric_names)
    assert np.isfinite(list(logs.values())).all()


@check
def evaluate_leaves_the_weights(case):
    model = case.anew()
    before = [array(weight) for weight in model.get_weights()]
    model.evaluate(*case.training_data(WHOLE), verbose=0)
    assert all(map(same, before, map(array, model.get_weights())))
