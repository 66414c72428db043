"""What every registered model must do, one named check per promise.

A check is a function of a `Case` (and of any pytest fixtures it names). Checks that need a
capability say so in `@check(...)` and are not collected for models without it.
"""

import contextlib
import functools
import itertools
import json
import warnings
from dataclasses import dataclass
from typing import NamedTuple
from unittest import mock

import keras
import numpy as np
import pytest
from conftest import SMALL

import kgen
from kgen.training.order import Batches
from kgen.training.parameters import constructor_parameters
from kgen.training.variables import named_variables

BACKEND = keras.backend.backend()
IMAGES, BATCH_SIZE = 100, 32  # batches of 32, 32, 32 and 4
WHOLE = 96  # images of the first three
RATE = 0.1  # of the recorded steps' plain descent
LESSONS = 5  # epochs of 20 steps, after which every model has learned something
CHECKS = []

# === Models ===


def cases():
    """Names of what is tested: every registered model."""
    return list(kgen.models.REGISTRY)


def class_of(name):
    return kgen.models.get(name)


@functools.cache
def case_of(name):
    """The case of that name; what one check trains, the next ones read."""
    return Case(name)


class Kept(NamedTuple):
    """A compiled model, and its variables as they were created.

    Compiling is most of the tests' time: what trains one and the same model again, from the start,
    compiles nothing.
    """

    model: kgen.GenerativeModel
    start: dict

    def anew(self):
        """The model, as if it had never been trained."""
        return self.put_back(self.start)

    def put_back(self, state):
        """The model with the variables of an earlier moment."""
        for name, variable in named_variables(self.model).items():
            variable.assign(state[name])
        return self.model


class Run(NamedTuple):
    """What `fit` left behind."""

    history: dict
    state: dict  # the model's variables


class Mixed(NamedTuple):
    """A model after `fit` in mixed precision."""

    model: kgen.GenerativeModel
    history: dict
    loss_dtypes: set


class Move(NamedTuple):
    """One `minimize` of a training step."""

    player: str | None
    loss: float
    terms: dict
    gradients: dict  # {name: array}
    before: dict  # {name: array} of the model's variables, but for seeds
    after: dict

    @property
    def changed(self):
        """Names of the variables that it changed."""
        return {name for name, value in self.after.items() if not same(self.before[name], value)}


class Case:
    """A model in one form, and images for it.

    Checks share models: one that needs two states of `anew` and `taught`, which are the same model,
    is done with the first before it asks for the second.
    """

    def __init__(self, name):
        self.name = name
        self.model_class = class_of(name)
        self.arguments = {
            "image_shape": (8, 8, 1),
            "levels": 17,
            **SMALL.get(name, {}),
        }
        digits = kgen.data.load("digits").train
        levels = self.arguments["levels"]
        self.all_images = digits.images * (levels - 1) // 16 if levels < 17 else digits.images
        self.images, self.labels = self.all_images[:IMAGES], digits.labels[:IMAGES]
        # Where the smaller last batch is not the point: it is compiled apart.
        self.whole_batches = self.images[:WHOLE], self.labels[:WHOLE]
        self.all_labels = digits.labels

    def create(self, seed=0):
        kgen.set_seed(seed)
        return self.model_class(**self.arguments)

    def compiled(self, seed=0, **settings):
        model = self.create(seed)
        model.compile(**settings)
        return model

    def anew(self):
        """A compiled model that was never trained: the same one at every call."""
        return self.kept.anew()

    @property
    def model(self):
        """That model as the last check left it."""
        return self.kept.model

    @property
    def taught(self):
        """That model after its lessons: read it, do not train it."""
        return self.kept.put_back(self.lessons.state)

    @functools.cached_property
    def kept(self):
        model = self.compiled()
        return Kept(model, state_of(model))

    @functools.cached_property
    def uncompiled(self):
        """A model as it was created: read it, do not compile it."""
        return self.create()

    def fit(self, model, epochs=2, **settings):
        """Fit as `trained` was fitted, unless told otherwise; returns {name: means by epoch}."""
        settings = {"batch_size": BATCH_SIZE, "verbose": 0, **settings}
        return model.fit(self.images, self.labels, epochs=epochs, **settings).history

    def fit_whole_batches(self, model, **settings):
        """Fit as for `in_order`, unless told otherwise; returns {name: means by epoch}."""
        settings = {"batch_size": BATCH_SIZE, "shuffle": False, "verbose": 0, **settings}
        return model.fit(*self.whole_batches, **settings).history

    def teach(self, model, epochs=LESSONS):
        """Epochs of 20 steps; returns {name: means by epoch}."""
        images, labels = self.all_images[:640], self.all_labels[:640]
        settings = {"batch_size": BATCH_SIZE, "epochs": epochs, "verbose": 0}
        return model.fit(images, labels, **settings).history

    def condition(self, count):
        """The labels of the first images, as what inference takes: nothing if none enter."""
        return {"labels": self.labels[:count]} if "classes" in self.arguments else {}

    def made_by(self, model, count=8):
        """Images the model makes, equal at every call: samples, or else reconstructions."""
        if model.can_sample:
            return model.sample(count, seed=0)
        return model.reconstruct(self.images[:count], **self.condition(count))

    @functools.cached_property
    def trained(self):
        """Two epochs, each with a smaller last batch."""
        model = self.anew()
        return Run(self.fit(model), state_of(model))

    @functools.cached_property
    def in_order(self):
        """One epoch of `whole_batches` in the order of the arrays."""
        model = self.anew()
        return Run(self.fit_whole_batches(model), state_of(model))

    @functools.cached_property
    def mixed(self):
        """A model trained in mixed precision, and the dtypes of its losses and terms."""
        dtypes, differentiate = set(), kgen.backend.value_and_grad

        def recording(*args):
            (loss, terms), gradients = differentiate(*args)
            dtypes.update(keras.backend.standardize_dtype(x.dtype) for x in (loss, *terms.values()))
            return (loss, terms), gradients

        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy("mixed_bfloat16")
        try:
            model = self.compiled()
            with mock.patch.object(kgen.backend, "value_and_grad", recording):
                history = model.fit(*self.whole_batches, batch_size=BATCH_SIZE, verbose=0).history
        finally:
            keras.config.set_dtype_policy(before)
        return Mixed(model, history, dtypes)

    @functools.cached_property
    def lessons(self):
        """Long enough for the model to learn something."""
        model = self.anew()
        return Run(self.teach(model), state_of(model))

    @functools.cached_property
    def recorded(self):
        """Plain descent of every player, whose steps `moves` and `later_moves` record."""
        descent = {player: keras.optimizers.SGD(RATE) for player in self.model_class.players}
        return Recorded(self.compiled(optimizer=descent or keras.optimizers.SGD(RATE)))

    @functools.cached_property
    def moves(self):
        """Every `minimize` of the first training step."""
        return self.recorded.step(self.images[:BATCH_SIZE], self.labels[:BATCH_SIZE])[0]

    @functools.cached_property
    def later_moves(self):
        """Every `minimize` of the second and third training step, after `moves`."""
        assert self.moves
        batch = self.images[:BATCH_SIZE], self.labels[:BATCH_SIZE]
        return [move for _ in range(2) for move in self.recorded.step(*batch)[0]]


