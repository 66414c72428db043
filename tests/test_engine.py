"""The training engine, on toys whose right answers are known."""

import inspect
import os
import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from toys import Drawing, Failing, FailingPlayer, Quadratic, ToyWGANGP

import kgen
from kgen import backend
from kgen.testing.comparing import array, assert_close, assert_same, same, state_of
from kgen.training.callbacks import CallbackList
from kgen.training.loss_components import LossComponents
from kgen.training.optimizers import OptimizerGroup
from kgen.training.order import Batches

IMAGES = kgen.data.load("digits").train.images[:96]
BATCH_SIZE = 32
ORDER_OF_EPOCH_0 = [[3, 2, 6], [4, 1, 5], [0]]


def compiled(model_class, *arguments, compile=(), seed=0, **settings):
    kgen.set_seed(seed)
    model = model_class(*arguments, **settings)
    model.compile(**dict(compile))
    return model


def fit(model, epochs=1, images=IMAGES, **settings):
    settings = {"batch_size": BATCH_SIZE, "verbose": 0, **settings}
    return model.fit(images, epochs=epochs, **settings).history


@pytest.fixture(scope="module")
def game():
    """A trained toy with unequal step counts; read it, do not train it."""
    model = compiled(ToyWGANGP)
    fit(model, epochs=2)
    return model


# === Gradients ===


def differentiate(model, variables):
    return backend.value_and_grad(model, lambda: model.objective(IMAGES, None, True), variables)


def mean_image():
    return (IMAGES / 8.0 - 1.0).mean(axis=0)


def test_value_of_a_quadratic():
    model = Quadratic()
    (loss, _), _ = differentiate(model, model.trainable_variables)
    assert float(array(loss)) == pytest.approx(0.5 * np.sum(mean_image() ** 2), rel=1e-5)


def test_gradient_of_a_quadratic():
    model = Quadratic()
    _, (gradient, _) = differentiate(model, model.trainable_variables)
    np.testing.assert_allclose(array(gradient), -mean_image(), atol=1e-6)


def test_unused_variables_have_zero_gradients():
    model = Quadratic()
    _, (_, gradient) = differentiate(model, model.trainable_variables)
    np.testing.assert_array_equal(array(gradient), np.zeros(3))


def test_an_embedding_moves_by_the_sum_over_its_lookups():
    """Row 0 is looked up by gradients 3 and 1, row 2 by -2, row 1 not at all."""
    model = Quadratic()
    rows = model.add_weight(shape=(3, 1), initializer="zeros", name="rows")
    slopes = ops.convert_to_tensor(np.float32([[3], [1], [-2]]))

    def loss():
        return ops.sum(slopes * ops.take(rows, np.array([0, 0, 2]), axis=0)), {}

    _, (gradient,) = backend.value_and_grad(model, loss, [rows])
    assert array(gradient).tolist() == [[4], [0], [-2]]
    optimizer = keras.optimizers.Adam(0.5, beta_1=0.0, beta_2=0.0)  # a move of 0.5 at any slope
    optimizer.apply([gradient], [rows])
    np.testing.assert_allclose(array(rows.value), [[-0.5], [0], [0.5]], rtol=1e-5)


def test_gradients_come_in_the_order_of_the_variables():
    model = Quadratic()
    _, gradients = differentiate(model, [model.unused, model.mean])
    assert [tuple(gradient.shape) for gradient in gradients] == [(3,), (8, 8, 1)]


def test_value_and_grad_changes_no_differentiated_variable():
    model = Quadratic()
    differentiate(model, model.trainable_variables)
    np.testing.assert_array_equal(array(model.mean.value), np.zeros((8, 8, 1)))


def test_assignments_inside_value_and_grad_are_kept():
    model = Quadratic()
    differentiate(model, model.trainable_variables)
    assert float(array(model.calls.value)) == 1.0


