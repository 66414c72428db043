"""Mistakes: wrong items are refused in one line, before anything is trained."""

import numpy as np

from kgen.testing.case import InOrder
from kgen.testing.check import check
from kgen.testing.comparing import assert_same, refused, state_of
from kgen.testing.states import BATCH_SIZE, COUNT


def fit_refuses(case, items, *words):
    with refused(*words):
        case.model.fit(items, batch_size=BATCH_SIZE, verbose=0)


@check(of_base_class=True)
def float_images_are_refused(case):
    fit_refuses(case, case.items.astype("float32"), "uint8", "float32")


@check(of_base_class=True)
def images_of_another_size_are_refused(case):
    fit_refuses(case, case.items[:, :7], "8, 8, 1", "7, 8, 1")


@check(of_base_class=True)
def images_without_channels_are_refused(case):
    fit_refuses(case, case.items[..., 0], "8, 8, 1")


@check(of_base_class=True)
def images_of_other_channels_are_refused(case):
    fit_refuses(case, np.repeat(case.items, 3, axis=-1), "8, 8, 1", "8, 8, 3")


@check(of_base_class=True)
def values_beyond_the_levels_are_refused(case):
    levels = case.arguments["levels"]
    fit_refuses(case, case.items + np.uint8(levels), f"levels={levels}")


@check(of_base_class=True)
def fewer_items_than_a_batch_are_refused(case):
    with refused(str(BATCH_SIZE), str(BATCH_SIZE - 1)):
        few = case.training_data(BATCH_SIZE - 1)
        case.model.fit(*few, batch_size=BATCH_SIZE, verbose=0)


@check(of_base_class=True)
def no_items_are_refused(case):
    fit_refuses(case, case.items[:0], "at least")


@check(of_base_class=True)
def wrong_validation_items_are_refused(case):
    with refused("uint8", "float32"):
        case.fit(case.model, validation_data=(case.items.astype("float32"),))


@check(of_base_class=True)
def wrong_items_are_refused_by_evaluate(case):
    with refused("uint8", "float32"):
        case.model.evaluate(case.items.astype("float32"), verbose=0)


@check(of_base_class=True)
def predict_is_refused_and_leaves_the_model_as_it_was(case):
    model = case.anew()
    with refused("sample", "predict"):
        model.predict(case.items, verbose=0)
    assert_same(state_of(model), case.kept.start)
    assert len(case.made_by(model)) == 8


@check(of_base_class=True)
def wrong_batches_are_refused_and_leave_the_model_as_it_was(case):
    model = case.anew()
    for run in (model.fit, model.evaluate):
        with refused("uint8", "float32"):
            run(InOrder(case.items.astype("float32")), verbose=0)
        assert_same(state_of(model), case.kept.start)


@check(of_base_class=True)
def sample_weights_are_refused(case):
    weights = np.ones(COUNT, "float32")
    with refused("sample_weight"):
        case.model.fit(InOrder(*case.training_data(), weights), verbose=0)


@check(of_base_class=True)
def fit_before_compile_is_refused(case):
    with refused("compile()"):
        case.fit(case.uncompiled)


@check(of_base_class=True)
def evaluate_before_compile_is_refused(case):
    with refused("compile()"):
        case.uncompiled.evaluate(case.items, verbose=0)