class Recorded:
    """A compiled model whose training step, compiled as ever, also returns what its moves did."""

    def __init__(self, model):
        self.model, self.players = model, []
        self.names = names_of(model)
        self.train_step, self.differentiate = model.train_step, kgen.backend.value_and_grad
        model.train_step = self._train_step

    def step(self, *batch):
        """One training step: its moves, and {term: value}."""
        # Keras' own: a golden record's batches are none that kgen's would take.
        logs = keras.Model.train_on_batch(self.model, *batch, return_dict=True)
        arrays = keras.tree.map_structure(array, logs.pop("moves"))
        return [Move(*move) for move in zip(self.players, *arrays, strict=True)], logs

    def _train_step(self, data):
        """What is compiled."""
        self.players, moves = [], {name: [] for name in Move._fields[1:]}
        minimize = type(self.model).minimize

        def differentiate(model, function, variables):
            result = self.differentiate(model, function, variables)
            gradients = map(keras.ops.copy, result[1])  # PyTorch clips them where they are
            named = zip((self.names[id(v)] for v in variables), gradients, strict=True)
            moves["gradients"].append(dict(named))
            return result

        def recording(model, loss_function, player=None, *args):
            self.players.append(player)
            moves["before"].append(self._floats())
            loss, terms = minimize(model, loss_function, player, *args)
            moves["after"].append(self._floats())
            moves["loss"].append(loss)
            moves["terms"].append(terms)
            return loss, terms

        with (
            mock.patch.object(kgen.backend, "value_and_grad", differentiate),
            mock.patch.object(type(self.model), "minimize", recording),
        ):
            logs = self.train_step(data)
        return {**logs, "moves": list(moves.values())}

    def _floats(self):
        """{name: value} of the model's variables, but for seeds, at this point of the step."""
        return {
            self.names[id(v)]: keras.ops.stop_gradient(keras.ops.copy(v.value))
            for v in self.model.variables
            if id(v) in self.names and keras.backend.is_float_dtype(v.dtype)
        }


# === Helpers ===


def array(tensor):
    """A copy that outlives the tensor: JAX deletes donated ones, also on the CPU."""
    return np.array(keras.ops.convert_to_numpy(tensor))


def state_of(model):
    return {name: array(variable.value) for name, variable in named_variables(model).items()}


def weights_in(state):
    return {name: value for name, value in state.items() if name.startswith("model/")}


def trainable(model):
    """{name: array} of the trainable variables, under names that equal models share."""
    names = names_of(model)
    return {names[id(v)]: array(v.value) for v in model.trainable_variables}


def names_of(model):
    """{id of a variable: its name}: Keras' own paths count layers over the whole process."""
    return {id(variable): name for name, variable in named_variables(model).items()}


def same(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b)


def assert_same(received, expected):
    assert received.keys() == expected.keys()
    assert [name for name in expected if not same(received[name], expected[name])] == []


def assert_close(received, expected, tolerance):
    """Within `tolerance` of each array's largest entry (or of 1 where that is smaller)."""
    assert received.keys() == expected.keys()
    far = {
        name: float(np.max(np.abs(np.subtract(received[name], value, dtype="float64"))))
        for name, value in expected.items()
        if not np.allclose(
            received[name], value, rtol=0, atol=tolerance * max(1, np.max(np.abs(value)))
        )
    }
    assert far == {}


def assert_near_levels(received, expected):
    """Equal images, up to a level where floats were rounded the other way."""
    assert np.abs(received.astype(int) - expected.astype(int)).max() <= 1


def finite(history):
    return all(np.isfinite(values).all() for values in history.values())


