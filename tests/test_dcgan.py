"""The DCGAN's networks as the paper has them, and its losses against NumPy."""

import functools

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy import special

import kgen
from kgen import backend
from kgen.errors import KgenError
from kgen.layers import BatchNormalization, UpsampleConv
from kgen.models.gans.dcgan import DCGAN

SHAPES = [(8, 8, 1), (9, 13, 3), (28, 28, 1), (28, 20, 3), (32, 32, 3), (64, 64, 1), (64, 8, 3)]
SMALL = (9, 13, 3)  # two halvings
COUNT = 6


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


@functools.cache
def built(image_shape):
    return DCGAN(image_shape, latent_size=5, base_channels=2)


@pytest.fixture(params=SHAPES, ids=str)
def model(request):
    return built(request.param)


@pytest.fixture(scope="module")
def trained():
    """A model whose weights are no longer small, so that its numbers differ from each other."""
    model = DCGAN(SMALL, latent_size=5, base_channels=2)
    generator = np.random.default_rng(0)
    for network in (model.generator, model.discriminator):
        for variable in network.trainable_variables:
            variable.assign(generator.normal(0, 0.5, variable.shape))
    model.compile()
    return model


def some_images(model, count=COUNT):
    shape = (count, *model.image_shape)
    return np.random.default_rng(1).integers(0, model.levels, shape).astype("uint8")


def some_latents(model, count=COUNT):
    return np.random.default_rng(2).standard_normal((count, model.latent_size), "float32")


def of_kind(network, kind):
    return [layer for layer in network.layers if isinstance(layer, kind)]


def values(variables):
    return [numpy(variable).copy() for variable in variables]


def all_equal(before, after):
    return [np.array_equal(*pair) for pair in zip(before, after, strict=True)]


# === Shapes ===


def test_generated_images_have_the_shape(model):
    images = numpy(model.generate(2, training=False))
    assert images.shape == (2, *model.image_shape)
    assert images.dtype == np.float32
    assert model.generator.output_shape == (None, *model.image_shape)


def test_discriminator_gives_one_logit_per_image(model):
    images = ops.convert_to_tensor(some_images(model, 2))
    logits = numpy(model.discriminator(model.scale(images), training=False))
    assert logits.shape == (2, 1)
    assert logits.dtype == np.float32
    assert model.discriminator.layers[-1].activation is keras.activations.linear


@pytest.mark.parametrize(
    "image_shape",
    [
        (7, 8, 1),
        (8, 7, 3),
        (1, 1, 1),
        (65, 64, 1),
        (64, 65, 3),
        (28, 28, 2),
        (28, 28, 4),
    ],
)
def test_unfit_images_are_an_error(image_shape):
    height, width, channels = image_shape
    with pytest.raises(KgenError) as caught:
        DCGAN(image_shape)
    assert f"received {height}x{width} with {channels}" in str(caught.value)
    assert "\n" not in str(caught.value)


# === Networks as in the paper ===


def test_no_pooling(model):
    names = [
        type(layer).__name__
        for net in (model.generator, model.discriminator)
        for layer in net.layers
    ]
    assert not [name for name in names if "Pool" in name or "UpSampling" in name]


def test_only_strided_convolutions(model):
    down = of_kind(model.discriminator, layers.Conv2D)
    up = of_kind(model.generator, layers.Conv2DTranspose)
    assert len(down) == len(up) >= 1
    assert {layer.strides for layer in down + up} == {(2, 2)}
    assert not of_kind(model.generator, layers.Conv2D)
    assert min(down[-1].output.shape[1:3]) <= 4 < min(down[-1].input.shape[1:3])


def test_discriminator_normalises_all_but_its_first_convolution(model):
    kinds = [type(layer) for layer in model.discriminator.layers]
    convolutions = len(of_kind(model.discriminator, layers.Conv2D))
    assert len(of_kind(model.discriminator, layers.BatchNormalization)) == convolutions - 1
    assert kinds[1] is layers.LeakyReLU
    for before, kind, after in zip(kinds, kinds[1:], kinds[2:], strict=False):
        if issubclass(kind, layers.BatchNormalization):
            assert issubclass(before, layers.Conv2D)
            assert after is layers.LeakyReLU


def test_generator_normalises_all_but_its_output(model):
    kinds = [type(layer) for layer in model.generator.layers]
    doublings = of_kind(model.generator, UpsampleConv)
    assert kinds == [
        layers.Dense,
        layers.Reshape,
        *[BatchNormalization, layers.ReLU, UpsampleConv] * len(doublings),
    ]
    assert [layer.activation.__name__ for layer in doublings[:-1]] == ["linear"] * (
        len(doublings) - 1
    )
    assert doublings[-1].activation is keras.activations.tanh


