"""`kgen.layers.Dropout`: what it does to values, and that its noise is part of a model's state."""

import keras
import numpy as np
import pytest
from keras import ops
from test_checkpoints import StopAt

import kgen
from kgen import backend
from kgen.layers import Dropout
from kgen.runs.checkpoint import Progress, Store
from kgen.runs.checkpoints import Checkpoints
from kgen.saving import load
from kgen.testing.comparing import array, assert_same, state_of

IMAGES = kgen.data.load("digits").train.images[:80]
HOW = {"batch_size": 32, "epochs": 3, "verbose": 0}  # three batches, the last a smaller one
ONES = np.ones((200, 500), "float32")


class Dropping(kgen.ImageModel):
    """Its gradients depend on what is dropped."""

    def __init__(self, image_shape=(8, 8, 1), levels=17, rate: float = 0.5, **kwargs):
        super().__init__(image_shape, levels, **kwargs)
        self.rate = rate
        self.drop = Dropout(rate)
        self.mean = self.add_weight(shape=self.image_shape, initializer="zeros", name="mean")

    def recommended_optimizer(self):
        return keras.optimizers.Adam(0.1)

    def objective(self, images, condition, training):
        images = self.drop(self.scale(images), training=training)
        return ops.mean((self.mean - images) ** 2), {}


def new_model():
    kgen.set_seed(3)
    model = Dropping()
    model.compile()
    return model


@pytest.fixture
def registered():
    kgen.models.register("dropping", Dropping)
    yield
    del kgen.models.REGISTRY["dropping"]


def test_a_part_is_dropped_and_the_mean_is_kept():
    kgen.set_seed(0)
    values = array(Dropout(0.2)(ONES, training=True))
    assert set(np.unique(values)) == {np.float32(0.0), np.float32(1.0 / 0.8)}
    assert (values == 0.0).mean() == pytest.approx(0.2, abs=0.005)  # four standard errors
    assert values.mean() == pytest.approx(1.0, abs=0.006)


@pytest.mark.parametrize(("rate", "how"), [(0.5, {}), (0.5, {"training": False})])
def test_it_is_off_at_inference(rate, how):
    np.testing.assert_array_equal(array(Dropout(rate)(ONES, **how)), ONES)


def test_a_rate_of_0_drops_nothing():
    np.testing.assert_array_equal(array(Dropout(0.0)(ONES, training=True)), ONES)


def test_equal_seeds_drop_the_same_and_two_calls_do_not():
    def masks():
        kgen.set_seed(5)
        drop = Dropout(0.5)
        return [array(drop(ONES, training=True)) for _ in range(2)]

    (first, second), again = masks(), masks()
    assert_same({"1": first, "2": second}, dict(zip("12", again, strict=True)))
    assert (first == second).mean() == pytest.approx(0.5, abs=0.01)


def test_it_is_in_a_network_of_any_batch_and_in_its_file(tmp_path):
    network = keras.Sequential([keras.Input((3,)), Dropout(0.25), keras.layers.Dense(2)])
    assert network.output_shape == (None, 2)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    assert loaded.layers[0].rate == 0.25
    np.testing.assert_array_equal(array(loaded(ONES[:, :3])), array(network(ONES[:, :3])))


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_wrong_rate_is_refused(rate):
    with pytest.raises(kgen.KgenError, match="a finite number from 0 to below 1, received"):
        Dropout(rate)


@pytest.mark.usefixtures("registered", "steps_as_kgen_compiles_them")
def test_continued_inside_an_epoch_training_ends_bitwise_equal(tmp_path):
    straight, interrupted, store = new_model(), new_model(), Store(tmp_path)
    straight.fit(IMAGES, **HOW)
    callbacks = [Checkpoints(store, kgen.save, Progress(), every=1), StopAt(1, 2)]
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(IMAGES, **HOW, callbacks=callbacks)
    folder, progress = store.newest()
    continued = load(folder, continuing=True)
    place = {"initial_epoch": progress.epoch, "initial_step": progress.step}
    assert place == {"initial_epoch": 1, "initial_step": 2}
    continued.fit(IMAGES, **HOW, **place)
    assert_same(state_of(straight), state_of(continued))


@pytest.mark.skipif(backend.name() != "torch", reason="steps are compiled, not recorded")
def test_steps_with_it_are_recorded(recwarn):
    models = []
    for recorded in (True, False):
        kgen.set_seed(3)
        model = Dropping()
        model.compile(jit_compile=recorded)
        model.fit(IMAGES, **HOW)
        models.append(model)
    assert_same(*map(state_of, models))
    recorded = models[0].train_function.__closure__[0].cell_contents.recordings
    assert len([recording for recording in recorded.values() if recording]) == 2  # 32 and 16 images
    assert not any("operation by operation" in str(warning.message) for warning in recwarn)
