"""Options of every GAN: hinge losses, lazy R1, augmentation, minibatch deviation, residual nets."""

import keras
import numpy as np
import pytest
from keras import ops

import kgen
from kgen import backend
from kgen.layers import (
    ConditionalBatchNormalization,
    MinibatchDeviation,
    SpectralNormalization,
    UpsampleConv,
)
from kgen.models.gans import augmentation
from kgen.models.gans.augmentation import DRAWS, augmented
from kgen.testing.comparing import array, refused

COUNT = 6
REAL = np.array([[-3.0], [-0.4], [0.1], [0.7], [1.2], [5.0]], "float32")
FAKE = np.array([[-4.0], [-1.0], [-0.2], [0.3], [0.6], [2.0]], "float32")
ALL = ("translation", "cutout", "color")


def model_of(name, **settings):
    kgen.set_seed(0)
    tiny = {"latent_size": 4, "generator_units": (8,), "discriminator_units": (8,)}
    settings = {"image_shape": (8, 8, 1), "levels": 17, "base_channels": 2, **tiny, **settings}
    return kgen.models.create(name, **settings)


def some_images(model, count=COUNT):
    shape = (count, *model.image_shape)
    return np.random.default_rng(1).integers(0, model.levels, shape).astype("uint8")


def floats(*shape):
    return np.random.default_rng(2).uniform(-1, 1, shape).astype("float32")


# === Hinge losses ===


@pytest.mark.parametrize("name", ["gan", "dcgan", "cgan", "infogan", "sngan", "projection_gan"])
def test_hinge_losses(name):
    latents = 16 if name == "infogan" else 4
    model = model_of(name, loss="hinge", latent_size=latents)
    expected = np.maximum(0, 1 - REAL).mean() + np.maximum(0, 1 + FAKE).mean()
    loss = model.discriminator_criterion(ops.convert_to_tensor(REAL), ops.convert_to_tensor(FAKE))
    assert float(array(loss)) == pytest.approx(expected, rel=1e-6)
    loss = model.generator_criterion(ops.convert_to_tensor(FAKE))
    assert float(array(loss)) == pytest.approx(-FAKE.mean(), rel=1e-6)
    assert model.decision_boundary(REAL, FAKE) == 0.0


def test_hinge_losses_have_no_targets_to_smooth():
    with refused("label_smoothing", "0.1", "hinge"):
        model_of("gan", loss="hinge", label_smoothing=0.1)


# === Lazy R1 ===


def penalties(steps, **settings):
    """The penalty in each of some steps of a discriminator D(x) = w . x that does not learn."""
    model = model_of("gan", discriminator_units=(), r1_weight=2.0, **settings)
    model.compile({player: keras.optimizers.SGD(0.0) for player in model.players})
    logs = [model.train_on_batch(some_images(model), return_dict=True) for _ in range(steps)]
    found = np.array([float(log["gradient_penalty"]) for log in logs])
    weights = array(model.discriminator.trainable_variables[0].value)
    return found / np.sum(weights**2)


def test_lazy_r1_is_due_every_few_steps_and_counts_as_often():
    np.testing.assert_allclose(penalties(6), 1, rtol=1e-4)
    np.testing.assert_allclose(penalties(6, r1_every=3), [3, 0, 0, 3, 0, 0], rtol=1e-4, atol=1e-5)


def test_lazy_r1_moves_the_discriminator_as_often_as_it_is_due():
    """With losses of weight 0 only the penalty moves it: w becomes (1 - rate) w in a due step."""
    model = model_of("gan", discriminator_units=(), r1_weight=1.0, r1_every=2)
    model.discriminator_criterion = lambda real, fake: 0.0 * ops.mean(real + fake)
    model.compile({player: keras.optimizers.SGD(0.1) for player in model.players})
    kernel, norms = model.discriminator.trainable_variables[0], []
    for _ in range(5):
        norms.append(np.linalg.norm(array(kernel.value)))
        model.train_on_batch(some_images(model))
    np.testing.assert_allclose(np.divide(norms[1:], norms[:-1]), [0.8, 1, 0.8, 1], rtol=1e-4)


# === Augmentation ===


def changed(images, draws, changes, background):
    """`augmented` of NumPy arrays."""
    images, draws = ops.convert_to_tensor(images), ops.convert_to_tensor(draws)
    return array(augmented(images, draws, changes, background))