@contextlib.contextmanager
def refused(*words):
    """The block raises a KgenError of one line that contains every word."""
    with pytest.raises(kgen.KgenError) as caught:
        yield
    message = str(caught.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


class AsPyDataset(keras.utils.PyDataset):
    """Batches in the order of the arrays."""

    def __init__(self, *arrays):
        super().__init__()
        self.arrays = arrays

    def __len__(self):
        return -(-len(self.arrays[0]) // BATCH_SIZE)

    def __getitem__(self, index):
        chosen = slice(index * BATCH_SIZE, (index + 1) * BATCH_SIZE)
        return tuple(part[chosen] for part in self.arrays)


@dataclass(frozen=True)
class Check:
    function: callable
    needs: callable
    backends: tuple
    slow_on: tuple

    @property
    def name(self):
        return self.function.__name__

    def applies_to(self, case_name):
        return BACKEND in self.backends and self.needs(class_of(case_name))

    @property
    def marks(self):
        return [pytest.mark.slow] if BACKEND in self.slow_on else []


def check(
    function=None, *, needs=lambda model_class: True, on=("jax", "tensorflow", "torch"), slow_on=()
):
    """Add a check for the models that satisfy `needs`, on the backends `on`."""
    if function is None:
        return functools.partial(check, needs=needs, on=on, slow_on=slow_on)
    CHECKS.append(Check(function, needs, on, slow_on))
    return function


def has_likelihood(model_class):
    return model_class.likelihood is not None


def has_bound(model_class):
    return model_class.likelihood == "bound"


def has_players(model_class):
    return bool(model_class.players)


def has_one_loss(model_class):
    return not model_class.players


def can_sample(model_class):
    return model_class.can_sample


def has_sampler(model_class):
    return model_class.has_sampler


def is_conditional(model_class):
    return model_class.conditional


def has_latents(model_class):
    return model_class.has_latents


# === Construction and configuration ===


@check
def is_rebuilt_from_its_config(case):
    config = case.model.get_config()
    assert case.model_class.from_config(config).get_config() == config


@check
def config_survives_json(case):
    config = case.model.get_config()
    rebuilt = case.model_class.from_config(json.loads(json.dumps(config)))
    assert rebuilt.get_config() == config


@check
def config_lists_every_constructor_argument(case):
    expected = {*constructor_parameters(case.model_class), "name", "dtype"}
    assert set(case.model.get_config()) == expected


@check
def keeps_every_argument_under_its_name(case):
    model = case.uncompiled
    assert {name: getattr(model, name) for name in case.arguments} == case.arguments


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
def creation_from_data_takes_shape_and_levels(case):
    data = kgen.data.load(case.images)
    name = kgen.models.name_of(case.model)
    settings = {k: v for k, v in case.arguments.items() if k not in ("image_shape", "levels")}
    model = kgen.models.create(name, data, **settings)
    assert (model.image_shape, model.levels) == (data.image_shape, data.levels)


@check
def summary_prints(case):
    lines = []
    case.model.summary(print_fn=lambda line, **_: lines.append(line))
    assert "Trainable params" in "\n".join(lines)


# === Training ===


@check
def losses_are_finite(case):
    assert finite(case.trained.history)


@check
def history_has_the_tracked_terms(case):
    assert set(case.trained.history) == set(case.model_class.tracked)


@check
def history_has_every_epoch(case):
    assert {len(values) for values in case.trained.history.values()} == {2}


@check
def metrics_are_the_tracked_terms(case):
    assert list(case.model.get_metrics_result()) == list(case.model_class.tracked)


@check
def every_trainable_variable_has_a_gradient(case):
    """In one of the first steps: a layer that starts at zero passes none on in the very first."""
    seen = {name for move in case.moves for name, g in move.gradients.items() if g.any()}
    if seen != set(trainable(case.recorded.model)):
        seen |= {name for move in case.later_moves for name, g in move.gradients.items() if g.any()}
    assert seen == set(trainable(case.recorded.model))


@check
def moves_cover_every_trainable_variable(case):
    moved = set().union(*(move.gradients for move in case.moves))
    assert moved == set(trainable(case.recorded.model))


@check
def training_changes_every_trainable_variable(case):
    before, after = trainable(case.anew()), case.trained.state
    assert [name for name in before if same(before[name], after[name])] == []


@check(needs=has_players)
def a_move_changes_only_its_player(case):
    model = case.recorded.model
    names = names_of(model)
    for move in case.moves:
        moved = {names[id(v)] for v in model.variables_of(move.player)}
        statistics = getattr(model, move.player).non_trainable_variables
        assert moved <= move.changed <= moved | {names[id(v)] for v in statistics}


@check(needs=has_players)
def every_player_moves_in_turn(case):
    players = [player for player, _ in itertools.groupby(move.player for move in case.moves)]
    assert players == list(case.model_class.players)


@check(needs=has_players)
def players_share_no_variable(case):
    model = case.uncompiled
    owned = [id(v) for player in model.players for v in model.variables_of(player)]
    assert sorted(owned) == sorted(id(v) for v in model.trainable_variables)


@check
def optimizer_counts_the_steps(case):
    assert int(case.taught.optimizer.iterations) == LESSONS * 20


@check(needs=has_one_loss)
def loss_falls(case):
    first, *_, last = case.lessons.history["loss"]
    assert last < 0.98 * first


@check(needs=has_players)
def samples_move_nearer_to_the_data(case):
    def distance(model):
        samples = model.sample(200, seed=0)
        return np.hypot(samples.mean() - data.mean(), samples.std() - data.std())

    data = case.all_images
    assert distance(case.taught) < 0.95 * distance(case.anew())


@check
def epoch_logs_are_means_weighted_by_images(case):
    model, logs, sizes = case.anew(), [], []
    for images, labels in AsPyDataset(case.images, case.labels):
        sizes.append(len(images))
        settings = {"batch_size": sizes[-1], "shuffle": False, "verbose": 0}
        logs.append(model.fit(images, labels, **settings).history)
    history = case.fit(case.anew(), epochs=1, shuffle=False)  # the same steps once more
    assert sizes == [32, 32, 32, 4]
    means = {n: np.average([log[n] for log in logs], axis=0, weights=sizes) for n in history}
    assert_close(history, means, 1e-4)


@check
def fit_trains_on_the_batches_of_its_seed(case):
    model = case.anew()
    batches = Batches(case.images, case.labels, BATCH_SIZE, model.seed)
    for epoch in (0, 1):
        drawn = [batches.batch(epoch, index) for index in range(batches.num_batches)]
        in_order = (np.concatenate(part) for part in zip(*drawn, strict=True))
        model.fit(*in_order, batch_size=BATCH_SIZE, shuffle=False, verbose=0)
    assert_same(state_of(model), case.trained.state)


@check
def an_optimizer_of_the_users_own_is_obeyed(case):
    """Every variable goes down its gradient, but for those that the first batch sets before it."""
    names = names_of(case.recorded.model)
    set_by_data = getattr(case.recorded.model, "data_dependent", ())
    for move in case.moves:
        moved = move.gradients.keys() - {names[id(variable)] for variable in set_by_data}
        expected = {name: move.before[name] - RATE * move.gradients[name] for name in moved}
        assert_close({name: move.after[name] for name in moved}, expected, 1e-5)


@check
def validation_is_logged(case):
    held_out = (case.images[:BATCH_SIZE], case.labels[:BATCH_SIZE])
    history = case.fit_whole_batches(case.anew(), validation_data=held_out)
    tracked = case.model_class.tracked
    assert set(history) == {*tracked, *(f"val_{name}" for name in tracked)}
    assert finite(history)


@check
def evaluate_returns_the_tracked_terms(case):
    logs = case.model.evaluate(case.images, case.labels, verbose=0, return_dict=True)
    assert set(logs) == set(case.model_class.tracked)
    assert np.isfinite(list(logs.values())).all()


@check
def evaluate_leaves_the_weights(case):
    model = case.anew()
    before = [array(weight) for weight in model.get_weights()]
    model.evaluate(case.images, case.labels, verbose=0)
    assert all(map(same, before, map(array, model.get_weights())))


# === Randomness ===


@check
def equal_seeds_train_alike(case):
    """Bit for bit: what two models begin with, and the losses over forty steps from there."""
    first_lessons = {name: values[:2] for name, values in case.lessons.history.items()}
    model = case.anew()
    assert_same(state_of(case.create()), weights_in(state_of(model)))
    assert case.teach(model, epochs=2) == first_lessons


@check
def other_seeds_give_other_weights(case):
    first, second = (model.get_weights() for model in (case.create(0), case.create(1)))
    assert not all(map(same, first, second))


@check
def noise_is_new_at_every_call(case):
    model = case.model
    assert not same(array(model.normal((4,))), array(model.normal((4,))))


@check
def noise_is_new_at_every_step(case):
    """Steps on equal weights and images differ in their losses if they draw noise at all."""
    model, batch = case.anew(), (case.images[:BATCH_SIZE], case.labels[:BATCH_SIZE])
    first = model.fit(*batch, verbose=0).history
    drawn = {name: value for name, value in state_of(model).items() if "seed_generator" in name}
    draws = not all(same(case.kept.start[name], state) for name, state in drawn.items())
    second = case.kept.put_back({**case.kept.start, **drawn}).fit(*batch, verbose=0).history
    differ = any(not np.isclose(first[name], second[name], rtol=1e-6) for name in first)
    assert differ == draws


@check(needs=has_sampler)
def its_sampler_is_a_keras_model_of_the_same_images(case, tmp_path):
    model, count = case.taught, 10
    latents = np.random.default_rng(3).standard_normal((count, model.latent_size), "float32")
    inputs = [latents, np.arange(count) % model.classes] if model.classes else latents
    sampler, expected = model.sampler(), model.sample(count, seed=3)
    assert same(array(sampler(inputs)), expected)
    sampler.save(tmp_path / "sampler.keras")
    assert same(array(keras.saving.load_model(tmp_path / "sampler.keras")(inputs)), expected)


@check(needs=can_sample)
def samples_without_seed_differ(case):
    model = case.taught
    assert not same(model.sample(100), model.sample(100))  # of two levels, eight may be equal


@check(needs=can_sample)
def samples_of_equal_seeds_are_equal(case):
    model = case.taught
    assert same(model.sample(8, seed=3), model.sample(8, seed=3))


@check(needs=can_sample)
def samples_of_other_seeds_differ(case):
    model = case.taught
    assert not same(model.sample(100, seed=3), model.sample(100, seed=4))


@check(needs=can_sample)
def sampling_changes_no_variable(case):
    model = case.taught
    before = state_of(model)
    model.sample(8)
    assert_same(state_of(model), before)


@check
def a_callback_may_sample(case):
    """Also in the middle of an epoch; and training goes on to the same weights."""

    class Sampling(keras.callbacks.Callback):
        samples = []  # noqa: RUF012

        def on_train_batch_end(self, batch, logs=None):
            self.samples.append(case.made_by(self.model, 2))

    model = case.anew()
    case.fit_whole_batches(model, callbacks=[Sampling()])
    assert len(Sampling.samples) == 3
    assert_same(state_of(model), case.in_order.state)


# === Samples ===


@check
def samples_have_the_shape_of_images(case):
    assert case.made_by(case.taught, 5).shape == (5, *case.arguments["image_shape"])


@check
def samples_are_uint8_arrays(case):
    samples = case.made_by(case.taught, 5)
    assert isinstance(samples, np.ndarray)
    assert samples.dtype == np.uint8


@check
def samples_are_levels(case):
    assert case.made_by(case.taught, 100).max() < case.arguments["levels"]


@check(needs=can_sample)
def one_pass_samples_where_the_model_says_so(case):
    """One call of one compiled function, which is no loop."""
    calls, compiled = [], kgen.backend.compiled

    def recording(model, function, loop=False):
        run = compiled(model, function, loop=loop)

        def call(*arrays):
            calls.append(loop)
            return run(*arrays)

        return call

    with mock.patch.object(kgen.backend, "compiled", recording):
        case.create().sample(8, seed=0)
    assert (calls == [False]) == case.model_class.samples_in_one_pass


@check
def samples_see_new_weights(case):
    """Compiled sampling reads the weights of the moment, not those it was compiled with."""
    before = case.made_by(case.anew())
    assert not same(case.made_by(case.taught), before)
    assert same(case.made_by(case.anew()), before)


@check
def an_uncompiled_model_samples(case):
    assert case.made_by(case.uncompiled, 2).shape[0] == 2


# === Ways to run ===


@check
def several_steps_per_execution_train_alike(case):
    model = case.compiled(steps_per_execution=3)
    history = case.fit_whole_batches(model)
    assert int(model.optimizer.iterations) == 3
    assert_close(history, case.in_order.history, 1e-5)
    assert_close(state_of(model), case.in_order.state, 1e-5)


@check(slow_on=("jax",))  # it compiles every operation by itself, some seconds for a model
def eager_training_equals_compiled(case):
    model = case.compiled(run_eagerly=True)
    history = case.fit_whole_batches(model)
    assert_close(history, case.in_order.history, 1e-4)
    assert_close(state_of(model), case.in_order.state, 1e-4)


@check(on=("tensorflow",))  # on JAX everything is
def trains_and_samples_under_xla(case):
    model = case.compiled(jit_compile=True)
    history = model.fit(*case.whole_batches, batch_size=BATCH_SIZE, verbose=0).history
    assert finite(history)
    assert case.made_by(model).shape[0] == 8


@check(needs=has_likelihood, on=("tensorflow",))
def log_prob_under_xla_is_that_of_the_graph(case):
    model = case.create()
    seeded = {"seed": 0} if has_bound(model) else {}
    expected = model.log_prob(case.images[:5], **case.condition(5), **seeded)
    model.compile(jit_compile=True)
    found = model.log_prob(case.images[:5], **case.condition(5), **seeded)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@check(on=("torch",))
def recorded_steps_are_those_run_one_by_one(case):
    model = case.compiled(jit_compile=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "This training step")  # that it was not recorded
        assert case.fit(model) == case.trained.history
    assert_same(state_of(model), case.trained.state)


@check
def trains_in_mixed_bfloat16(case):
    assert finite(case.mixed.history)
    assert {variable.dtype for variable in case.mixed.model.trainable_variables} == {"float32"}


@check
def samples_in_mixed_bfloat16(case):
    assert case.made_by(case.mixed.model).dtype == np.uint8


@check
def losses_are_float32_in_mixed_bfloat16(case):
    assert case.mixed.loss_dtypes == {"float32"}


@check
def other_policies_are_refused_before_anything_is_built(case, policy):
    for name in ("float16", "mixed_float16", "bfloat16", "float64"):
        policy(name)
        with refused("float32", "mixed_bfloat16", repr(name), "set_dtype_policy"):
            case.create()


# === Data ===


@check
def trains_on_a_pydataset(case):
    model = case.anew()
    model.fit(AsPyDataset(*case.whole_batches), verbose=0)
    # TensorFlow's graph of its own pipelines, for batches of any size, may sum in another order.
    assert_close(state_of(model), case.in_order.state, 1e-5)


@check(on=("tensorflow",))
def trains_on_a_tf_dataset(case):
    import tensorflow as tf

    model = case.anew()
    batches = tf.data.Dataset.from_tensor_slices(case.whole_batches).batch(BATCH_SIZE)
    model.fit(batches, verbose=0)
    assert_close(state_of(model), case.in_order.state, 1e-5)


@check(on=("torch",))
def trains_on_a_data_loader(case):
    import torch

    pairs = torch.utils.data.TensorDataset(*map(torch.from_numpy, case.whole_batches))
    model = case.anew()
    model.fit(torch.utils.data.DataLoader(pairs, BATCH_SIZE), verbose=0)
    assert_same(state_of(model), case.in_order.state)


# === Saving ===


@check
def loads_what_was_saved(case, tmp_path):
    kgen.save(case.taught, tmp_path)
    loaded = kgen.load(tmp_path)
    assert loaded.get_config() == case.taught.get_config()
    assert_same(state_of(loaded), case.lessons.state)


@check
def a_loaded_model_samples_alike(case, tmp_path):
    kgen.save(case.taught, tmp_path)
    assert same(case.made_by(kgen.load(tmp_path)), case.made_by(case.taught))


@check
def a_model_saved_uncompiled_is_loaded_uncompiled(case, tmp_path):
    model = case.uncompiled
    kgen.save(model, tmp_path)
    loaded = kgen.load(tmp_path)
    assert not loaded.compiled
    assert_same(state_of(loaded), state_of(model))


@check
def training_continues_where_it_was_saved(case, tmp_path):
    """Bit for bit: weights, slots, noise and the order of the images."""
    model = case.anew()
    case.fit_whole_batches(model, shuffle=True, epochs=2)
    expected = state_of(model)
    model = case.anew()
    case.fit_whole_batches(model, shuffle=True, epochs=1)
    kgen.save(model, tmp_path)
    loaded = kgen.load(tmp_path)
    case.fit_whole_batches(loaded, shuffle=True, epochs=2, initial_epoch=1)
    assert_same(state_of(loaded), expected)


@check
def keras_format_keeps_weights_and_optimizer(case, tmp_path):
    case.taught.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert loaded.compiled
    assert_same(state_of(loaded), case.lessons.state)


@check
def a_weights_file_of_keras_keeps_the_seeds(case, tmp_path):
    model, other = case.uncompiled, case.create(seed=1)
    assert other.seed != model.seed
    model.save_weights(tmp_path / "x.weights.h5")
    other.load_weights(tmp_path / "x.weights.h5")
    assert_same(state_of(other), state_of(model))


@check(needs=has_sampler)
def networks_alone_are_kept_by_the_keras_format(case, tmp_path):
    networks = [part for part in case.uncompiled.layers if isinstance(part, keras.Model)]
    assert len(networks) >= 2
    for network in networks:
        network.save(tmp_path / "x.keras")
        loaded = keras.saving.load_model(tmp_path / "x.keras")
        for ours, theirs in zip(loaded.weights, network.weights, strict=True):
            assert same(array(ours.value), array(theirs.value))


# === Likelihood ===


@check(needs=has_likelihood)
def log_prob_has_one_value_per_image(case):
    assert case.taught.log_prob(case.images[:5], **case.condition(5)).shape == (5,)


@check(needs=has_likelihood)
def log_prob_is_float64(case):
    assert case.taught.log_prob(case.images[:5], **case.condition(5)).dtype == np.float64


@check(needs=has_likelihood)
def log_prob_is_finite(case):
    assert np.isfinite(case.taught.log_prob(case.images, **case.condition(IMAGES))).all()


@check(needs=lambda c: c.likelihood == "exact")
def log_prob_is_at_most_zero(case):
    assert case.taught.log_prob(case.images, **case.condition(IMAGES)).max() <= 0


@check(needs=has_bound)
def bound_is_at_most_zero(case):
    assert (
        case.taught.log_prob(case.images, **case.condition(IMAGES), samples=50, seed=0).max() <= 0
    )


@check(needs=has_bound)
def bound_of_equal_seeds_is_equal(case):
    first, second = (
        case.taught.log_prob(case.images, **case.condition(IMAGES), seed=5) for _ in range(2)
    )
    assert same(first, second)


@check(needs=has_bound)
def bound_rises_with_samples(case):
    one, many = (
        case.taught.log_prob(case.images, **case.condition(IMAGES), samples=k, seed=0)
        for k in (1, 50)
    )
    assert many.mean() > one.mean()


@check(needs=has_likelihood)
def training_raises_log_prob(case):
    before, after = (
        case.anew().log_prob(case.images, **case.condition(IMAGES)),
        case.taught.log_prob(case.images, **case.condition(IMAGES)),
    )
    assert after.mean() > before.mean()


@check(needs=lambda c: c.likelihood is None)
def models_without_likelihood_say_which_have_one(case):
    for log_prob in (
        case.uncompiled.log_prob,
        functools.partial(kgen.density.log_prob, case.uncompiled),
    ):
        with refused("with a likelihood", case.model_class.__name__, "vae", "pixelcnn", "glow"):
            log_prob(case.images)


@check(needs=lambda c: not c.has_latents)
def models_without_latents_say_which_have_some(case):
    model, images = case.uncompiled, case.images
    uses = [
        *(lambda name=name: getattr(model, name)(images) for name in ("encode", "latents")),
        *(lambda name=name: getattr(model, name)(images) for name in ("decode", "reconstruct")),
        lambda: kgen.latent.traverse(model, images[0], 0),
        lambda: kgen.latent.traverse(model, None, (0, 1)),
        lambda: kgen.latent.interpolate(model, images[:1], images[1:2]),
        lambda: kgen.probe.linear_probe(model, None, None),
    ]
    for use in uses:
        with refused("with latents", case.model_class.__name__, "vae", "realnvp"):
            use()


@check(needs=lambda c: not c.can_complete)
def models_that_complete_nothing_say_which_do(case):
    with refused("completes", case.model_class.__name__, "pixelcnn, gated_pixelcnn"):
        case.uncompiled.complete(case.images, np.ones((8, 8), bool))


@check(needs=lambda c: not c.has_sampler)
def models_without_a_sampler_say_which_have_one(case):
    with refused("one pass through a network", case.model_class.__name__, "vae", "dcgan"):
        case.uncompiled.sampler()


@check(needs=lambda c: not c.can_sample)
def models_that_cannot_sample_say_which_can(case):
    data = kgen.data.load("digits").limit(20)
    quality = kgen.evaluation.SampleQuality(data, encoder=lambda images: images.reshape(-1, 64))
    with refused("draws new images", case.model_class.__name__, "vae", "dcgan", "glow"):
        case.fit(case.compiled(), callbacks=[quality])
    with refused("cannot sample", "vae", "dcgan", "glow"):
        case.uncompiled.sample(1)


# === Autoregressive models ===


def is_autoregressive(model_class):
    return model_class.likelihood == "exact" and model_class.can_complete


def blocked_gradients(model, labels=None):
    """Gradients of every value's parameters with respect to every value, in raster order.

    Returns those with respect to the value itself and later ones, which are to be zero, and those
    with respect to earlier ones.
    """
    height, width, colours = model.image_shape
    images = np.random.default_rng(0).normal(size=(1, height, width, colours)).astype("float32")
    condition = model.condition(*labels or ())

    def gradient(images, chosen):  # one-hot (height, width, colours)
        def chosen_parameters(x):
            parameters = model.parameters_given(x, condition)
            parameters = keras.ops.reshape(parameters, (1, height, width, -1, colours))
            # Squares: the logits of all levels, weighed differently
            return keras.ops.square(parameters) * chosen[:, :, None]

        return kgen.backend.input_gradient(model, chosen_parameters, images)

    compiled = kgen.backend.compiled(model, gradient)
    values = np.eye(images.size, dtype="float32").reshape(-1, height, width, colours)
    jacobian = np.array([array(compiled(images, value)).ravel() for value in values])
    later = np.triu_indices(images.size)
    earlier = np.tril_indices(images.size, -1)
    return jacobian[later], jacobian[earlier]


def plainly_completed(model, images, mask, seed, labels=()):
    """What `complete` returns, by a full pass through the network for every value."""
    uniform = np.random.default_rng(seed).random(images.shape, "float32")
    parameters_of = kgen.backend.compiled(model, model.parameters_of)
    images, colours = images.copy(), images.shape[-1]
    for row, column, colour in itertools.product(*map(range, images.shape[1:])):
        chosen = (slice(None), slice(row, row + 1), slice(column, column + 1))
        parameters = array(parameters_of(images, *labels))[chosen][..., colour::colours]
        noise = uniform[chosen][..., colour : colour + 1]
        drawn = array(model.pixels.sample(*map(keras.ops.convert_to_tensor, (parameters, noise))))
        unknown = mask[:, row, column]
        images[unknown, row, column, colour] = drawn[unknown, 0, 0, 0]
    return images


@check(needs=is_autoregressive)
def no_pixel_sees_itself_or_a_later_one(case):
    model = case.taught
    labels = model.checked_labels(**{"labels": None, **case.condition(1)}, count=1)
    later, earlier = blocked_gradients(model, labels)
    assert not later.any()
    assert earlier.any()


@check(needs=is_autoregressive)
def cached_sampling_gives_the_pixels_of_the_plain_loop(case):
    model, labels = case.taught, case.condition(8)
    everything = np.ones((8, *case.images.shape[1:3]), bool)
    expected = plainly_completed(model, case.images[:8], everything, 3, tuple(labels.values()))
    assert same(model.sample(8, **labels, seed=3), expected)


@check(needs=is_autoregressive)
def all_pixels_filled_in_are_a_sample(case):
    model, labels = case.taught, case.condition(8)
    mask = np.ones(case.images.shape[1:3], bool)
    filled_in = model.complete(case.images[:8], mask, **labels, seed=3)
    assert same(filled_in, model.sample(8, **labels, seed=3))


@check(needs=is_autoregressive)
def filling_in_keeps_known_pixels(case):
    model, images = case.taught, case.images[:8]
    mask = np.zeros(images.shape[1:3], bool)
    mask[4:] = True
    filled_in = model.complete(images, mask, **case.condition(8), seed=3)
    assert same(filled_in[:, :4], images[:, :4])
    assert not same(filled_in[:, 4:], images[:, 4:])
    assert filled_in.max() < case.arguments["levels"]
    unlooked_at = np.where(mask[..., None], np.uint8(255), images)
    assert same(model.complete(unlooked_at, mask, **case.condition(8), seed=3), filled_in)
    with refused("received up to 255"):
        model.complete(unlooked_at, ~mask, **case.condition(8))


@check(needs=is_autoregressive)
def nothing_to_fill_in_changes_nothing(case):
    mask = np.zeros(case.images.shape[1:3], bool)
    images = case.images[:8]
    assert same(case.taught.complete(images, mask, **case.condition(8)), images)


# === Latents ===


@check(needs=has_latents)
def decoded_latents_are_images(case):
    latents = np.zeros((3, case.taught.latent_size), "float32")
    decoded = case.taught.decode(latents, **case.condition(3))
    assert (decoded.shape, decoded.dtype) == ((3, *case.arguments["image_shape"]), np.uint8)


@check(needs=has_latents)
def encoding_has_one_row_per_image(case):
    encoded = keras.tree.flatten(case.taught.encode(case.images[:3], **case.condition(3)))
    assert {part.shape for part in encoded} == {(3, case.taught.latent_size)}


@check(needs=has_latents)
def latents_are_one_point_per_image(case):
    latents = case.taught.latents(case.images[:3], **case.condition(3))
    assert latents.shape == (3, case.taught.latent_size)


@check(needs=has_latents)
def latents_are_interpolated_between_reconstructions(case):
    model, condition = case.taught, case.condition(3)
    first, second = case.images[:3], case.images[3:6]
    for kind in ("linear", "spherical"):
        rows = kgen.latent.interpolate(model, first, second, steps=4, kind=kind, **condition)
        assert rows.shape == (3, 4, *case.arguments["image_shape"])
        assert_near_levels(rows[:, 0], model.reconstruct(first, **condition))
        assert_near_levels(rows[:, -1], model.reconstruct(second, **condition))


@check(needs=has_latents)
def latent_dimensions_are_traversed(case):
    label = {name: values[0] for name, values in case.condition(1).items()}
    label = {"label": label["labels"]} if label else {}
    images = kgen.latent.traverse(
        case.taught, case.images[0], (0, 1), np.linspace(-3, 3, 4), **label
    )
    assert images.shape == (4, 4, *case.arguments["image_shape"])
    assert not same(images[0], images[-1])
    assert not same(images[:, 0], images[:, -1])


@check(needs=has_latents)
def usage_of_latents_is_their_variance(case):
    condition = case.condition(20)
    used = kgen.latent.usage(case.taught, case.images[:20], **condition)
    latents = case.taught.latents(case.images[:20], **condition)
    np.testing.assert_allclose(used, latents.var(axis=0), rtol=1e-3, atol=1e-6)


@check(needs=has_latents)
def reconstructions_are_images(case):
    rebuilt = case.taught.reconstruct(case.images[:3], **case.condition(3))
    assert (rebuilt.shape, rebuilt.dtype) == ((3, *case.arguments["image_shape"]), np.uint8)


@check(needs=has_latents)
def training_improves_reconstructions(case):
    def error(model):
        return np.mean(
            (model.reconstruct(images, **case.condition(IMAGES)).astype(float) - images) ** 2
        )

    images = case.images
    after = error(case.taught)
    assert after < error(case.anew()) or after == 0  # as that of a bijection always is


# === Labels ===


@check(needs=is_conditional)
def labels_change_the_samples(case):
    zeros, ones = (case.taught.sample(8, labels=np.full(8, label), seed=0) for label in (0, 1))
    assert not same(zeros, ones)


@check(needs=is_conditional)
def samples_without_labels_are_of_the_classes_in_turn(case):
    model, labels = case.taught, np.arange(12) % 10
    assert same(model.sample(12, seed=0), model.sample(12, labels=labels, seed=0))


@check(needs=is_conditional)
def training_without_labels_is_refused(case):
    with refused("label", "none"):
        case.model.fit(case.images, batch_size=BATCH_SIZE, verbose=0)
    with refused("labels"):
        case.model.fit(AsPyDataset(case.images), verbose=0)


@check(needs=is_conditional)
def labels_out_of_range_are_refused(case):
    with refused("0..9", "10"):
        case.model.fit(case.images, np.full(IMAGES, 10), batch_size=BATCH_SIZE)
    with refused("0..9", "-1"):
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
        case.model.log_prob(case.images[:2], labels=case.labels[:2])


# === Mistakes ===


@check(needs=lambda c: not c.can_sample)
def a_model_that_cannot_sample_says_why(case):
    with refused(case.model_class.__name__, "distribution of latents", "vae"):
        case.uncompiled.sample(8)


def fit_refuses(case, images, *words):
    with refused(*words):
        case.model.fit(images, batch_size=BATCH_SIZE, verbose=0)


@check
def float_images_are_refused(case):
    fit_refuses(case, case.images.astype("float32"), "uint8", "float32")


@check
def images_of_another_size_are_refused(case):
    fit_refuses(case, case.images[:, :7], "8, 8, 1", "7, 8, 1")


@check
def images_without_channels_are_refused(case):
    fit_refuses(case, case.images[..., 0], "8, 8, 1")


@check
def images_of_other_channels_are_refused(case):
    fit_refuses(case, np.repeat(case.images, 3, axis=-1), "8, 8, 1", "8, 8, 3")


@check
def values_beyond_the_levels_are_refused(case):
    levels = case.arguments["levels"]
    fit_refuses(case, case.images + np.uint8(levels), f"levels={levels}")


@check
def fewer_images_than_a_batch_are_refused(case):
    few = slice(BATCH_SIZE - 1)
    labels = None if case.labels is None else case.labels[few]
    with refused(str(BATCH_SIZE), str(BATCH_SIZE - 1)):
        case.model.fit(case.images[few], labels, batch_size=BATCH_SIZE, verbose=0)


@check
def no_images_are_refused(case):
    fit_refuses(case, case.images[:0], "at least")


@check
def wrong_validation_images_are_refused(case):
    with refused("uint8", "float32"):
        case.fit(case.model, validation_data=(case.images.astype("float32"),))


@check
def wrong_images_are_refused_by_evaluate(case):
    with refused("uint8", "float32"):
        case.model.evaluate(case.images.astype("float32"), verbose=0)


@check
def wrong_batches_are_refused_and_leave_the_model_as_it_was(case):
    model = case.anew()
    for run in (model.fit, model.evaluate):
        with refused("uint8", "float32"):
            run(AsPyDataset(case.images.astype("float32")), verbose=0)
        assert_same(state_of(model), case.kept.start)


@check
def sample_weights_are_refused(case):
    weights = np.ones(IMAGES, "float32")
    with refused("sample_weight"):
        case.model.fit(AsPyDataset(case.images, case.labels, weights), verbose=0)


@check
def fit_before_compile_is_refused(case):
    with refused("compile()"):
        case.fit(case.uncompiled)


@check
def evaluate_before_compile_is_refused(case):
    with refused("compile()"):
        case.uncompiled.evaluate(case.images, verbose=0)


@check(needs=has_players)
def one_optimizer_for_players_is_refused(case):
    with refused(*case.model_class.players):
        case.uncompiled.compile(optimizer=keras.optimizers.Adam())


@check(needs=has_players)
def a_missing_player_is_refused(case):
    first, *_ = case.model_class.players
    with refused(*case.model_class.players):
        case.uncompiled.compile(optimizer={first: keras.optimizers.Adam()})


@check(needs=has_players)
def an_unknown_player_is_refused(case):
    names = [*case.model_class.players, "referee"]
    with refused("referee"):
        case.uncompiled.compile(optimizer={name: keras.optimizers.Adam() for name in names})


@check(needs=has_one_loss)
def players_of_a_model_without_any_are_refused(case):
    with refused("generator"):
        case.uncompiled.compile(optimizer={"generator": keras.optimizers.Adam()})


@check
def another_dtype_than_the_policy_is_refused(case):
    with refused("set_dtype_policy", "mixed_bfloat16"):
        case.model_class(**case.arguments, dtype="mixed_bfloat16")