def test_seeds_move_on_inside_value_and_grad():
    model = Drawing()
    losses = [float(array(differentiate(model, [model.weight])[0][0])) for _ in range(2)]
    assert losses[0] != losses[1]


def test_batch_statistics_move_on_inside_value_and_grad():
    model = ToyWGANGP()
    statistics = [v for v in model.generator.non_trainable_variables if "moving" in v.path]
    before = [array(v.value) for v in statistics]
    variables = model.variables_of("generator")
    backend.value_and_grad(model, lambda: model.generator_loss(8), variables)
    after = [array(v.value) for v in statistics]
    assert len(after) == 2
    assert not any(map(same, before, after))


def linear_critic():
    """A toy whose critic is D(x) = w.x, its kernel, and w."""
    kgen.set_seed(0)
    model = ToyWGANGP(units=0)
    kernel = model.critic.trainable_variables[0]
    return model, kernel, array(kernel.value)


def test_input_gradient_of_a_linear_critic_is_its_kernel():
    model, _, weights = linear_critic()
    inputs = ops.convert_to_tensor(np.random.default_rng(0).random((5, 8, 8, 1), "float32"))
    gradient = backend.input_gradient(model, model.critic, inputs)
    expected = np.broadcast_to(weights.reshape(1, 8, 8, 1), (5, 8, 8, 1))
    np.testing.assert_allclose(array(gradient), expected, atol=1e-6)


def test_gradient_of_the_penalty_of_a_linear_critic():
    """d (|w| - 1)^2 / dw = 2 (|w| - 1) w / |w|."""
    model, kernel, weights = linear_critic()
    inputs = ops.zeros((5, 8, 8, 1))
    _, (gradient,) = backend.value_and_grad(model, lambda: (model.penalty(inputs), {}), [kernel])
    norm = np.linalg.norm(weights)
    np.testing.assert_allclose(array(gradient), 2 * (norm - 1) * weights / norm, atol=1e-5)


def test_gradient_of_the_penalty_agrees_with_finite_differences():
    """Of a critic that is not linear, so that the second derivative matters."""
    kgen.set_seed(0)
    model = ToyWGANGP(units=4)
    inputs = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(5, 8, 8, 1)) * 0.3)
    inputs = ops.cast(inputs, "float32")
    kernel = model.critic.trainable_variables[0]
    weights = array(kernel.value)
    _, (gradient,) = backend.value_and_grad(model, lambda: (model.penalty(inputs), {}), [kernel])
    gradient = array(gradient)
    direction = (gradient / np.linalg.norm(gradient)).astype("float32")

    def penalty_at(step):
        kernel.assign(weights + step * direction)
        return float(array(model.penalty(inputs)))

    slope = (penalty_at(1e-2) - penalty_at(-1e-2)) / 2e-2
    assert slope == pytest.approx(np.linalg.norm(gradient), rel=1e-2)


def test_input_gradient_works_in_evaluate(game):
    logs = game.evaluate(IMAGES, verbose=0, return_dict=True)
    assert np.isfinite(list(logs.values())).all()


# === Compiled inference ===


def test_compiled_reads_the_weights_of_the_moment():
    model = compiled(Quadratic)
    read = backend.compiled(model, lambda factor: model.unused * factor)
    factor = np.float32(2.0)
    before = array(read(factor))
    model.unused.assign([5.0, 6.0, 7.0])
    np.testing.assert_array_equal(before, [2, 2, 2])
    np.testing.assert_array_equal(array(read(factor)), [10, 12, 14])


def test_compiled_takes_batches_of_any_size():
    model = compiled(Quadratic)
    double = backend.compiled(model, lambda x: 2.0 * x)
    sizes = [array(double(np.ones((n, 3), "float32"))).shape for n in (1, 2, 5)]
    assert sizes == [(1, 3), (2, 3), (5, 3)]


SMALLEST_NORMAL = np.full(200_000, np.finfo("float32").tiny)  # enough for several threads


