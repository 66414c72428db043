"""Arguments have a type and bounds where they are declared, whichever way they come in."""

import contextlib
import math
import re
import typing
from typing import Annotated, Literal

import numpy as np
import pytest

import kgen
from kgen.bounds import Bounds, Count, Fraction, ImageShape, Layers, Positive, Weight, checked
from kgen.description.parameters import constructor_parameters, parse_settings
from kgen.description.variables import looked_at
from kgen.models import REGISTRY
from kgen.testing.case import Case

DECLARED = [
    (name, argument, parameter.annotation)
    for name in REGISTRY
    for argument, parameter in constructor_parameters(kgen.models.get(name)).items()
]
NUMBERS = [
    (name, argument, annotation)
    for name, argument, annotation in DECLARED
    if typing.get_origin(annotation) is Annotated and typing.get_args(annotation)[0] in (int, float)
]


def beyond(annotation):
    """Numbers that are out of the bounds, and things that are no numbers."""
    kind, bounds = typing.get_args(annotation)
    yield from (bounds.least - 1, bounds.most + 1, 10**12, -(10**12), True, "x", None, (1,))
    yield from () if kind is float else (bounds.least + 0.5, float(bounds.most))
    yield from (math.nan, math.inf)
    yield from (bounds.least,) if bounds.open == "least" else ()
    yield from (bounds.most,) if bounds.open == "most" else ()


@pytest.mark.parametrize("name", REGISTRY)
def test_every_argument_of_every_model_is_declared_with_its_bounds(name):
    for argument, parameter in constructor_parameters(kgen.models.get(name)).items():
        annotation = parameter.annotation
        assert typing.get_origin(annotation) in (Annotated, Literal) or annotation is bool, argument


@pytest.mark.parametrize(("name", "argument", "annotation"), NUMBERS)
def test_a_number_out_of_its_bounds_is_refused_from_everywhere(name, argument, annotation):
    model_class = kgen.models.get(name)
    needed = {"words": ("a", "b"), "length": 3}  # by models of texts
    needed = {name: needed[name] for name in needed if name in constructor_parameters(model_class)}
    for value in beyond(annotation):
        pattern = f"^Expected {argument} to be a (whole|finite) number .*, received .*: .*\\.$"
        with pytest.raises(kgen.KgenError, match=pattern):
            model_class(**{**needed, argument: value})
        with pytest.raises(kgen.KgenError, match=pattern):
            model_class.from_config({**needed, argument: value})
        if isinstance(value, int | float):
            with pytest.raises(kgen.KgenError, match=pattern):
                parse_settings(model_class, [f"{argument}={value}"])


@pytest.mark.parametrize(("name", "argument", "annotation"), NUMBERS)
def test_the_ends_of_the_bounds_are_taken_from_the_command_line(name, argument, annotation):
    kind, bounds = typing.get_args(annotation)
    ends = {bounds.least, bounds.most} - ({bounds.least} if bounds.open == "least" else set())
    for value in ends - ({bounds.most} if bounds.open == "most" else set()):
        settings = parse_settings(kgen.models.get(name), [f"{argument}={value}"])
        assert type(settings[argument]) is kind


def test_every_number_has_a_bound_that_is_no_more_than_a_frameworks_size():
    for name, argument, annotation in NUMBERS:
        bounds = typing.get_args(annotation)[1]
        assert -(10**9) <= bounds.least < bounds.most <= 10**9, (name, argument)
    repeated = {("iwae", "samples"): 1_000, ("wgan", "critic_steps"): 100}
    for (name, argument), most in repeated.items():
        with pytest.raises(kgen.KgenError, match=f"from 1 to {most:,}, received"):
            kgen.models.get(name)(**{argument: most + 1})


class Enough(Exception):  # noqa: N818
    """A model is being built: its arguments were taken."""


