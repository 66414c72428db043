"""Training steps that PyTorch runs from a recording equal those run operation by operation."""

import gc
import os
import subprocess
import sys
import warnings
import weakref
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from test_optimizers import PLAIN, assert_same_steps
from toys import Drawing, Quadratic, ToyWGANGP

import kgen
from kgen import backend
from kgen.testing.case import Case
from kgen.testing.comparing import assert_same, state_of

if backend.name() != "torch":  # nothing of what is tested here runs on the others
    pytest.skip("steps are compiled, not recorded", allow_module_level=True)

import torch

from kgen.backend import torch_recording
from kgen.backend.torch_convolution import to_channels_last

IMAGES = kgen.data.load("digits").train.images[:80]
UNRECORDED = "operation by operation"


def trained(model_class, recorded, epochs=3, optimizer=None):
    kgen.set_seed(0)
    model = model_class()
    model.compile(optimizer, jit_compile=recorded)
    model.fit(IMAGES, batch_size=32, epochs=epochs, verbose=0)
    return model


def recordings(model):
    """Those of the shapes that came twice."""
    found = model.train_function.__closure__[0].cell_contents.recordings.values()
    return [recording for recording in found if recording is not None]


@pytest.mark.parametrize("model_class", [Quadratic, ToyWGANGP, Drawing])
def test_recorded_steps_equal_others(model_class):
    assert_same(state_of(trained(model_class, True)), state_of(trained(model_class, False)))


@pytest.mark.parametrize("name", kgen.models.REGISTRY)
def test_recorded_steps_of_every_model_equal_others(name):
    case = Case(kgen.models.get(name))
    model = case.compiled(jit_compile=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "This training step")  # that it was not recorded
        assert case.fit(model) == case.trained.history
    assert_same(state_of(model), case.trained.state)


