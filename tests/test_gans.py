"""The GANs against the formulas of their papers, and on problems whose answer is known."""

import logging

import keras
import numpy as np
import pytest
from keras import ops
from scipy import optimize, special, stats
from sklearn.svm import SVC

import kgen
from kgen import backend
from kgen.layers import Conv2D, SpectralNormalization
from kgen.models.gans.base import GANBase
from kgen.models.gans.collapse import GANWarnings, mean_deviation
from kgen.testing.comparing import array, refused

ADVERSARIAL = ["gan", "dcgan", "cgan", "lsgan", "wgan", "wgan_gp", "sngan", "projection_gan"]
TINY = {"latent_size": 4, "generator_units": (8,), "discriminator_units": (8,), "base_channels": 2}
COUNT = 6
REAL = np.array([[-3.0], [-0.4], [0.1], [0.7], [1.2], [5.0]], "float32")
FAKE = np.array([[-4.0], [-1.0], [-0.2], [0.3], [0.6], [2.0]], "float32")


def model_of(name, **settings):
    kgen.set_seed(0)
    return kgen.models.create(name, **{"image_shape": (8, 8, 1), "levels": 17, **TINY, **settings})


def some_images(model, count=COUNT):
    shape = (count, *model.image_shape)
    return np.random.default_rng(1).integers(0, model.levels, shape).astype("uint8")


def batch_for(model):
    """Images and, where the model is given them, labels: for the losses."""
    labels = None if model.condition_space is None else ops.convert_to_tensor(np.arange(COUNT) % 10)
    return ops.convert_to_tensor(some_images(model)), labels


def losses_at_known_logits(model):
    return (
        float(array(model.discriminator_criterion(REAL, FAKE))),
        float(array(model.generator_criterion(FAKE))),
    )


# === Losses ===


@pytest.mark.parametrize("name", ["gan", "dcgan", "cgan"])
def test_logistic_losses(name):
    log_real, log_fake = special.log_expit(REAL), special.log_expit(-FAKE)
    expected = -log_real.mean() - log_fake.mean(), -special.log_expit(FAKE).mean()
    np.testing.assert_allclose(losses_at_known_logits(model_of(name)), expected, rtol=1e-5)


def test_the_minimax_generator_minimises_the_value_of_the_game():
    _, loss = losses_at_known_logits(model_of("gan", loss="minimax"))
    np.testing.assert_allclose(loss, special.log_expit(-FAKE).mean(), rtol=1e-5)


def test_smoothed_labels_are_a_cross_entropy_with_the_smoothed_target():
    loss, _ = losses_at_known_logits(model_of("gan", label_smoothing=0.2))
    real = 0.8 * special.log_expit(REAL) + 0.2 * special.log_expit(-REAL)
    np.testing.assert_allclose(loss, -real.mean() - special.log_expit(-FAKE).mean(), rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_least_squares_losses(smoothing):
    losses = losses_at_known_logits(model_of("lsgan", label_smoothing=smoothing))
    discriminator = (((REAL - (1 - smoothing)) ** 2).mean() + (FAKE**2).mean()) / 2
    np.testing.assert_allclose(losses, (discriminator, ((FAKE - 1) ** 2).mean() / 2), rtol=1e-5)


@pytest.mark.parametrize("name", ["wgan", "wgan_gp"])
def test_wasserstein_losses(name):
    expected = FAKE.mean() - REAL.mean(), -FAKE.mean()
    np.testing.assert_allclose(losses_at_known_logits(model_of(name)), expected, rtol=1e-5)


def test_reconstruction_adds_the_distance_to_the_images(monkeypatch):
    model = model_of("gan", reconstruction_weight=3.0)
    images, _ = batch_for(model)
    fakes = ops.convert_to_tensor(np.full((COUNT, 8, 8, 1), 0.25, "float32"))
    monkeypatch.setattr(model, "generate", lambda *_: fakes)
    weighted, _ = model.generator_loss(images)
    model.reconstruction_weight = 0.0
    plain, _ = model.generator_loss(images)
    distance = np.abs(some_images(model) / 8 - 1 - 0.25).mean()
    assert float(array(weighted - plain)) == pytest.approx(3 * distance, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "boundary"),
    [("gan", 0.0), ("lsgan", 0.5), ("wgan", (REAL.mean() + FAKE.mean()) / 2)],
)
def test_accuracies_count_what_is_on_the_right_side(monkeypatch, name, boundary):
    model = model_of(name)
    logits = iter([ops.convert_to_tensor(REAL), ops.convert_to_tensor(FAKE)])
    monkeypatch.setattr(model, "discriminate", lambda *_: next(logits))
    _, terms = model.discriminator_loss(*batch_for(model))
    assert float(array(terms["real_accuracy"])) == pytest.approx((boundary < REAL).mean())
    assert float(array(terms["fake_accuracy"])) == pytest.approx((boundary > FAKE).mean())