@pytest.mark.parametrize(("name", "argument", "annotation"), DECLARED)
def test_any_value_of_any_argument_ends_in_a_model_or_in_one_line(
    name, argument, annotation, monkeypatch
):
    """At the ends of its bounds, and far outside: before anything large is made."""
    monkeypatch.setattr("kgen.description.variables.available", lambda: 2**20)
    monkeypatch.setattr("kgen.description.variables.LARGE", 2**20)
    monkeypatch.setattr("kgen.memory.LARGE", 2**20)
    made = []

    def check(shape):
        made.append(math.prod(shape))
        if len(made) > 100:
            raise Enough

    small = Case(kgen.models.get(name)).arguments
    for value in values_of(annotation):
        made.clear()
        message = "Expected: "
        try:
            with looked_at(check), contextlib.suppress(Enough):
                kgen.models.get(name)(**{**small, argument: value})
        except kgen.KgenError as error:
            message = str(error)
        assert re.fullmatch("Expected.*: .*", message), (value, message)
        assert 4 * sum(made[:-1]) <= 2**20, value


def values_of(annotation):
    """The ends of its bounds, values between and far outside, and things of other kinds."""
    kind, *metadata = typing.get_args(annotation) or (annotation,)
    bounds = next((note for note in metadata if isinstance(note, Bounds)), Bounds(0, 10**9))
    ends = {bounds.least, bounds.most}
    numbers = [*ends, *(end + step for end in ends for step in (-1, 1)), 0, 2, 3, 10**12, -1]
    if kind in (int, float):
        yield from map(kind, numbers)
    elif typing.get_origin(kind) is tuple:
        yield from ((number,) * 3 for number in (0, -1, 1, 2, 7, 4_096, 65_536, 10**9))
        yield from ((), (8,) * 101)
    yield from (None, "x", True, math.nan, (1,), {})


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (np.int64(3), Count, 3),
        (np.uint8(3), Count, 3),
        (3, Weight, 3.0),
        (np.float32(0.5), Fraction, 0.5),
        (np.int32(2), Positive, 2.0),
        (200, Layers, (200,)),
        ([200, 100], Layers, (200, 100)),
        (np.array([4, 5]), Layers, (4, 5)),
        ((), Layers, ()),
        ([8, np.int64(8), 1], ImageShape, (8, 8, 1)),
        (np.True_, bool, True),
        (None, int | None, None),
        ("conv", Literal["dense", "conv"], "conv"),
        ({1: 2}, dict, {1: 2}),
        (object, object, object),  # what the house has no words for is the model's own affair
    ],
)
def test_what_python_callers_have_is_taken(value, annotation, expected):
    found = checked("it", value, annotation)
    assert found == expected
    assert type(found) is type(expected)
    assert not isinstance(found, tuple) or all(type(item) is int for item in found)


@pytest.mark.parametrize(
    ("value", "annotation", "words"),
    [
        ((28, 28), ImageShape, "(28, 28): give three such numbers, (28, 28, 1) for grey"),
        ((28, 28, 0), ImageShape, "(28, 28, 0): give three"),
        ((4096, 4096, 2), ImageShape, "at most 16,777,216 values, received (4096, 4096, 2)"),
        ((4097, 1, 1), ImageShape, "from 1 to 4,096"),
        ("x" * 5, Annotated[str, Bounds(1, 4)], "a word, 1 to 4 letters, received 'xxxxx'"),
        ([1], dict, "to be a dictionary"),
        ((28, 28, 1.0), ImageShape, "(height, width, channels)"),
        (28, ImageShape, "received 28"),
        ("abc", Layers, "such as 500 or (200, 100)"),
        ((8, 0), Layers, "each entry a whole number from 1 to 65,536"),
        ((8,) * 101, Layers, "0 to 100 entries"),
        ({8}, Layers, "received {8}"),
        (32.0, Count, "a whole number from 1 to 65,536, received 32.0"),
        (10**400, Weight, "a finite number"),
        ("Dense", Literal["dense", "conv"], "to be 'dense' or 'conv', received 'Dense'"),
        (1, bool, "to be True or False"),
        (1, str, "to be a word"),
        ("x", int | None, "to be a whole number or None"),
        ("x" * 1000, Count, "xxx...: "),
        (np.zeros((2, 2)), Count, "received array([[0., 0.], [0., 0.]])"),
        (np.zeros((2, 2)), Layers, "a tuple such as"),
    ],
)
def test_what_is_wrong_is_one_line(value, annotation, words):
    with pytest.raises(kgen.KgenError) as caught:
        checked("it", value, annotation)
    message = str(caught.value)
    assert words in message
    assert message.startswith("Expected it to be ")
    assert len(message.splitlines()) == 1
    assert len(message) < 300


