"""Masked layers against Keras' own with masked kernels, and what the colours and labels add to the
checks that the contract makes of every autoregressive model."""

import functools
import itertools
import time

import keras
import numpy as np
import pytest
from keras import ops

from kgen import backend, layers, models
from kgen.testing.comparing import array, refused, same
from kgen.testing.completion import blocked_gradients, plainly_completed

MODELS = ("pixelcnn", "gated_pixelcnn")
every_model = pytest.mark.parametrize("name", MODELS)
# (kernel size, type, colours, input channels, filters)
CONVOLUTIONS = [
    *itertools.product((3, 5, 7), "AB", (1,), (1, 4), (6,)),
    *itertools.product((3, 7), "AB", (3,), (3, 7), (6, 8)),
]
every_convolution = pytest.mark.parametrize(
    ("kernel_size", "mask_type", "colours", "channels", "filters"), CONVOLUTIONS
)


def random(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def built(layer, channels):
    layer.build((None, None, None, channels))
    layer.set_weights([random(*weight.shape) for weight in layer.get_weights()])
    return layer


def masked_kernel(layer, kernel_size, mask_type, colours):
    """The full kernel, tap by tap and colour by colour, in NumPy."""
    above, own = array(layer.vertical.kernel), array(layer.horizontal.kernel)
    half, (channels, filters) = kernel_size // 2, above.shape[2:]
    kernel = np.zeros((kernel_size, kernel_size, channels, filters), "float32")
    kernel[:half] = above
    kernel[half, :half] = own[:half]
    for i, o in itertools.product(range(channels), range(filters)):
        earlier, own_colour = i % colours < o % colours, i % colours == o % colours
        if earlier or (mask_type == "B" and own_colour):
            kernel[half, half, i, o] = own[half, i, o]
    return kernel


@every_convolution
def test_a_masked_convolution_is_that_of_a_masked_kernel(
    kernel_size, mask_type, colours, channels, filters
):
    layer = built(layers.MaskedConv2D(filters, kernel_size, mask_type, colours), channels)
    oracle = keras.layers.Conv2D(filters, kernel_size, padding="same")
    oracle.build((None, None, None, channels))
    kernel = masked_kernel(layer, kernel_size, mask_type, colours)
    oracle.set_weights([kernel, array(layer.horizontal.bias)])
    images = random(2, 5, 6, channels)
    np.testing.assert_allclose(array(layer(images)), array(oracle(images)), atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (2, 2), (4, 1)])
def test_a_kernel_may_be_larger_than_the_image(size):
    layer = built(layers.MaskedConv2D(4, 7, "A"), 1)
    assert tuple(layer(random(2, *size, 1)).shape) == (2, *size, 4)


def test_the_stacks_together_are_the_masked_convolution():
    layer, images = built(layers.MaskedConv2D(4, 5, "B"), 3), random(2, 5, 6, 3)
    parts = layers.shifted_down(layer.vertical(images)) + layer.horizontal(images)
    np.testing.assert_allclose(array(layer(images)), array(parts), atol=2e-5, rtol=1e-5)


# === Models: colours, labels, sizes ===


@functools.cache
def model_of(name, levels=2, image_shape=(5, 6, 1), **settings):
    blocks = 3 if name == "gated_pixelcnn" else 1  # so many that it sees all of the image
    model = models.get(name)(image_shape, levels=levels, features=12, blocks=blocks, **settings)
    model.set_weights([random(*w.shape) * 0.3 for w in model.get_weights()])
    return model


FORMS = [
    {"levels": 2, "image_shape": (5, 6, 1)},
    {"levels": 4, "image_shape": (4, 3, 3)},
]
every_form = pytest.mark.parametrize("form", FORMS, ids=["binary", "colour"])


@every_model
def test_probabilities_of_all_images_sum_to_one(name):
    images = np.array(list(itertools.product((0, 1), repeat=4)), "uint8").reshape(16, 2, 2, 1)
    model = model_of(name, image_shape=(2, 2, 1))
    assert np.exp(model.log_prob(images)).sum() == pytest.approx(1, abs=1e-5)


@every_model
def test_probabilities_of_all_coloured_pixels_sum_to_one(name):
    images = np.array(list(itertools.product(range(3), repeat=3)), "uint8").reshape(27, 1, 1, 3)
    model = model_of(name, levels=3, image_shape=(1, 1, 3))
    log_prob = model.log_prob(images)
    assert np.exp(log_prob).sum() == pytest.approx(1, abs=1e-5)
    assert len(np.unique(log_prob.round(4))) > 20  # it does not ignore the colours


def test_probabilities_given_a_class_sum_to_one():
    images = np.array(list(itertools.product((0, 1), repeat=4)), "uint8").reshape(16, 2, 2, 1)
    model = model_of("gated_pixelcnn", image_shape=(2, 2, 1), classes=2)
    given = [np.exp(model.log_prob(images, condition=np.full(16, label))) for label in (0, 1)]
    assert [p.sum() for p in given] == pytest.approx([1, 1], abs=1e-5)
    assert np.abs(given[0] - given[1]).max() > 1e-4