def test_compiled_flushes_denormals_of_nobody_else():
    halves = backend.compiled(Quadratic(), lambda numbers: 0.5 * numbers)(SMALLEST_NORMAL)
    np.testing.assert_array_equal(array(halves), 0.0)
    assert np.all(0.5 * SMALLEST_NORMAL > 0.0)


def test_training_steps_flush_denormals():
    """What became slower and slower: moments of a unit that gets no gradients."""
    model = kgen.Autoencoder((8, 8, 1), levels=17)
    model.compile()
    images = kgen.data.load("digits").train.images[:32]
    model.fit(images, verbose=0)
    bias = next(v for v in model.trainable_variables if v.shape == (500,))
    bias.assign(np.full(500, -100.0, "float32"))
    moments = next(v for v in model.optimizer.variables if v.shape == (64, 500))
    moments.assign(np.full((64, 500), SMALLEST_NORMAL[0]))
    model.fit(images, verbose=0)
    assert not np.any((array(moments) > 0.0) & (array(moments) < SMALLEST_NORMAL[0]))


def test_synchronise_returns_its_tensors():
    received = backend.synchronise({"a": ops.ones(3), "b": [ops.zeros(2)]})
    assert keras.tree.map_structure(lambda t: array(t).tolist(), received) == {
        "a": [1, 1, 1],
        "b": [[0, 0]],
    }


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system tells no more")
def test_peak_memory_of_a_process_does_not_count_its_parent():
    file = Path(kgen.__file__).parent / "backend" / "process.py"
    code = f"import runpy; print(runpy.run_path({str(file)!r})['process_peak_memory']())"
    ballast = np.ones(200_000_000, np.uint8)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert 1e6 < int(result.stdout) < ballast.nbytes / 2


def test_peak_memory_counts_bytes():
    assert backend.peak_memory() > 1e6


def test_device_is_named():
    assert backend.device()


def test_version_is_the_frameworks():
    import importlib.metadata

    assert (
        backend.version().split("+")[0]
        == (importlib.metadata.version(keras.backend.backend()).split("+")[0])
    )


# === Players ===


def test_players_step_3_to_1(game):
    steps = {player: int(game.optimizer[player].iterations) for player in game.players}
    assert steps == {"critic": 2 * 3 * 3, "generator": 2 * 3}


def test_a_group_counts_training_steps(game):
    assert int(game.optimizer.iterations) == 2 * 3


def test_every_members_moments_move(game):
    moments = [v for v in game.optimizer.variables if "momentum" in v.path]
    assert moments
    assert all(array(v.value).any() for v in moments)


def test_a_group_is_rebuilt_from_its_config():
    group = OptimizerGroup(
        {"a": keras.optimizers.Adam(0.5, beta_1=0.25), "b": keras.optimizers.SGD(0.125)}
    )
    rebuilt = OptimizerGroup.from_config(group.get_config())
    assert rebuilt.get_config() == group.get_config()
    assert list(rebuilt.members) == ["a", "b"]
    assert float(rebuilt["a"].learning_rate) == 0.5


def test_a_group_has_no_learning_rate_of_its_own(game):
    assert not hasattr(game.optimizer, "learning_rate")


def test_a_group_has_no_update_of_its_own(game):
    with pytest.raises(TypeError, match="player"):
        game.optimizer.apply([], [])


def test_a_group_survives_the_keras_format(tmp_path):
    model = compiled(kgen.DCGAN, (8, 8, 1), 17, latent_size=4, base_channels=4)
    model.optimizer["generator"].learning_rate = 0.125
    model.optimizer["generator"].iterations.assign(7)
    model.save(tmp_path / "game.keras")
    loaded = keras.saving.load_model(tmp_path / "game.keras").optimizer
    assert list(loaded.members) == list(model.optimizer.members)
    assert float(loaded["generator"].learning_rate) == 0.125
    assert int(loaded["generator"].iterations) == 7


# === Data order ===


def golden_batches(**settings):
    return Batches(np.arange(7, dtype="uint8"), None, 3, seed=42, **settings)