@pytest.mark.parametrize(
    "settings",
    [
        {"clipnorm": 0.1},
        {"use_ema": True},
        {"gradient_accumulation_steps": 2},
        {"learning_rate": keras.optimizers.schedules.CosineDecay(0.0, 9, 0.1, warmup_target=0.1)},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_every_optimizer_can_be_recorded(settings, recwarn):
    models = [
        trained(Quadratic, recorded, optimizer=keras.optimizers.Adam(**settings))
        for recorded in (False, True)
    ]
    assert_same(*map(state_of, models))
    assert recordings(models[1])
    assert not any(UNRECORDED in str(warning.message) for warning in recwarn)


def test_a_shape_is_recorded_when_it_comes_again():
    whole, remainder = trained(Quadratic, True, epochs=1), trained(Quadratic, True, epochs=2)
    assert len(recordings(whole)) == 1  # 32, 32, 16
    assert len(recordings(remainder)) == 2


@pytest.mark.parametrize("choice", [{"jit_compile": False}, {"run_eagerly": True}])
def test_nothing_is_recorded_against_the_users_will(choice):
    model = Quadratic()
    model.compile(**choice)
    model.make_train_function()
    assert not isinstance(
        model.train_function.__closure__[0].cell_contents, torch_recording.TracedStep
    )


def test_weights_set_in_between_are_those_the_next_step_starts_from():
    def continued(recorded):
        model = trained(Quadratic, recorded)
        model.mean.assign(ops.ones_like(model.mean))
        model.fit(IMAGES, batch_size=32, verbose=0)
        return state_of(model)

    assert_same(continued(True), continued(False))


class Looking(Quadratic):
    """It looks at its loss."""

    def objective(self, images, labels, training):
        loss, terms = super().objective(images, labels, training)
        return (loss if float(loss) > 0.1 else 2.0 * loss), terms


def test_a_step_that_looks_at_values_is_run_as_it_is():
    with pytest.warns(UserWarning, match=UNRECORDED):
        model = trained(Looking, True)
    assert_same(state_of(model), state_of(trained(Looking, False)))


class Deciding(Quadratic):
    """Its rate is doubled by a variable."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.doubled = self.add_weight(
            shape=(), dtype="bool", initializer="zeros", trainable=False, name="doubled"
        )

    def objective(self, images, labels, training):
        loss, terms = super().objective(images, labels, training)
        return backend.cond(self.doubled.value, lambda: 2.0 * loss, lambda: loss), terms


def test_a_decision_is_taken_anew_at_every_step():
    def continued(recorded):
        model = trained(Deciding, recorded)
        for doubled in (True, False):
            model.doubled.assign(doubled)
            model.fit(IMAGES, batch_size=32, verbose=0)
        return model

    model = continued(True)
    assert_same(state_of(model), state_of(continued(False)))
    assert not np.array_equal(model.mean, trained(Deciding, True, epochs=5).mean)


def test_a_mistake_is_shown_where_it_is_made():
    class Mistaken(Quadratic):
        def objective(self, images, labels, training):
            return self.forgotten

    with pytest.raises(AttributeError, match="forgotten"):
        trained(Mistaken, True)


def test_a_recording_goes_with_its_model():
    gc.collect()
    before = len(torch_recording._calls)
    model = trained(Quadratic, True)
    assert len(torch_recording._calls) > before
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
    assert len(torch_recording._calls) == before


@pytest.mark.parametrize("mode", [False, True])
def test_a_users_own_mode_for_denormals_is_kept(mode):
    torch.set_flush_denormal(mode)
    try:
        trained(Quadratic, True, epochs=1)
        assert (sys.float_info.min * 0.5 == 0.0) == mode
    finally:
        torch.set_flush_denormal(False)


THREADS = """
import os, signal, sys, torch, keras

def threads():
    return len(os.listdir("/proc/self/task"))

def flushed():  # of 200,000 numbers, so many that two threads halve them
    return int((torch.full((200_000,), 1.5e-38) * 0.5 == 0.0).sum())

def in_a_child():
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # instead of waiting for ever
        os._exit(0 if flushed() == 0 else 1)
    return os.waitpid(child, 0)[1]

before = threads()
import numpy as np, kgen.backend
assert threads() == before, "importing starts threads"
assert in_a_child() == 0, "a child hangs after the import"
assert flushed() == 0, "importing changes other numbers"

class Computing(keras.callbacks.Callback):
    found = []
    def on_train_begin(self, logs=None):  # before there was a step to start them
        self.found.append(flushed())
    def on_train_batch_end(self, batch, logs=None):
        self.found.append(flushed())

model = kgen.VAE((8, 8, 1), levels=17, latent_size=2, hidden=(4,))
model.compile()
model.fit(np.zeros((32, 8, 8, 1), "uint8"), verbose=0, callbacks=[Computing()])
assert Computing.found == [100_000, 100_000], "the second thread does not flush while it trains"
assert in_a_child() == 0, "a child hangs after training"
assert flushed() == 0, "training changes other numbers"
"""


@pytest.mark.skipif(sys.platform != "linux", reason="forks, and counts threads as Linux does")
def test_threads_are_those_of_training_while_it_lasts():
    """Importing starts none. They flush denormals in training, and for nobody else."""
    root = str(Path(kgen.__file__).parent.parent)
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": root}
    command = [sys.executable, "-c", THREADS]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr


# === Kernels in memory ===


def test_kernels_and_their_moments_lie_as_convolutions_read_them():
    model = kgen.DCGAN((16, 16, 1), latent_size=4, base_channels=4)
    model.compile()
    model.fit(np.zeros((32, 16, 16, 1), "uint8"), batch_size=32, verbose=0)
    kernels = [v for v in (*model.variables, *model.optimizer.variables) if len(v.shape) == 4]
    assert len(kernels) == 4 * 3  # two players with two each: the kernels and both moments
    for kernel in kernels:
        outputs_first = kernel.value.permute(3, 2, 0, 1)
        assert outputs_first.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("with_slots", [False, True], ids=["variables", "and slots"])
def test_adam_is_keras_own_however_kernels_lie_in_memory(with_slots):
    def change(variables, optimizer):
        to_channels_last([*variables, *(optimizer.variables if with_slots else ())])

    assert_same_steps(PLAIN["Adam"], change=change)