@pytest.mark.parametrize("name", ["gan", "lsgan"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_boundary_is_the_best_logit_where_nothing_can_be_told(name, smoothing):
    """On equal real and generated images, the loss is least at a constant logit: the boundary."""
    model = model_of(name, label_smoothing=smoothing)

    def loss(logit):
        logits = ops.full((1, 1), float(logit))
        return float(array(model.discriminator_criterion(logits, logits)))

    best = optimize.minimize_scalar(loss, bounds=(-2, 2), method="bounded").x
    assert float(model.decision_boundary(REAL, FAKE)) == pytest.approx(best, abs=2e-3)


@pytest.mark.parametrize("name", ["dcgan", "cgan", "wgan"])
def test_validation_judges_as_training_does(monkeypatch, name):
    """By a batch's own statistics: a batch-normalised discriminator has never seen others."""
    model = model_of(name, architecture="conv", image_shape=(16, 16, 1), critic_steps=1)
    noise = np.random.default_rng(0).standard_normal((COUNT, 4)).astype("float32")
    monkeypatch.setattr(model, "normal", lambda _: ops.convert_to_tensor(noise))
    model.compile()
    data = some_images(model), np.arange(COUNT)
    statistics = [v for v in model.discriminator.variables if v.name.startswith("moving")]
    assert len(statistics) == 2
    for statistic in statistics:
        statistic.assign(np.full(statistic.shape, 7.0))
    found = model.evaluate(*data, batch_size=COUNT, verbose=0, return_dict=True)
    assert all(np.all(array(statistic.value) == 7.0) for statistic in statistics)
    trained = model.train_on_batch(*data, return_dict=True)
    for term in ("discriminator_loss", "real_accuracy", "fake_accuracy"):
        assert found[term] == pytest.approx(float(trained[term]), rel=1e-4)


# === Penalties ===


def linear_discriminator(name, **settings):
    """A model whose D(x) is w . x, and w."""
    model = model_of(name, architecture="dense", discriminator_units=(), **settings)
    kernel = model.discriminator.trainable_variables[0]
    kernel.assign(np.random.default_rng(0).normal(0, 0.5, kernel.shape))
    return model, array(kernel.value)


def penalty_of(model):
    _, terms = model.discriminator_loss(*batch_for(model))
    return float(array(terms["gradient_penalty"]))


def test_gradient_penalty_of_a_linear_critic():
    model, weights = linear_discriminator("wgan_gp", penalty_weight=7.0)
    expected = 7 * (np.linalg.norm(weights) - 1) ** 2
    assert penalty_of(model) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["gan", "lsgan", "wgan"])
def test_r1_of_a_linear_discriminator(name):
    model, weights = linear_discriminator(name, r1_weight=3.0)
    assert penalty_of(model) == pytest.approx(1.5 * np.sum(weights**2), rel=1e-5)


def test_r1_adds_to_the_gradient_penalty():
    model, weights = linear_discriminator("wgan_gp", r1_weight=3.0)
    slope = np.linalg.norm(weights)
    expected = 10 * (slope - 1) ** 2 + 1.5 * slope**2
    assert penalty_of(model) == pytest.approx(expected, rel=1e-5)


def penalty_and_gradient(model):
    """The penalty between real images and their negatives, and its gradient by a linear critic."""
    real = model.scale(ops.convert_to_tensor(some_images(model)))

    def penalty():
        return model.gradient_penalty(real, -real, None, training=True), {}

    variables = model.discriminator.trainable_variables
    (value, _), (gradient,) = backend.value_and_grad(model, penalty, variables)
    return float(array(value)), array(gradient)


def test_gradient_of_the_penalty_of_a_linear_critic():
    """d 10 (|w| - 1)^2 / dw = 20 (|w| - 1) w / |w|."""
    model, weights = linear_discriminator("wgan_gp")
    _, gradient = penalty_and_gradient(model)
    norm = np.linalg.norm(weights)
    np.testing.assert_allclose(gradient, 20 * (norm - 1) * weights / norm, rtol=1e-4)


def test_the_penalty_has_a_gradient_where_a_critic_is_flat():
    """The norm's own is infinite at 0: of an epsilon inside the root it is 0."""
    model, weights = linear_discriminator("wgan_gp")
    model.discriminator.trainable_variables[0].assign(np.zeros(weights.shape))
    value, gradient = penalty_and_gradient(model)
    assert value == pytest.approx(10, rel=1e-4)
    assert np.all(gradient == 0)


def images_of_slopes(monkeypatch, model):
    """A list to which come the images at which the model asks for its discriminator's slopes."""
    seen = []
    monkeypatch.setattr(
        model,
        "squared_gradient_norms",
        lambda images, *_: seen.append(array(images)) or ops.ones(COUNT),
    )
    return seen


def test_the_penalty_is_taken_between_real_and_generated_images(monkeypatch):
    model = model_of("wgan_gp")
    seen = images_of_slopes(monkeypatch, model)
    real = np.zeros((COUNT, 8, 8, 1), "float32")
    fakes = np.ones((COUNT, 8, 8, 1), "float32")
    model.gradient_penalty(ops.convert_to_tensor(real), ops.convert_to_tensor(fakes), None, True)
    shares = seen[0].reshape(COUNT, -1)
    assert np.all(shares == shares[:, :1])  # one per image
    assert len(np.unique(shares[:, 0])) == COUNT
    assert 0 <= shares.min() < shares.max() <= 1


@pytest.mark.parametrize("name", ["gan", "wgan"])
def test_r1_is_taken_at_real_images(monkeypatch, name):
    model = model_of(name, r1_weight=1.0)
    seen = images_of_slopes(monkeypatch, model)
    model.discriminator_loss(*batch_for(model))
    (images,) = seen
    np.testing.assert_allclose(images, some_images(model) / 8 - 1, atol=1e-6)


def test_clipping_bounds_every_weight_of_the_critic():
    model = model_of("wgan", architecture="conv", clip=0.02)
    model.compile({player: keras.optimizers.SGD(10.0) for player in model.players})
    weights = model.discriminator.trainable_variables
    assert max(np.abs(array(w.value)).max() for w in weights) <= np.float32(0.02)
    model.fit(some_images(model, 8), batch_size=4, epochs=1, verbose=0)
    assert max(np.abs(array(w.value)).max() for w in weights) == np.float32(0.02)
    assert max(np.abs(array(w.value)).max() for w in model.generator.trainable_variables) > 0.02


# === Moves ===


def test_rates_of_critic_and_generator_fall_together():
    """The critic's optimizer counts five updates a step, the generator's one."""
    optimizers = model_of("wgan_gp", critic_steps=5).recommended_optimizer()
    # What an optimizer was given: `learning_rate` is what it makes of it at its own step.
    critic, generator = (
        keras.optimizers.schedules.deserialize(optimizers[player].get_config()["learning_rate"])
        for player in ("discriminator", "generator")
    )
    rates = [float(array(generator(steps))) for steps in (0, 5_000, 10_000, 20_000)]
    assert rates[0] > rates[1] > rates[2] == rates[3] == pytest.approx(rates[0] / 50)
    assert [float(array(critic(5 * n))) for n in (0, 5_000, 10_000, 20_000)] == pytest.approx(rates)


def test_five_critic_steps_for_one_of_the_generator():
    model = model_of("wgan_gp", architecture="dense")
    model.compile()
    model.fit(some_images(model, 8), batch_size=4, epochs=3, verbose=0)
    counts = {player: int(model.optimizer[player].iterations) for player in model.players}
    assert counts == {"discriminator": 30, "generator": 6}


def test_every_move_reads_what_the_move_before_it_left():
    """TensorFlow has swapped the two, by chance: equal steps then differ, sooner or later."""
    kgen.set_seed(0)
    model = kgen.WGAN((8, 8, 1), levels=17, architecture="dense", critic_steps=2)
    model.compile()
    images = some_images(model, 32)

    def loss_of_a_step():
        for variable, value in zip(variables, start, strict=True):
            variable.assign(value)
        return model.train_on_batch(images, return_dict=True)["discriminator_loss"]

    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    start = [array(variable) for variable in variables]
    assert len({float(loss_of_a_step()) for _ in range(20)}) == 1


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_every_critic_step_has_new_noise(monkeypatch, name):
    model = model_of(name, critic_steps=3)
    train_step, normal = model.train_step, model.normal

    def with_its_noise(data):
        drawn = []
        monkeypatch.setattr(model, "normal", lambda shape: drawn.append(x := normal(shape)) or x)
        return {**train_step(data), "noise": drawn}

    monkeypatch.setattr(model, "train_step", with_its_noise)
    model.compile()
    logs = model.train_on_batch(some_images(model), np.arange(COUNT), return_dict=True)
    assert len(logs["noise"]) == 4
    assert len({array(noise).tobytes() for noise in logs["noise"]}) == 4


def test_a_conditional_model_hears_the_label():
    model = model_of("cgan")
    latents = np.repeat(np.float32([[0.1, -0.2, 0.3, 0.5]]), 10, axis=0)
    images = array(model.generator([latents, np.arange(10)]))
    assert len({image.tobytes() for image in images}) == 10
    same = np.repeat(some_images(model, 1), 10, axis=0) / np.float32(8) - 1
    assert len(set(array(model.discriminator([same, np.arange(10)])).ravel().tolist())) == 10


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_convolutional_networks_train(name):
    """Compiled, with both penalties, whose second derivatives pass through the networks.

    The contract trains the dense ones.
    """
    model = model_of(name, architecture="conv", r1_weight=1.0, critic_steps=1)
    model.compile()
    history = model.fit(some_images(model), np.arange(COUNT), batch_size=COUNT, verbose=0).history
    assert np.isfinite(list(history.values())).all()
    assert model.sample(2, seed=0).shape == (2, 8, 8, 1)


# === Averaged weights ===


def averages_of(model):
    """The averages of the generator's weights, arrays in the order of its `get_weights`."""
    return [array(model.averages.of(weight).value) for weight in model.generator.weights]


def test_the_average_follows_its_recursion_and_leaves_the_weights():
    model = model_of("gan", ema=0.5)
    model.compile()
    expected = None
    for step in range(1, 15):
        model.train_on_batch(some_images(model))
        weights = [array(weight) for weight in model.generator.get_weights()]
        kept = min(0.5, (step - 1) / (step + 9))
        expected = (
            weights
            if step == 1
            else [kept * old + (1 - kept) * new for old, new in zip(expected, weights, strict=True)]
        )
    for received, value in zip(averages_of(model), expected, strict=True):
        np.testing.assert_allclose(received, value, rtol=1e-4, atol=1e-6)
    model.sample(3, seed=0)
    assert all(map(np.array_equal, weights, model.generator.get_weights()))


def test_samples_are_the_average_generators():
    model = model_of("gan", ema=0.9)
    before = model.sample(4, seed=0)
    for weight in model.generator.trainable_variables:
        weight.assign(np.ones(weight.shape))
    assert np.array_equal(model.sample(4, seed=0), before)
    for average in model.averages.values:
        average.assign(np.ones(average.shape))
    assert not np.array_equal(model.sample(4, seed=0), before)


def test_the_average_goes_on_when_compiled_again():
    model = model_of("gan", ema=0.9)
    model.compile()
    model.fit(some_images(model, 40), batch_size=4, verbose=0)
    before = averages_of(model)
    model.compile({player: keras.optimizers.SGD(0.0) for player in model.players})
    model.train_on_batch(some_images(model, 4))
    assert float(array(model.averages.steps.value)) == 11
    kept = 10 / 20  # an average of ten steps, the eleventh weighs as much as all before
    weights = [array(weight) for weight in model.generator.get_weights()]
    for received, old, new in zip(averages_of(model), before, weights, strict=True):
        np.testing.assert_allclose(received, kept * old + (1 - kept) * new, rtol=1e-4, atol=1e-6)


# === Spectral normalisation ===


@pytest.mark.parametrize("layer", ["dense", "conv"])
def test_spectral_normalisation_divides_by_the_largest_singular_value(layer):
    if layer == "dense":
        inner, inputs = keras.layers.Dense(5, use_bias=False), (4, 7)
    else:
        inner, inputs = Conv2D(5, 3, padding="same", use_bias=False), (2, 6, 6, 3)
    inputs = np.random.default_rng(0).standard_normal(inputs).astype("float32")
    spectral = SpectralNormalization(inner)
    for _ in range(100):
        outputs = spectral(inputs, training=True)
    kernel = array(inner.kernel).reshape(-1, 5)
    largest = np.linalg.svd(kernel, compute_uv=False)[0]
    np.testing.assert_allclose(array(outputs), array(inner(inputs)) / largest, rtol=1e-3, atol=1e-5)
    before = array(spectral.vector.value)
    again = spectral(inputs, training=False)
    np.testing.assert_allclose(array(again), array(outputs), rtol=1e-4, atol=1e-6)
    assert np.array_equal(array(spectral.vector.value), before)


def test_a_kernel_of_zeros_stays_zero():
    dense = keras.layers.Dense(3, use_bias=False, kernel_initializer="zeros")
    spectral = SpectralNormalization(dense)
    assert np.all(array(spectral(np.ones((2, 4), "float32"), training=True)) == 0)


def test_a_normalised_kernel_has_no_gradient_along_itself():
    """W / sigma(W) does not change with the length of W."""
    model = model_of("gan", spectral_normalization=True, discriminator_units=())
    (layer,) = (x for x in model.discriminator.layers if isinstance(x, SpectralNormalization))
    images = model.scale(ops.convert_to_tensor(some_images(model)))
    for _ in range(50):
        model.discriminator(images, training=True)
    _, (gradient,) = backend.value_and_grad(
        model,
        lambda: (ops.mean(ops.sin(model.discriminate(images))), {}),
        [layer.layer.kernel],
    )
    gradient, kernel = array(gradient), array(layer.layer.kernel)
    length = np.linalg.norm(gradient) * np.linalg.norm(kernel)
    assert length > 0
    assert abs(np.sum(gradient * kernel)) < 1e-3 * length


@pytest.mark.parametrize(
    ("name", "options", "normalised"),
    [
        ("dcgan", {}, True),
        ("wgan", {}, True),
        ("dcgan", {"spectral_normalization": True}, False),
        ("dcgan", {"r1_weight": 1.0}, False),
        ("wgan_gp", {}, False),
    ],
)
def test_no_batch_statistics_where_single_images_count(name, options, normalised):
    model = model_of(name, image_shape=(16, 16, 1), **options)
    kinds = {type(layer) for layer in model.discriminator.layers}
    found = any(issubclass(kind, keras.layers.BatchNormalization) for kind in kinds)
    assert found == normalised
    assert (SpectralNormalization in kinds) == ("spectral_normalization" in options)


@pytest.mark.parametrize("name", ["dcgan", "lsgan", "wgan"])
def test_a_move_leaves_the_other_players_statistics(monkeypatch, name):
    """Of a discriminator with batch normalisation, too: the contract's are too small for it."""
    model = model_of(name, image_shape=(16, 16, 1))
    model.compile(run_eagerly=True)
    minimize, seen = model.minimize, []

    def watched(loss_function, player, *args):
        (other,) = (x for x in model.players if x != player)
        before = [array(v.value) for v in getattr(model, other).variables]
        own = [array(v.value) for v in getattr(model, player).variables]
        found = minimize(loss_function, player, *args)
        seen.append(player)
        assert all(map(np.array_equal, before, map(array, getattr(model, other).variables)))
        moved = [
            not np.array_equal(old, array(v))
            for old, v in zip(own, getattr(model, player).variables, strict=True)
        ]
        assert all(moved)
        return found

    monkeypatch.setattr(model, "minimize", watched)
    model.train_on_batch(some_images(model))
    assert set(seen) == set(model.players)


# === Errors ===


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("gan", {"loss": "logistic"}, ["minimax", "logistic"]),
        ("gan", {"architecture": "mlp"}, ["dense", "mlp"]),
        ("gan", {"critic_steps": 0}, ["critic_steps", "0"]),
        ("gan", {"latent_size": 0}, ["latent_size", "0"]),
        ("gan", {"r1_weight": -1.0}, ["r1_weight", "-1.0"]),
        ("gan", {"reconstruction_weight": -2.0}, ["reconstruction_weight", "-2.0"]),
        ("wgan_gp", {"penalty_weight": -10.0}, ["penalty_weight", "-10.0"]),
        ("gan", {"ema": 1.0}, ["ema", "1.0"]),
        ("gan", {"label_smoothing": -0.1}, ["label_smoothing", "-0.1"]),
        ("wgan", {"label_smoothing": 0.1}, ["label_smoothing", "0.1", "targets"]),
        ("wgan", {"clip": 0.0}, ["clip", "0.0"]),
        ("cgan", {"classes": 0}, ["class", "0"]),
        ("gan", {"architecture": "conv", "image_shape": (7, 8, 1)}, ["7x8", "dense"]),
    ],
)
def test_wrong_settings_are_refused(name, settings, words):
    with refused(*words):
        model_of(name, **settings)