def order(batches, epoch):
    return [batches.batch(epoch, index)[0].tolist() for index in range(batches.num_batches)]


@pytest.mark.parametrize("epoch", [0, 1, 5])
def test_order_is_a_function_of_seed_epoch_and_index(epoch):
    expected = np.random.default_rng([42, epoch]).permutation(7)
    assert order(golden_batches(), epoch) == [
        expected[:3].tolist(),
        expected[3:6].tolist(),
        expected[6:].tolist(),
    ]


def test_order_is_the_recorded_one():
    assert order(golden_batches(), 0) == ORDER_OF_EPOCH_0


def test_order_does_not_depend_on_what_was_read_before():
    read, fresh = golden_batches(), golden_batches()
    order(read, 0)
    order(read, 4)
    assert read.batch(1, 2)[0].tolist() == fresh.batch(1, 2)[0].tolist()


def test_steps_per_epoch_walk_on():
    """Two epochs of two batches, then the third batch of the first pass, and the next pass."""
    walked = golden_batches(steps_per_epoch=2)
    passes = [*order(golden_batches(), 0), *order(golden_batches(), 1)]
    assert [*order(walked, 0), *order(walked, 1), *order(walked, 2)] == passes


def test_labels_stay_with_their_images():
    batches = Batches(np.arange(7, dtype="uint8"), np.arange(7) * 10, 3, seed=1)
    images, labels = batches.batch(2, 0)
    assert (images * 10 == labels).all()


def test_without_shuffle_the_order_is_the_arrays():
    assert order(golden_batches(shuffle=False), 3) == [[0, 1, 2], [3, 4, 5], [6]]


def test_dynamic_images_are_drawn_anew_every_epoch():
    data = kgen.data.load("digits", binarize="dynamic").train.images
    batches = Batches(data, None, len(data), seed=0, shuffle=False)
    assert not np.array_equal(batches.batch(0, 0)[0], batches.batch(1, 0)[0])
    assert np.array_equal(batches.batch(1, 0)[0], data.at_epoch(1))


class Recording(Batches):
    """Remembers which batches were asked for, and in which thread."""

    asked = ()

    def batch(self, epoch, index):
        Recording.asked += ((epoch, index, threading.current_thread()),)
        return super().batch(epoch, index)


@pytest.fixture
def recording(monkeypatch):
    monkeypatch.setattr(Recording, "asked", ())
    monkeypatch.setattr("kgen.training.trained.Batches", Recording)
    return Recording


def test_fit_walks_through_the_epochs(recording):
    fit(compiled(Quadratic), epochs=2)
    asked = {(epoch, index) for epoch, index, _ in recording.asked}
    assert {(epoch, index) for epoch in (0, 1) for index in (0, 1, 2)} <= asked


def test_arrays_are_fed_by_the_thread_that_trains(recording):
    """No pipeline of TensorFlow's stands between them and the step: see `tensorflow_feed`."""
    fit(compiled(Quadratic))
    assert {thread for *_, thread in recording.asked} == {threading.current_thread()}


def test_arrays_are_fed_where_keras_has_no_such_adapter(monkeypatch):
    expected = fit(compiled(Quadratic), epochs=2)
    monkeypatch.setitem(sys.modules, "kgen.backend.tensorflow_feed", None)
    received = fit(compiled(Quadratic), epochs=2)
    np.testing.assert_allclose(received["loss"], expected["loss"], rtol=1e-5)


def test_equal_seeds_draw_equal_model_seeds():
    assert compiled(Quadratic, seed=3).seed == compiled(Quadratic, seed=3).seed


def test_other_seeds_draw_other_model_seeds():
    assert compiled(Quadratic, seed=3).seed != compiled(Quadratic, seed=4).seed


def test_initial_epoch_continues_the_order():
    whole, halves = compiled(Drawing), compiled(Drawing)
    expected = fit(whole, epochs=2)["loss"]
    received = fit(halves, epochs=1)["loss"] + fit(halves, epochs=2, initial_epoch=1)["loss"]
    assert received == expected
    assert_same(state_of(halves), state_of(whole))