def test_nothing_is_built_before_all_arguments_are_checked(monkeypatch):
    monkeypatch.setattr(kgen.models.get("gan"), "build_generator", lambda self: 1 / 0)
    for name in ("gan", "wgan", "cgan"):
        with pytest.raises(kgen.KgenError):
            kgen.models.get(name)((8, 8, 1), latent_size=0)
    with pytest.raises(kgen.KgenError):
        kgen.WGAN((8, 8, 1), clip=0)


def test_an_unknown_argument_names_the_nearest():
    with pytest.raises(kgen.KgenError, match="CVAE has no argument 'latentsize': did you mean lat"):
        kgen.CVAE(latentsize=3)


def test_positional_arguments_are_checked_too():
    with pytest.raises(kgen.KgenError, match="levels"):
        kgen.VAE((8, 8, 1), 0)
    with pytest.raises(TypeError, match="positional arguments"):
        kgen.VAE((8, 8, 1), 17, 2)  # what it is beside images and levels is named


def test_configurations_hold_plain_numbers():
    latent_size, hidden = np.int8(2), [np.int64(4)]
    model = kgen.VAE(np.array((8, 8, 1)), np.int64(17), latent_size=latent_size, hidden=hidden)
    config = model.get_config()
    assert (config["image_shape"], config["latent_size"], config["hidden"]) == ((8, 8, 1), 2, (4,))
    assert type(config["latent_size"]) is int
    assert kgen.VAE.from_config(config).get_config() == config


class Own(kgen.ImageModel):
    """One of somebody's own: annotated as its author likes."""

    def __init__(
        self,
        image_shape,
        levels,
        size: Annotated[int, Bounds(2, 9)] = 3,
        names: "list[str]" = ("a",),
        anything=None,
        *,
        share: Fraction = 0.5,
        **kwargs,
    ):
        super().__init__(image_shape, levels, **kwargs)
        self.size, self.names, self.anything, self.share = size, names, anything, share


def test_a_model_of_ones_own_is_checked_where_it_is_annotated():
    model = Own((8, 8, 1), 17, 4, ["a", "b"], object())
    assert (model.size, model.names, model.share) == (4, ["a", "b"], 0.5)
    for wrong in ({"size": 1}, {"share": 1}, {"image_shape": (8, 8)}, {"levels": 70_000}):
        with pytest.raises(kgen.KgenError, match=next(iter(wrong))):
            Own(**{"image_shape": (8, 8, 1), "levels": 17, **wrong})


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, None, "a"])
def test_a_seed_that_not_all_take_is_refused(seed):
    with pytest.raises(kgen.KgenError, match="seed to be a whole number from 0 to 4,294,967,295"):
        kgen.set_seed(seed)


@pytest.mark.parametrize("seed", [0, 2**32 - 1, np.int64(3)])
def test_seeds_within_the_bounds_are_taken(seed):
    kgen.set_seed(seed)


@pytest.mark.parametrize(
    ("name", "shape", "scales", "words"),
    [
        ("glow", (30, 30, 1), 3, "30x30x1.*received 3: choose scales=2"),
        ("glow", (28, 28, 1), 5, "choose scales=4"),
        ("glow", (15, 15, 1), 3, "even sides.*resize"),
        ("glow", (15, 15, 3), 3, "choose scales=2"),
        ("realnvp", (30, 30, 1), 4, "choose scales=3"),
        ("realnvp", (3, 3, 1), 2, "choose scales=1"),
    ],
)
def test_the_scales_that_images_allow_are_told_before_anything_is_built(
    name, shape, scales, words, monkeypatch
):
    model_class = kgen.models.get(name)
    monkeypatch.setattr(model_class, "steps", lambda *_: 1 / 0)
    with pytest.raises(kgen.KgenError, match=words):
        model_class(shape, scales=scales)


@pytest.mark.parametrize(
    ("name", "shape", "scales"),
    [
        ("glow", (30, 30, 1), 2),
        ("glow", (28, 28, 1), 4),
        ("glow", (15, 15, 3), 2),
        ("realnvp", (30, 30, 1), 3),
        ("realnvp", (3, 3, 1), 1),
    ],
)
def test_the_scales_that_are_told_can_be_built(name, shape, scales):
    small = {"base_channels": 2, **({"depth": 1} if name == "glow" else {})}
    model = kgen.models.get(name)(shape, scales=scales, **small)
    assert model.sample(1, seed=0).shape == (1, *shape)
