"""`kgen.testing`: a wrong model fails the check of what is wrong, and the report says so."""

import os
import subprocess
import sys

import numpy as np
import pytest
from keras import ops
from toys import IndependentPixels, ToyGAN
from toys_of_spaces import OfImage

import kgen
from kgen import backend
from kgen.testing import check_model, checks, runner
from kgen.testing.case import Case
from kgen.testing.check import Check

# === Models with a defect each ===


class Forgetful(IndependentPixels):
    """Equal seeds draw different samples."""

    def sample(self, count, seed=None):
        return super().sample(count)


class Unchanging(IndependentPixels):
    """Every seed draws the same samples."""

    def sample(self, count, seed=None):
        return super().sample(count, seed=0)


class Scaled(IndependentPixels):
    """Samples are floats."""

    def sample(self, count, seed=None):
        return super().sample(count, seed) / np.float32(self.levels)


class Stale(IndependentPixels):
    """Samples are those of the weights that were there first."""

    def sample(self, count, seed=None):
        if not hasattr(self, "first"):
            self.first = super().sample(100, seed=0)
        return self.first[:count]


class Lavish(IndependentPixels):
    """It has a weight that is in no loss."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.unused = self.add_weight(shape=(2,), name="unused")


class Careless(IndependentPixels):
    """It keeps an argument under another name."""

    small_arguments = {"units": 3}

    def __init__(self, units=8, **kwargs):
        super().__init__(**kwargs)
        self.size = units

    def get_config(self):
        return {"image_shape": self.image_shape, "levels": self.levels}


class Wordy(IndependentPixels):
    """It has one term more than it names."""

    def objective(self, images, condition, training):
        loss, _ = super().objective(images, condition, training)
        return loss, {"extra": loss}


class Noisy(IndependentPixels):
    """Its noise comes from NumPy, is drawn when a step is compiled, and has no seed."""

    def objective(self, images, condition, training):
        loss, terms = super().objective(images, condition, training)
        return loss * (1.0 + float(np.random.default_rng().random())), terms


class Climbing(IndependentPixels):
    """It maximises its loss."""

    def objective(self, images, condition, training):
        return ops.mean(self.log_probs(images)), {}


class Improper(IndependentPixels):
    """Its probabilities are above 1."""

    def log_prob(self, images, condition=None):
        return super().log_prob(images, condition) + 1_000.0


class Coarse(IndependentPixels):
    """It computes its loss in the precision of the policy."""

    def objective(self, images, condition, training):
        loss, terms = super().objective(images, condition, training)
        return ops.cast(loss, self.compute_dtype), terms


class Boastful(IndependentPixels):
    """It says that it draws pixel after pixel, and draws all at once."""

    sampling = "sequential"


class Collusion(ToyGAN):
    """The discriminator's update changes the generator, too."""

    def variables_of(self, player):
        return super().variables_of(None if player == "discriminator" else player)


class Lopsided(ToyGAN):
    """Only one of its players is updated."""

    def train_step(self, data):
        images, _ = self.unpack(data)
        loss, _ = self.minimize(self.discriminator_loss, "discriminator", images)
        return self.track(images, discriminator_loss=loss, generator_loss=loss)


class Undecided(OfImage):
    """It says that samples have no noise, and they go by the seed."""

    stochastic = False


class Sociable(OfImage):
    """Its samples have no noise, and go by how many are drawn together."""

    stochastic = False

    def sample(self, count=None, condition=None, seed=None):
        samples = super().sample(count, condition, seed=0)
        return ((samples + 2 * len(samples)) % self.levels).astype("uint8")