# === Warnings ===


def epoch_ends(model, logs, steps=300, epochs=2):
    """`GANWarnings` through that many epoch ends."""
    callback = GANWarnings()
    callback.set_model(model)
    model.optimizer["generator"].iterations.assign(steps)
    callback.on_train_begin()
    for epoch in range(epochs):
        callback.on_epoch_end(epoch, logs)


def compiled(name, constant=False):
    """A GAN whose samples differ; are all equal (True); or as the labels do ("but for labels")."""
    model = model_of(name, architecture="conv")
    if constant is True:
        for weight in model.generator.trainable_variables:
            weight.assign(np.zeros(weight.shape))
    else:
        if constant:
            vectors, dense = model.generator.trainable_variables[:2]
            vectors.assign(np.random.default_rng(0).standard_normal(vectors.shape))
            rows = array(dense.value)
            rows[: model.latent_size] = 0.0  # those of the noise
            dense.assign(rows)
        kernel = model.generator.trainable_variables[-2]
        kernel.assign(100 * ops.convert_to_tensor(kernel))
    model.compile()
    return model


RIGHT = {"real_accuracy": 0.995, "fake_accuracy": 1.0}
UNSURE = {"real_accuracy": 1.0, "fake_accuracy": 0.6}


@pytest.mark.parametrize(
    ("name", "constant", "logs", "steps", "expected"),
    [
        ("gan", False, UNSURE, 300, []),
        ("gan", False, RIGHT, 300, ["right about 99.5 %"]),
        ("gan", False, RIGHT, 299, []),
        ("wgan_gp", False, RIGHT, 300, []),
        ("gan", True, UNSURE, 300, ["collapsed"]),
        ("wgan", True, RIGHT, 300, ["collapsed"]),
        ("gan", True, RIGHT, 300, ["right about", "collapsed"]),
        ("cgan", False, UNSURE, 300, []),
        ("cgan", "but for labels", UNSURE, 300, ["collapsed"]),
    ],
)
def test_warnings_come_once_and_in_one_line(caplog, name, constant, logs, steps, expected):
    with caplog.at_level(logging.WARNING, "kgen"):
        epoch_ends(compiled(name, constant), logs, steps)
    assert len(caplog.messages) == len(expected)
    for message, words in zip(caplog.messages, expected, strict=True):
        assert words in message
        assert "ry " in message  # what to try
        assert "\n" not in message


