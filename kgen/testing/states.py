"""A model in its states, each made once: as created, trained, in mixed precision, step by step."""

import contextlib
import functools
from typing import NamedTuple
from unittest import mock

import keras

from kgen import backend
from kgen.description.variables import named_variables
from kgen.seeds import set_seed
from kgen.testing.comparing import state_of
from kgen.testing.recorded import Recorded
from kgen.training import GenerativeModel

COUNT, BATCH_SIZE = 100, 32  # items: batches of 32, 32, 32 and 4
WHOLE = 96  # items of the first three
RATE = 0.1  # of the recorded steps' plain descent
LESSONS = 5  # epochs of 20 steps, after which every model has learned something


class Kept(NamedTuple):
    """A compiled model, and its variables as they were created.

    Compiling takes most of the time: training the same model again, from the start, compiles
    nothing.
    """

    model: GenerativeModel
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

    model: GenerativeModel
    history: dict
    loss_dtypes: set


@contextlib.contextmanager
def under_policy(name):
    """Within, Keras' dtype policy is that of this name."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def quickly_compiled():
    """Within, `jit_compile="auto"` stands for Keras' choice, in place of kgen's.

    XLA on TensorFlow and recording on PyTorch take longer than a check's few steps without.
    """
    return mock.patch.object(backend, "default_jit_compile", lambda model: model.jit_compile)


class States:
    """The models of a `Case`, which has a `model_class`, `arguments` and `training_data`.

    Checks share models: one that needs two states of `anew` and `taught`, which are the same model,
    is done with the first before it asks for the second.
    """

    # === Models ===

    def create(self, seed=0):
        """A new model, not compiled."""
        set_seed(seed)
        return self.model_class(**self.arguments)

    def compiled(self, seed=0, **settings):
        """A new model, compiled."""
        model = self.create(seed)
        model.compile(**settings)
        return model

    @functools.cached_property
    def uncompiled(self):
        """A model as it was created: read it, do not compile it."""
        return self.create()

    @functools.cached_property
    def kept(self):
        """The model that most checks share."""
        with quickly_compiled():
            model = self.compiled()
        return Kept(model, state_of(model))

    @functools.cached_property
    def at_defaults(self):
        """A model compiled as users do: that which checks share, if it is compiled alike."""
        model = self.compiled()
        same = model.jit_compile == self.model.jit_compile
        return self.kept if same else Kept(model, state_of(model))

    @property
    def model(self):
        """That model as the last check left it."""
        return self.kept.model

    def anew(self):
        """That model, never trained."""
        return self.kept.anew()

    @property
    def taught(self):
        """That model after its lessons: read it, do not train it."""
        return self.kept.put_back(self.lessons.state)

    # === Training ===

    def fit(self, model, epochs=2, **settings):
        """Fit to 100 items, as `trained` unless told otherwise; returns {name: epochs' means}."""
        settings = {"batch_size": BATCH_SIZE, "verbose": 0, **settings}
        return model.fit(*self.training_data(), epochs=epochs, **settings).history

    def fit_whole_batches(self, model, **settings):
        """Fit to 96 items, as `in_order` unless told otherwise; returns {name: epochs' means}.

        For where the smaller last batch is not the point: it is compiled apart.
        """
        settings = {"batch_size": BATCH_SIZE, "shuffle": False, "verbose": 0, **settings}
        return model.fit(*self.training_data(WHOLE), **settings).history

    def teach(self, model, epochs=LESSONS):
        """Epochs of 20 steps; returns {name: epochs' means}."""
        settings = {"batch_size": BATCH_SIZE, "epochs": epochs, "verbose": 0}
        return model.fit(*self.training_data(20 * BATCH_SIZE), **settings).history

    @functools.cached_property
    def trained(self):
        """Two epochs, each with a smaller last batch."""
        model = self.anew()
        return Run(self.fit(model), state_of(model))

    @functools.cached_property
    def in_order(self):
        """One epoch of whole batches in the order of the arrays."""
        model = self.anew()
        return Run(self.fit_whole_batches(model), state_of(model))

    @functools.cached_property
    def lessons(self):
        """Long enough for the model to learn something."""
        model = self.anew()
        return Run(self.teach(model), state_of(model))

    @functools.cached_property
    def mixed(self):
        """A model trained in mixed precision, and the dtypes of its losses and terms."""
        dtypes, differentiate, track = set(), backend.value_and_grad, self.model_class.track
        whole = self.training_data(WHOLE)  # before the policy is another

        def see(values):
            dtypes.update(keras.backend.standardize_dtype(value.dtype) for value in values)

        def recording(*args):
            (loss, terms), gradients = differentiate(*args)
            see([loss, *terms.values()])
            return (loss, terms), gradients

        def tracking(model, x, **values):
            see(values.values())
            return track(model, x, **values)

        with under_policy("mixed_bfloat16"):
            model = self.compiled()
            with (
                mock.patch.object(backend, "value_and_grad", recording),
                mock.patch.object(self.model_class, "track", tracking),
            ):
                history = model.fit(*whole, batch_size=BATCH_SIZE, verbose=0).history
        return Mixed(model, history, dtypes)

    @functools.cached_property
    def recorded(self):
        """Plain descent of every player, whose steps `updates` and `later_updates` record."""
        descent = {player: keras.optimizers.SGD(RATE) for player in self.model_class.players}
        return Recorded(self.compiled(optimizer=descent or keras.optimizers.SGD(RATE)))

    @functools.cached_property
    def updates(self):
        """Every `minimize` of the first training step."""
        return self.recorded.step(*self.training_data(BATCH_SIZE))[0]

    @functools.cached_property
    def later_updates(self):
        """Every `minimize` of the second and third training step, after `updates`."""
        assert self.updates
        batch = self.training_data(BATCH_SIZE)
        return [update for _ in range(2) for update in self.recorded.step(*batch)[0]]