DEFECTS = [
    (Undecided, "samples_without_noise_are_functions_of_their_own_condition"),
    (Sociable, "samples_without_noise_are_functions_of_their_own_condition"),
    (Forgetful, "samples_of_equal_seeds_are_equal"),
    (Unchanging, "samples_without_seed_differ"),
    (Unchanging, "samples_of_other_seeds_differ"),
    (Scaled, "samples_are_arrays_of_the_items_dtype"),
    (Stale, "samples_see_new_weights"),
    (Lavish, "every_trainable_variable_has_a_gradient"),
    (Lavish, "training_changes_every_trainable_variable"),
    (Careless, "keeps_every_argument_under_its_name"),
    (Careless, "config_lists_every_constructor_argument"),
    (Wordy, "losses_are_finite"),
    (Noisy, "several_steps_per_execution_train_alike"),
    (Climbing, "training_raises_log_prob"),
    (Improper, "log_prob_is_at_most_zero"),
    (Coarse, "losses_are_float32_in_mixed_bfloat16"),
    (Boastful, "one_pass_samples_where_the_model_says_so"),
    (Collusion, "players_share_no_variable"),
    (Lopsided, "every_player_is_updated_in_turn"),
]


@pytest.mark.parametrize(("model_class", "name"), DEFECTS)
def test_a_defect_fails_its_check(model_class, name):
    check = dict(checks(model_class))[name]
    with pytest.raises((AssertionError, ValueError, kgen.KgenError)):
        check()


def test_one_check_compiles_steps_as_users_do(monkeypatch):
    asked = []

    def choice(model):
        asked.append(model)
        return model.jit_compile

    monkeypatch.setattr(backend, "default_jit_compile", choice)
    found = dict(checks(IndependentPixels))
    found["losses_are_finite"]()
    assert asked == []
    found["everything_at_its_defaults_trains_and_samples"]()
    assert len(asked) == 1


# === The report ===


@pytest.fixture
def few(monkeypatch):
    """A few checks that train nothing."""
    names = ("is_rebuilt_from_its_config", "keeps_every_argument_under_its_name")
    names += ("config_lists_every_constructor_argument", "an_uncompiled_model_samples")
    monkeypatch.setattr(runner, "CHECKS", [c for c in runner.CHECKS if c.name in names])


def test_a_sound_model_passes_every_check(few):
    before = dict(kgen.models.REGISTRY)
    assert len(check_model(IndependentPixels)) == 4
    assert before == kgen.models.REGISTRY


def test_all_failures_are_in_one_report_with_their_reasons(few):
    with pytest.raises(AssertionError) as caught:
        check_model(Careless)
    first, *lines = str(caught.value).splitlines()
    assert first == "Careless fails 2 of 4 checks:"
    assert lines[0].startswith("config_lists_every_constructor_argument: ")
    assert lines[1].startswith("keeps_every_argument_under_its_name: these are not kept: units")
    assert isinstance(caught.value.__cause__, AssertionError)


def test_expected_failures_are_no_failures_and_are_to_fail(few):
    expected = {
        "config_lists_every_constructor_argument": "it has a configuration of its own",
        "keeps_every_argument_under_its_name": "it was written so",
    }
    passed = check_model(Careless, expected_failures=expected)
    assert passed == ["is_rebuilt_from_its_config", "an_uncompiled_model_samples"]
    expected["an_uncompiled_model_samples"] = "nobody knows"
    with pytest.raises(AssertionError) as caught:
        check_model(Careless, expected_failures=expected)
    _, line = str(caught.value).splitlines()
    assert line == ("an_uncompiled_model_samples: passes, and was expected to fail: nobody knows")


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(kgen.KgenError, match="received loses_falls: take those"):
        check_model(IndependentPixels, expected_failures={"loses_falls": "misspelt"})

    class Local(IndependentPixels):
        pass

    with pytest.raises(kgen.KgenError, match="pass the class itself"):
        check_model(IndependentPixels())
    with pytest.raises(kgen.KgenError, match=r"received Local.*: define it there"):
        check_model(Local)


def test_an_assertion_without_a_message_is_its_own_reason():
    def fails(case):
        raise AssertionError

    check = Check(fails, needs=None, of_base_class=False, as_users_run=False)
    with pytest.raises(AssertionError, match=r"^raise AssertionError$"):
        runner._run(check, Case(IndependentPixels))


INSTALLED = """
import sys
sys.modules["pytest"] = None
import kgen
checks = kgen.testing.checks
try:
    checks(kgen.VAE)
except kgen.KgenError as error:
    print(error)
"""


def test_no_pytest_is_needed_and_assertions_are():
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    command = [sys.executable, "-O", "-c", INSTALLED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "Expected assertions, received Python's option -O: start it without.\n"