@every_model
@every_form
def test_no_value_sees_itself_or_a_later_one(name, form):
    model = model_of(name, **form)
    later, earlier = blocked_gradients(model)
    assert not later.any()
    assert earlier.any()


@every_form
def test_the_gated_model_has_no_blind_spot(form):
    _, earlier = blocked_gradients(model_of("gated_pixelcnn", **form))
    assert earlier.all()


def test_the_plain_model_has_one():
    """The check above can fail: few plain masked convolutions miss pixels on the upper right."""
    _, earlier = blocked_gradients(model_of("pixelcnn", image_shape=(6, 9, 1)))
    assert not earlier.all()


@every_model
@every_form
def test_cached_sampling_gives_the_pixels_of_the_plain_loop(name, form):
    model = model_of(name, **form)
    generator = np.random.default_rng(2)
    images = generator.integers(0, model.levels, (6, *model.image_shape)).astype("uint8")
    mask = generator.random(images.shape[:3]) < 0.7
    completed = model.complete(images, mask, seed=5)
    assert same(completed, plainly_completed(model, images, mask, seed=5))
    assert not same(completed, images)


# === Filling in ===


@every_model
def test_a_mask_of_another_shape_or_type_is_refused(name):
    model, images = model_of(name), np.zeros((2, 5, 6, 1), "uint8")
    with refused("mask", "(5, 6)", "(2, 5, 6)", "(5, 6, 1)"):
        model.complete(images, np.ones((5, 6, 1), bool))
    with refused("mask", "bool", "float64"):
        model.complete(images, np.ones((5, 6)))


def test_labels_go_with_their_images_when_filling_in():
    model = model_of("gated_pixelcnn", classes=2)
    images, mask = np.zeros((4, 5, 6, 1), "uint8"), np.ones((5, 6), bool)
    labels = np.array([1, 0, 0, 1])
    assert same(
        model.complete(images, mask, labels, seed=0), model.sample(condition=labels, seed=0)
    )
    with refused("label"):
        model.complete(images, mask)


def test_features_are_rounded_up_to_the_colours():
    model = models.get("gated_pixelcnn")((4, 4, 3), levels=2, features=4, blocks=1)
    assert model.features == 4
    assert model.log_prob(np.zeros((1, 4, 4, 3), "uint8")).shape == (1,)


# === What the backends run the loop with ===


def test_scan_returns_the_last_carry_and_all_outputs():
    def step(carry, entry):
        total = carry["total"] + entry["x"]
        return {"total": total}, (total, entry["y"])

    def scanned(x, y):
        return backend.scan(step, {"total": ops.zeros((2,))}, {"x": x, "y": y})

    x, y = random(5, 2), np.arange(5)
    carry, (totals, ys) = backend.compiled(keras.Model(), scanned, loop=True)(x, y)
    np.testing.assert_allclose(array(totals), np.cumsum(x, axis=0), rtol=1e-5)
    np.testing.assert_allclose(array(carry["total"]), x.sum(axis=0), rtol=1e-5)
    assert array(ys).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="only TensorFlow runs several iterations of a loop at once",
)
def test_scan_begins_an_iteration_when_the_last_has_ended():
    """Or convolutions by oneDNN spoil each other's memory."""
    import tensorflow as tf

    begun, at_once = [], []

    def long_lasting(x):
        begun.append(1)
        at_once.append(len(begun))
        time.sleep(0.05)
        begun.pop()
        return x

    def step(carry, x):
        return carry, tf.reshape(
            tf.numpy_function(long_lasting, [x], tf.float32, stateful=False), ()
        )

    def scanned(x):
        return backend.scan(step, ops.zeros(()), x)[1]

    # An iteration does not wait for the last one's result.
    backend.compiled(keras.Model(), scanned)(np.arange(6, dtype="float32"))
    assert at_once == [1] * 6


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="only TensorFlow traces what a loop repeats apart from the loop",
)
def test_without_gradients_what_a_loop_repeats_is_traced_once():
    traced = []

    def step(carry, x):
        traced.append(x)
        return carry + x, carry * x

    def scanned(x):
        return backend.scan(step, ops.zeros(()), x)

    total, _ = backend.compiled(keras.Model(), scanned)(np.arange(6, dtype="float32"))
    assert (float(total), len(traced)) == (15.0, 1)
    gradient = backend.input_gradient(None, lambda x: scanned(x)[0], ops.arange(6, dtype="float32"))
    assert array(gradient).tolist() == [1.0] * 6


def test_affine():
    x, matrix, bias = random(3, 4), random(4, 2), random(2)
    result = array(backend.affine(*map(ops.convert_to_tensor, (x, matrix, bias))))
    np.testing.assert_allclose(result, x @ matrix + bias, rtol=1e-5)
