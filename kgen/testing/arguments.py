"""Construction: what a model keeps of its arguments, and what it is made of."""

import json
import re

import keras

from kgen import data, models
from kgen.description.parameters import constructor_parameters
from kgen.files import as_json
from kgen.models.creation import arguments_of
from kgen.spaces import rows_of
from kgen.testing.check import check
from kgen.testing.comparing import refused, trainable
from kgen.testing.states import under_policy


@check
def is_rebuilt_from_its_config(case):
    config = case.model.get_config()
    rebuilt = case.model_class.from_config(config)
    assert rebuilt.get_config() == config
    # Variables are found by the names of the layers that hold them; Keras counts equal names.
    before, after = (
        [re.sub(r"_\d+$", "", layer.name) for layer in model.layers]
        for model in (case.model, rebuilt)
    )
    assert before == after, "the layers of the rebuilt model have other names"


@check
def config_survives_json(case):
    config = case.model.get_config()
    rebuilt = case.model_class.from_config(json.loads(as_json(config)))
    assert rebuilt.get_config() == config


@check
def config_lists_every_constructor_argument(case):
    expected = {*constructor_parameters(case.model_class), "name", "dtype"}
    assert set(case.model.get_config()) == expected


@check
def keeps_every_argument_under_its_name(case):
    model, arguments = case.uncompiled, case.arguments
    lost = [n for n in arguments if not hasattr(model, n) or getattr(model, n) != arguments[n]]
    assert lost == [], f"these are not kept: {', '.join(lost)}"


@check
def has_all_variables_when_constructed(case):
    assert trainable(case.create()).keys() == trainable(case.taught).keys()


@check
def weights_are_float32(case):
    assert {variable.dtype for variable in case.model.trainable_variables} == {"float32"}


@check
def recommends_a_new_optimizer_at_every_call(case):
    model = case.uncompiled
    first, second = (keras.tree.flatten(model.recommended_optimizer()) for _ in range(2))
    assert not {id(optimizer) for optimizer in first} & {id(optimizer) for optimizer in second}


@check
def creation_from_data_takes_its_spaces(case):
    items, condition = case.training_data()
    splits = [data.Split(items, condition), data.Split(items[:9], rows_of(condition, slice(9)))]
    found = data.Dataset("toy", *splits, case.space, "", "", condition_space=case.condition_space)
    of_data = arguments_of(case.model_class, found)
    settings = {name: case.arguments[name] for name in case.arguments.keys() - of_data.keys()}
    model = models.create(models.name_of(case.model), found, **settings)
    assert model.space == case.space
    assert model.condition_space == (found.condition_space if model.conditional else None)


@check(of_base_class=True)
def summary_prints(case):
    lines = []
    case.model.summary(print_fn=lambda line, **_: lines.append(line))
    assert "Trainable params" in "\n".join(lines)


@check(of_base_class=True)
def another_dtype_than_the_policy_is_refused(case):
    with refused("set_dtype_policy", "mixed_bfloat16"):
        case.model_class(**case.arguments, dtype="mixed_bfloat16")


@check(of_base_class=True)
def other_policies_are_refused_before_anything_is_built(case):
    for name in ("float16", "mixed_float16", "bfloat16", "float64"):
        with (
            under_policy(name),
            refused("float32", "mixed_bfloat16", repr(name), "set_dtype_policy"),
        ):
            case.create()