def test_discriminator_slopes_are_a_fifth(model):
    slopes = {
        float(layer.negative_slope) for layer in of_kind(model.discriminator, layers.LeakyReLU)
    }
    np.testing.assert_allclose(list(slopes), [0.2], rtol=1e-6)


def test_biases_only_where_no_normalisation_follows(model):
    for network in (model.generator, model.discriminator):
        for layer, after in zip(network.layers, network.layers[1:], strict=False):
            if isinstance(after, layers.BatchNormalization) and hasattr(layer, "use_bias"):
                assert not layer.use_bias
    assert of_kind(model.generator, UpsampleConv)[-1].use_bias
    assert of_kind(model.discriminator, layers.Conv2D)[0].use_bias


def test_channels_double_with_each_halving():
    model = built((32, 32, 3))
    assert [layer.filters for layer in of_kind(model.discriminator, layers.Conv2D)] == [2, 4, 8]
    assert [layer.filters for layer in of_kind(model.generator, UpsampleConv)] == [4, 2, 3]
    assert model.generator.layers[1].output.shape == (None, 4, 4, 8)


def test_initial_weights_are_normal_of_deviation_0_02():
    kgen.set_seed(0)
    model = DCGAN((8, 8, 3), latent_size=50, base_channels=16)
    kernels = [
        numpy(layer.kernel)
        for network in (model.generator, model.discriminator)
        for layer in network.layers
        if hasattr(layer, "kernel")
    ]
    assert len(kernels) == 4
    for kernel in kernels:
        assert abs(kernel.std() / 0.02 - 1) < 4 / np.sqrt(2 * kernel.size)
        assert abs(kernel.mean() / 0.02) < 4 / np.sqrt(kernel.size)
    assert max(np.abs(kernel).max() for kernel in kernels) > 0.06  # not cut off at two deviations


def test_recommended_optimizers():
    optimizers = built(SMALL).recommended_optimizer()
    rates = {player: float(optimizer.learning_rate) for player, optimizer in optimizers.items()}
    assert rates == pytest.approx({"discriminator": 5e-4, "generator": 1e-3})
    for optimizer in optimizers.values():
        assert isinstance(optimizer, keras.optimizers.Adam)
        assert optimizer.beta_1 == 0.5


# === Generated images ===


def test_generated_values_are_hyperbolic_tangents():
    model = DCGAN((8, 8, 1), latent_size=5, base_channels=2)
    kernel, bias = model.generator.layers[-1].trainable_variables
    kernel.assign(np.zeros(kernel.shape))
    bias.assign([0.7])
    images = numpy(model.generator(some_latents(model)))
    np.testing.assert_allclose(images, np.tanh(0.7), rtol=1e-6)


def test_generated_values_stay_between_minus_one_and_one():
    model = DCGAN((8, 8, 1), latent_size=5, base_channels=2)
    kernel = model.generator.layers[-1].kernel
    kernel.assign(1e4 * numpy(kernel))
    images = numpy(model.generator(some_latents(model), training=True))
    assert np.abs(images).max() == 1
    assert images.min() < 0 < images.max()


def test_samples_are_the_generators_images_as_levels(trained):
    images = trained.sample(COUNT, seed=2)  # some_latents' seed
    generated = numpy(trained.generator(some_latents(trained), training=False))
    assert images.dtype == np.uint8
    assert np.ptp(images) > 50
    np.testing.assert_allclose(images, (generated + 1) * 127.5, rtol=0, atol=0.502)


def test_samples_do_not_depend_on_each_other(trained):
    few, many = trained.sample(2, seed=3), trained.sample(20, seed=3)
    assert np.abs(few.astype("int64") - many[:2]).max() <= 1