@pytest.mark.parametrize("name", ["gan", "wgan_gp", "infogan"])
def test_no_augmentation_is_bitwise_the_plain_loss(monkeypatch, name):
    model = model_of(name, latent_size=16, augment=())
    images = ops.convert_to_tensor(some_images(model))
    noise = ops.convert_to_tensor(floats(COUNT, 16))
    monkeypatch.setattr(model, "normal", lambda _: noise)
    monkeypatch.setattr(model, "uniform", lambda shape: ops.full(shape, 0.3))
    losses = [model.discriminator_loss, model.generator_loss]
    plain = [float(array(loss(images)[0])) for loss in losses]
    monkeypatch.setattr(model, "augmented", lambda images: images)
    assert plain == [float(array(loss(images)[0])) for loss in losses]
    monkeypatch.undo()
    monkeypatch.setattr(model, "normal", lambda _: noise)
    model.augment = ("cutout",)
    assert plain != [float(array(loss(images)[0])) for loss in losses]


def test_the_draws_in_the_middle_change_nothing():
    """No shift, no change of color: what is left is a hole."""
    images = floats(3, 8, 8, 3)
    middle = np.full((3, DRAWS), 0.5, "float32")
    found = changed(images, middle, ("translation", "color"), -1.0)
    np.testing.assert_allclose(found, images, atol=1e-6)


@pytest.mark.parametrize("background", [-1.0, 0.25])
def test_translations_are_shifts_and_fill_with_the_background(background):
    images = floats(40, 16, 9, 3)
    draws = np.random.default_rng(0).uniform(size=(40, DRAWS)).astype("float32")
    found, shifts = changed(images, draws, ("translation",), background), set()
    for before, after, (down, right) in zip(images, found, draws[:, 3:5], strict=True):
        down, right = int(down * 5) - 2, int(right * 3) - 1
        padded = np.pad(before, [(2, 2), (1, 1), (0, 0)], constant_values=background)
        expected = padded[2 - down : 18 - down, 1 - right : 10 - right]
        np.testing.assert_allclose(after, expected, atol=1e-6)
        shifts.add((down, right))
    assert len(shifts) > 10


def test_cutouts_are_squares_of_half_the_side():
    images = np.ones((60, 8, 12, 1), "float32")
    draws = np.random.default_rng(0).uniform(size=(60, DRAWS)).astype("float32")
    holes = changed(images, draws, ("cutout",), -1.0)[..., 0] == -1
    rows, columns = holes.any(axis=2), holes.any(axis=1)
    assert np.array_equal(holes, rows[:, :, None] & columns[:, None])  # rectangles
    assert set(np.abs(np.diff(np.pad(rows, [(0, 0), (1, 1)]).astype(int))).sum(axis=1)) == {2}
    assert (rows.sum(axis=1).max(), columns.sum(axis=1).max()) == (4, 6)
    assert rows.any(axis=0).all()
    assert columns.any(axis=0).all()


def test_color_is_the_papers():
    images = floats(5, 4, 4, 3)
    draws = np.random.default_rng(0).uniform(size=(5, DRAWS)).astype("float32")
    brightness, saturation, contrast = draws[:, :3].T[..., None, None, None]
    expected = images + brightness - 0.5
    grey = expected.mean(axis=-1, keepdims=True)
    expected = grey + 2 * saturation * (expected - grey)
    mean = expected.mean(axis=(1, 2, 3), keepdims=True)
    expected = mean + (0.5 + contrast) * (expected - mean)
    found = changed(images, draws, ("color",), 0.0)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_generators_gradient_passes_through_the_augmentation(monkeypatch):
    """Of a linear discriminator: the gradient at G's images is w, moved back by the shift."""
    linear = {"architecture": "dense", "discriminator_units": ()}
    model = model_of("lsgan", **linear, augment=("translation",), background=3)
    model.generator_criterion = lambda logits: -ops.mean(logits)
    draws = np.zeros((1, DRAWS), "float32")  # one pixel up and left
    monkeypatch.setattr(model, "uniform", lambda _: ops.convert_to_tensor(draws))
    image = model.add_weight(shape=(1, 8, 8, 1), initializer="zeros", name="image")
    monkeypatch.setattr(model, "generate", lambda *_: ops.convert_to_tensor(image))
    images = ops.convert_to_tensor(some_images(model, 1))
    _, (gradient,) = backend.value_and_grad(model, lambda: model.generator_loss(images), [image])
    weights = array(model.discriminator.trainable_variables[0].value).reshape(8, 8)
    expected = np.zeros((8, 8))
    expected[1:, 1:] = -weights[:-1, :-1]
    np.testing.assert_allclose(array(gradient)[0, ..., 0], expected, atol=1e-6)