# === Logs ===


class Log:
    """A logged value that counts how often it is brought to the host."""

    reads = 0

    def __array__(self, dtype=None, copy=None):
        type(self).reads += 1
        return np.asarray(1.0, dtype)

    def __float__(self):
        return float(self.__array__())


def reads_of(callbacks, batches, monkeypatch, seconds_per_batch=0.0):
    """How many of `batches` logs a callback list with these callbacks fetches."""
    clock = iter(np.arange(10_000) * seconds_per_batch / 2)  # asked up to twice a batch
    monkeypatch.setattr("kgen.training.callbacks.time.monotonic", lambda: float(next(clock)))
    monkeypatch.setattr("kgen.training.callbacks.ops.convert_to_numpy", np.asarray)
    monkeypatch.setattr(Log, "reads", 0)
    listed = CallbackList(callbacks, model=compiled(Quadratic), epochs=1, steps=batches)
    for batch in range(batches):
        listed.on_train_batch_end(batch, {"loss": Log()})
    return Log.reads


class AtEveryBatch(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass


class AtEveryEpoch(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        pass


class WithoutLogs(AtEveryBatch):
    reads_batch_logs = False


def test_logs_are_not_fetched_for_nobody(monkeypatch):
    assert reads_of([], 100, monkeypatch) == 1


def test_logs_are_not_fetched_for_epoch_callbacks(monkeypatch):
    assert reads_of([AtEveryEpoch()], 100, monkeypatch) == 1


def test_logs_are_not_fetched_for_callbacks_that_do_not_read_them(monkeypatch):
    assert reads_of([WithoutLogs()], 100, monkeypatch) == 1


def test_logs_are_fetched_every_batch_for_batch_callbacks(monkeypatch):
    assert reads_of([AtEveryBatch()], 100, monkeypatch) == 100


def test_logs_are_fetched_now_and_then(monkeypatch):
    assert 2 <= reads_of([], 100, monkeypatch, seconds_per_batch=0.1) <= 60


@pytest.mark.parametrize(("asks_at", "received"), [((), [None, 0.0]), ((0, 1), [0.0, 1.0])])
def test_logs_nobody_asks_for_are_of_the_batch_before(asks_at, received):
    """They are there, while those of this batch are being computed."""

    class Asking(keras.callbacks.Callback):
        batch, received = 0, []

        @property
        def reads_batch_logs(self):
            return self.batch in asks_at

        def on_train_batch_end(self, batch, logs=None):
            self.batch += 1
            self.received.append(logs and logs["loss"])

    listed = CallbackList([Asking()], model=compiled(Quadratic), epochs=1, steps=2)
    for batch in range(2):
        listed.on_train_batch_end(batch, {"loss": np.float32(batch)})
    assert Asking.received == received


def test_logs_of_training_are_not_those_of_validation():
    listed = CallbackList([], model=compiled(Quadratic), epochs=1, steps=1)
    listed.on_train_batch_end(0, {"loss": np.float32(0.0)})
    listed.on_test_begin()
    assert listed.earlier is None


def test_batch_callbacks_receive_floats():
    received = []

    class Reading(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            received.append(logs["loss"])

    fit(compiled(Quadratic), callbacks=[Reading()])
    assert [type(value) for value in received] == [float] * 3


def test_terms_are_weighted_by_images():
    terms = LossComponents(["loss", "kl"])
    terms.update_state({"loss": 1.0, "kl": 0.0}, 32)
    terms.update_state({"kl": 9.0, "loss": 4.0}, 4)
    found = {name: float(array(mean)) for name, mean in terms.result().items()}
    assert found == pytest.approx({"loss": (32 * 1 + 4 * 4) / 36, "kl": 1.0})


# === Non-finite losses ===

WAYS = {
    "plain": {},
    "verbose": {"verbose": 2},
    "with-validation": {"validation_data": (IMAGES[:32],)},
    "with-a-batch-callback": {"callbacks": [AtEveryBatch()]},
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(("fails_at", "epoch", "step"), [(1, 1, 1), (3, 1, 3), (5, 2, 2)])
def test_a_non_finite_term_is_named(way, fails_at, epoch, step):
    message = f"second became non-finite in epoch {epoch}, step {step}:"
    with pytest.raises(kgen.NonFiniteLossError, match=message):
        fit(compiled(Failing, fails_at), epochs=3, **way)


@pytest.mark.parametrize("fails_at", [1, 2, 5])
def test_a_non_finite_term_is_named_within_several_steps(fails_at):
    epoch, step = divmod(fails_at - 1, 3)
    model = compiled(Failing, fails_at, compile={"steps_per_execution": 3})
    message = f"second became non-finite in epoch {epoch + 1}, step {step + 1}:"
    with pytest.raises(kgen.NonFiniteLossError, match=message):
        fit(model, epochs=3)


def test_the_remainder_of_several_steps_is_trained():
    """Of three batches, two in one call."""
    models = [compiled(Quadratic, compile={"steps_per_execution": steps}) for steps in (1, 2)]
    for model in models:
        fit(model)
    assert_close(*map(state_of, models), 1e-6)
    assert int(models[1].optimizer.iterations) == 3


def test_a_non_finite_player_is_named():
    message = "generator_loss became non-finite in epoch 2, step 1:"
    with pytest.raises(kgen.NonFiniteLossError, match=message):
        fit(compiled(FailingPlayer, 4), epochs=3)


def test_a_non_finite_loss_stops_training():
    epochs = []

    class Counting(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            epochs.append(epoch)

    with pytest.raises(kgen.NonFiniteLossError):
        fit(compiled(Failing, 4), epochs=5, callbacks=[Counting()])
    assert epochs == [0]


def test_a_model_must_track_its_terms():
    class Forgetful(Quadratic):
        metric_names = ("loss", "forgotten")

    with pytest.raises(ValueError, match="forgotten"):
        fit(compiled(Forgetful))


# === Compilation ===


def convolutional():
    model = kgen.DCGAN((8, 8, 1), levels=17, latent_size=4, base_channels=4)
    model.compile()
    return model


@pytest.mark.skipif(backend.name() == "tensorflow", reason="depends on oneDNN there")
def test_convolutions_are_compiled_by_default(steps_as_kgen_compiles_them):
    assert convolutional().jit_compile


@pytest.mark.skipif(backend.name() != "tensorflow", reason="for TensorFlow's own convolutions")
def test_convolutions_are_compiled_by_default_unless_onednn_computes_them(
    steps_as_kgen_compiles_them,
):
    """Here, and in a process where it is the other way round."""
    from kgen.backend.tensorflow_convolution import computes_with_onednn

    onednn = not computes_with_onednn()
    assert convolutional().jit_compile == onednn
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": str(int(onednn))}
    program = f"import kgen\n{inspect.getsource(convolutional)}print(convolutional().jit_compile)"
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(not onednn)


def test_steps_as_they_are_compiled_by_default(steps_as_kgen_compiles_them):
    assert np.isfinite(fit(compiled(Quadratic))["loss"]).all()


def test_eager_steps_are_those_that_are_compiled():
    """Those of every model are, too: in the contract, on JAX among what is slow."""
    histories = [fit(compiled(Quadratic, compile={"run_eagerly": eager})) for eager in (0, 1)]
    for values in zip(*(history.values() for history in histories), strict=True):
        np.testing.assert_allclose(*values, rtol=1e-4)


@pytest.mark.parametrize("choice", [{"jit_compile": False}, {"run_eagerly": True}])
def test_steps_are_not_compiled_against_the_users_will(choice, steps_as_kgen_compiles_them):
    assert not compiled(Quadratic, compile=choice).jit_compile