def test_samples_repeat_with_their_seed(trained):
    first, again, other = (trained.sample(4, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_scale_and_to_levels_are_inverse_for_all_levels():
    model = DCGAN((8, 8, 1), latent_size=5, base_channels=2)
    for levels in range(2, 257):
        model.levels = levels
        values = np.minimum(np.arange(256), levels - 1).astype("uint8")  # one shape for all
        scaled = model.scale(ops.convert_to_tensor(values))
        found = numpy(model.to_levels(scaled))
        assert found.dtype == np.uint8
        assert np.array_equal(found, values)
        np.testing.assert_allclose(numpy(scaled)[:levels], np.linspace(-1, 1, levels), atol=1e-6)


def test_values_beyond_the_range_become_the_outermost_levels():
    values = ops.convert_to_tensor(np.float32([-1.5, -1.001, 1.001, 3.0]))
    assert numpy(built(SMALL).to_levels(values)).tolist() == [0, 0, 255, 255]


# === Losses ===


@pytest.fixture
def known_fakes(monkeypatch):
    """Make the generator's noise known: every call of `generate` returns the same images."""
    normal = lambda self, shape: ops.convert_to_tensor(some_latents(self, int(shape[0])))  # noqa: E731
    monkeypatch.setattr(DCGAN, "normal", normal)


def logits_of(model, images, training):
    return numpy(model.discriminator(images, training=training)).astype("float64")


def constant_logit(logit):
    """A model whose discriminator gives every image this logit."""
    model = built((8, 8, 1))
    kernel, bias = model.discriminator.layers[-1].trainable_variables
    kernel.assign(np.zeros(kernel.shape))
    bias.assign([logit])
    return model


@pytest.mark.parametrize("training", [True, False])
def test_discriminator_loss_is_numpys(trained, known_fakes, training):
    images = ops.convert_to_tensor(some_images(trained))
    real = logits_of(trained, trained.scale(images), training)
    fake = logits_of(trained, trained.generate(COUNT, training=training), training)
    expected = -special.log_expit(real).mean() - np.log1p(-special.expit(fake)).mean()
    loss, terms = trained.discriminator_loss(images, training=training)
    np.testing.assert_allclose(float(numpy(loss)), expected, rtol=1e-4)
    assert float(numpy(terms["real_accuracy"])) == pytest.approx(np.mean(real > 0))
    assert float(numpy(terms["fake_accuracy"])) == pytest.approx(np.mean(fake < 0))
    assert float(numpy(terms["gradient_penalty"])) == 0
    assert np.ptp(real) > 0.1
    assert np.ptp(fake) > 0.1


@pytest.mark.parametrize("training", [True, False])
def test_generator_loss_is_numpys(trained, known_fakes, training):
    fake = logits_of(trained, trained.generate(COUNT, training=training), training)
    images = ops.convert_to_tensor(some_images(trained))
    loss, terms = trained.generator_loss(images, training=training)
    np.testing.assert_allclose(float(numpy(loss)), -special.log_expit(fake).mean(), rtol=1e-4)
    assert terms == {}


@pytest.mark.parametrize("logit", [-200.0, -3.0, 0.0, 3.0, 200.0])
def test_losses_at_known_logits(logit):
    model = constant_logit(logit)
    images = ops.convert_to_tensor(some_images(model))
    discriminator_loss, _ = model.discriminator_loss(images, training=False)
    generator_loss, _ = model.generator_loss(images, training=False)
    real, fake = -special.log_expit(logit), -special.log_expit(-logit)
    np.testing.assert_allclose(float(numpy(discriminator_loss)), real + fake, rtol=1e-6)
    np.testing.assert_allclose(float(numpy(generator_loss)), real, rtol=1e-6, atol=1e-30)


def test_losses_where_the_discriminator_cannot_tell():
    model = constant_logit(0.0)
    images = ops.convert_to_tensor(some_images(model))
    discriminator_loss, _ = model.discriminator_loss(images, training=False)
    generator_loss, _ = model.generator_loss(images, training=False)
    assert float(numpy(discriminator_loss)) == pytest.approx(2 * np.log(2))
    assert float(numpy(generator_loss)) == pytest.approx(np.log(2))


def test_losses_draw_new_noise_each_time(trained):
    images = ops.convert_to_tensor(some_images(trained))
    first, second = (
        float(numpy(trained.generator_loss(images, training=False)[0])) for _ in range(2)
    )
    assert first != second


# === Moves ===


def test_discriminator_loss_has_no_gradient_in_the_generator(trained):
    images = ops.convert_to_tensor(some_images(trained))
    _, gradients = backend.value_and_grad(
        trained, lambda: trained.discriminator_loss(images), trained.variables_of("generator")
    )
    assert len(gradients) == len(trained.generator.trainable_variables)
    assert not any(numpy(gradient).any() for gradient in gradients)


def test_test_step_changes_no_weights(trained):
    variables = [*trained.generator.variables, *trained.discriminator.variables]
    before = values(variables)
    terms = trained.test_step((ops.convert_to_tensor(some_images(trained)),))
    assert set(terms) == set(DCGAN.metric_names)
    assert all(all_equal(before, values(variables)))


def test_fit_logs_both_losses():
    kgen.set_seed(0)
    model = DCGAN((8, 8, 1), latent_size=5, base_channels=2)
    model.compile()
    history = model.fit(some_images(model, 8), batch_size=4, epochs=1, verbose=0).history
    assert set(history) == set(DCGAN.metric_names)
    assert history["discriminator_loss"][0] == pytest.approx(2 * np.log(2), abs=0.1)
    assert history["generator_loss"][0] == pytest.approx(np.log(2), abs=0.1)