def test_the_discriminator_sees_augmented_images_with_the_background(monkeypatch):
    model = model_of("gan", augment=("translation",), background=16)
    draws = np.zeros((COUNT, DRAWS), "float32")
    monkeypatch.setattr(model, "uniform", lambda _: ops.convert_to_tensor(draws))
    seen, discriminate = [], model.discriminate
    monkeypatch.setattr(
        model, "discriminate", lambda images, *args: seen.append(images) or discriminate(images)
    )
    images = some_images(model)
    model.discriminator_loss(ops.convert_to_tensor(images))
    model.generator_loss(ops.convert_to_tensor(images))
    real, *fakes = map(array, seen)
    assert len(fakes) == 2
    np.testing.assert_allclose(real[:, :-1, :-1], images[:, 1:, 1:] / 8 - 1, atol=1e-6)
    for shifted in (real, *fakes):
        assert np.all(shifted[:, -1] == 1)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"augment": ("rotation",)}, ["augment", "translation", "rotation"]),
        ({"background": 17}, ["background", "16", "17"]),
        ({"architecture": "resnet", "image_shape": (7, 8, 1)}, ["resnet", "7x8"]),
    ],
)
def test_wrong_settings_are_refused(settings, words):
    with refused(*words):
        model_of("gan", **settings)


# === Layers and networks ===


@pytest.mark.parametrize("shape", [(5, 3), (5, 4, 6, 3)])
def test_minibatch_deviation_is_numpys(shape):
    x = floats(*shape)
    found = array(MinibatchDeviation()(x))
    assert np.array_equal(found[..., :-1], x)
    np.testing.assert_allclose(found[..., -1], x.std(axis=0).mean(), rtol=1e-4)


@pytest.mark.parametrize("architecture", ["dense", "conv", "resnet"])
def test_with_minibatch_deviation_images_are_judged_together(architecture):
    settings = {"architecture": architecture, "image_shape": (16, 16, 1)}
    for deviation in (False, True):
        model = model_of("wgan_gp", **settings, minibatch_deviation=deviation)
        images = floats(4, 16, 16, 1)
        alone = array(model.discriminate(np.repeat(images[:1], 4, axis=0)))[0]
        together = array(model.discriminate(images))[0]
        assert np.allclose(alone, together, rtol=1e-5, atol=1e-7) != deviation


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 13, 3), (28, 28, 1), (64, 8, 3)])
def test_residual_networks_of_any_size(shape):
    model = model_of("dcgan", architecture="resnet", image_shape=shape)
    assert model.generator.output_shape == (None, *shape)
    assert array(model.discriminate(array(model.generate(2)))).shape == (2, 1)
    layers = [*model.generator.layers, *model.discriminator.layers]
    assert {"ResidualUp", "ResidualDown", "SumPooling"} <= {type(x).__name__ for x in layers}


def test_a_transposed_kernel_is_normalised_by_its_filters():
    inner = UpsampleConv(3, (8, 8), use_bias=False)
    spectral, x = SpectralNormalization(inner), floats(2, 4, 4, 5)
    for _ in range(100):
        outputs = spectral(x, training=True)
    kernel = array(inner.kernel)  # (4, 4, filters, inputs)
    matrix = np.moveaxis(kernel, 2, 0).reshape(3, -1)
    largest = np.linalg.svd(matrix, compute_uv=False)[0]
    np.testing.assert_allclose(array(outputs), array(inner(x)) / largest, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("architecture", ["dense", "conv", "resnet"])
def test_spectral_normalisation_of_the_generator(architecture):
    settings = {"image_shape": (16, 16, 1), "architecture": architecture}
    model = model_of("sngan", **settings, generator_spectral_normalization=True)
    kernels = [v for v in model.generator.trainable_variables if v.name == "kernel"]
    vectors = [v for v in model.generator.non_trainable_variables if v.name == "vector"]
    assert len(kernels) > 1
    assert len(vectors) == len(kernels) - 1  # not of the last


def test_conditional_batch_normalisation_is_numpys():
    layer, x = ConditionalBatchNormalization(epsilon=1e-5), floats(6, 2, 2, 4)
    labels = np.array([0, 1, 2, 0, 1, 2], "int32")
    vectors = np.eye(3, dtype="float32")[labels]
    layer.build(x.shape, vectors.shape)
    gamma, beta = floats(3, 4), floats(2, 3, 4)[1]
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    normal = (x - x.mean(axis=(0, 1, 2))) / np.sqrt(x.var(axis=(0, 1, 2)) + 1e-5)
    expected = normal * (1 + gamma[labels][:, None, None]) + beta[labels][:, None, None]
    np.testing.assert_allclose(array(layer(x, vectors, training=True)), expected, atol=1e-4)


def test_the_reach_of_a_translation_is_an_eighth():
    shifts = array(augmentation.shift_matrices(28, np.float32([[[[0.0]]], [[[0.999]]]])))
    assert [np.argmax(matrix.any(axis=1)) for matrix in shifts] == [0, 4]
    assert [int(matrix.sum()) for matrix in shifts] == [24, 24]