def test_every_gan_offers_its_warnings_and_no_other_model_does():
    offered = {
        name: [type(watcher) for watcher in kgen.models.get(name).watchers(None)]
        for name in kgen.models.REGISTRY
    }
    assert offered == {
        name: [GANWarnings] * issubclass(kgen.models.get(name), GANBase)
        for name in kgen.models.REGISTRY
    }


def test_deviation_of_known_images():
    images = np.zeros((2, 1, 2, 1), "uint8")
    images[1, 0, 0] = 8  # one of two pixels deviates by 4 of 16
    assert mean_deviation(images, 17) == pytest.approx(4 / 16 / 2)


# === Known answers ===


def test_the_best_discriminator_is_the_density_ratio(monkeypatch):
    """D's logit approaches log p(x) / q(x), here of two Gaussians on one pixel (section 4.1)."""
    real, fake = stats.norm(0.2, 0.2), stats.norm(-0.1, 0.3)
    kgen.set_seed(0)
    model = kgen.models.create(
        "gan", image_shape=(1, 1, 1), discriminator_units=(32, 32), generator_units=(4,)
    )
    monkeypatch.setattr(
        model,
        "generate",
        lambda count, *_: -0.1 + 0.3 * model.normal((count, 1, 1, 1)),
    )
    model.compile({p: keras.optimizers.Adam(3e-3, beta_1=0.5) for p in model.players})
    drawn = real.rvs(50_000, random_state=0)
    images = np.clip(np.rint((drawn + 1) * 127.5), 0, 255).astype("uint8").reshape(-1, 1, 1, 1)
    model.fit(images, batch_size=500, epochs=5, verbose=0)
    x = np.linspace(-0.3, 0.5, 9, dtype="float32").reshape(-1, 1, 1, 1)
    ratio = real.logpdf(x) - fake.logpdf(x)
    logits = array(model.discriminate(ops.convert_to_tensor(x)))
    assert np.abs(logits.ravel() - ratio.ravel()).max() < 0.35
    assert np.ptp(ratio) > 2


RINGS = {
    "wgan_gp": ({"penalty_weight": 1.0}, {"beta_1": 0.0, "beta_2": 0.9}),
    "sngan": ({"critic_steps": 2}, {"beta_1": 0.0, "beta_2": 0.9}),
    "infogan": ({"categories": 8, "numbers": 0, "latent_size": 16}, {"beta_1": 0.5}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RINGS)
def test_a_ring_of_eight_gaussians_is_covered(name):
    """Points as images of two pixels; each mode gets some of the samples, most are near one."""
    generator = np.random.default_rng(0)
    angles = np.arange(8) * np.pi / 4
    modes = 0.7 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    points = modes[generator.integers(8, size=20_000)] + generator.normal(0, 0.02, (20_000, 2))
    images = np.rint((points + 1) * 127.5).astype("uint8").reshape(-1, 1, 2, 1)
    kgen.set_seed(0)
    options, moments = RINGS[name]
    sizes = {"generator_units": (128, 128), "discriminator_units": (128, 128), "latent_size": 8}
    sizes |= {"image_shape": (1, 2, 1), "architecture": "dense"}
    model = kgen.models.create(name, **sizes | options)
    model.compile({p: keras.optimizers.Adam(1e-3, **moments) for p in model.players})
    model.fit(images, batch_size=200, epochs=30, verbose=0)
    samples = model.sample(2000, seed=0).reshape(-1, 2) / 127.5 - 1
    distances = np.linalg.norm(samples[:, None] - modes, axis=-1)  # (2000, 8)
    near = distances.min(axis=1) < 0.15  # the modes are 0.54 apart
    assert near.mean() > 0.5
    assert np.bincount(distances.argmin(axis=1)[near], minlength=8).min() > 60


@pytest.mark.slow
def test_conditional_samples_are_of_their_class():
    data = kgen.data.load("digits")
    kgen.set_seed(0)
    model = kgen.models.create("cgan", data)
    model.compile()
    model.fit(data.train.images, data.train.labels, batch_size=64, epochs=150, verbose=0)
    classifier = SVC().fit(data.train.images.reshape(-1, 64), data.train.labels)
    assert classifier.score(data.test.images.reshape(-1, 64), data.test.labels) > 0.97
    labels = np.arange(500) % 10
    samples = model.sample(500, condition=labels, seed=0)
    assert classifier.score(samples.reshape(-1, 64), labels) >= 0.9
    assert mean_deviation(samples[labels == 3], data.levels) > 0.03
