"""PixelRNN against the recurrences in NumPy, all images of a tiny space, what each pixel sees."""

import functools

import numpy as np
import pytest
from flat_models import (
    assert_draws_as_plain_loop,
    assert_sums_to_one,
    log_probs,
    model_of,
    sigmoid,
    some_images,
)
from keras import ops

from kgen.models.autoregressive.pixel_lstm import skew, unskew
from kgen.testing.comparing import array, same
from kgen.testing.completion import blocked_gradients, changes, plainly_completed

LAYERS = ("row", "diagonal")
SHAPES = {
    "binary": {"image_shape": (3, 3, 1), "levels": 2, "features": 4, "blocks": 2},
    "levels": {"image_shape": (2, 2, 1), "levels": 4, "features": 6, "blocks": 1},
    "colour": {"image_shape": (2, 2, 3), "levels": 2, "features": 5, "blocks": 1},
}
every_layer = pytest.mark.parametrize("layer", LAYERS)
every_form = pytest.mark.parametrize("form", SHAPES)


@functools.cache
def model(layer, form):
    return model_of("pixelrnn", layer=layer, **SHAPES[form])


# === The recurrences, pixel by pixel ===


def horizontal(layer, x):
    """A masked convolution of the current row, of x (height, width, channels)."""
    kernel, bias = array(layer.masked_kernel()), array(layer.bias.value)
    padded = np.pad(x, [(0, 0), (layer.reach, 0), (0, 0)])
    taps = [padded[:, tap : tap + x.shape[1]] @ kernel[tap] for tap in range(layer.taps)]
    return sum(taps) + bias


def state_after(gates, cell):
    """Equation 3 of the paper."""
    o, f, i, g = np.split(gates, 4)
    cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(cell), cell


def row_lstm(lstm, x, image):
    gates, kernel = horizontal(lstm.input_to_state, x), array(lstm.kernel.value)
    height, width, features = *x.shape[:2], lstm.features
    hidden, cell = np.zeros((2, height + 1, width + 2, features))  # a row and columns of zeros
    for r, c in np.ndindex(height, width):
        from_above = hidden[r, c : c + 3].ravel() @ kernel
        state = state_after(gates[r, c] + from_above, cell[r, c + 1])
        hidden[r + 1, c + 1], cell[r + 1, c + 1] = state
    return hidden[1:, 1:-1]


def one_way(gates, kernel, features):
    """The Diagonal LSTM's pass from left to right."""
    height, width = gates.shape[:2]
    hidden, cell = np.zeros((2, height + 1, width + 1, features))
    for r, c in np.ndindex(height, width):
        before = np.concatenate([hidden[r + 1, c], hidden[r, c + 1]])  # left, above
        state = state_after(gates[r, c] + before @ kernel, cell[r + 1, c])
        hidden[r + 1, c + 1], cell[r + 1, c + 1] = state
    return hidden[1:, 1:]


def diagonal_bilstm(lstm, x, image):
    left_kernel, right_kernel = (array(kernel.value) for kernel in lstm.kernels)
    left = one_way(horizontal(lstm.input_to_state, x), left_kernel, lstm.features)
    gates = horizontal(lstm.right_to_state, np.concatenate([x, image], axis=-1))
    right = one_way(gates[:, ::-1], right_kernel, lstm.features)[:, ::-1]
    left[1:] += right[:-1]
    return left


def outputs_of(model, vector):
    """The outputs of a vector of values, (size, parameters of a value)."""
    image = array(model.scale(vector.reshape(model.image_shape)))
    x = array(model.first(image[None]))[0]
    recurrence = {"row": row_lstm, "diagonal": diagonal_bilstm}[model.layer]
    for lstm, widen in model.residual:
        x = x + horizontal(widen, recurrence(lstm, x, image))
    for layer in (*model.last, model.output_layer):
        x = horizontal(layer, np.maximum(x, 0))
    # Parameter p of channel k is number p * channels + k.
    parts = x.reshape(*x.shape[:2], -1, model.channels)
    return parts.swapaxes(2, 3).reshape(vector.size, -1)


@every_layer
@every_form
def test_log_prob_is_that_of_the_recurrence_pixel_by_pixel(layer, form):
    images = some_images(model(layer, form))
    expected = log_probs(functools.partial(outputs_of, model(layer, form)), images)
    np.testing.assert_allclose(model(layer, form).log_prob(images), expected, rtol=1e-4)


@every_layer
@every_form
def test_probabilities_of_all_images_sum_to_one(layer, form):
    assert_sums_to_one(model(layer, form))


# === Sampling ===


@every_layer
def test_drawing_is_that_of_the_recurrence(layer):
    form = model(layer, "colour")
    assert_draws_as_plain_loop(form, functools.partial(outputs_of, form))


@every_layer
def test_drawing_is_that_of_full_passes(layer):
    wide = model_of("pixelrnn", (4, 7, 1), layer=layer, features=6, blocks=2)
    images = some_images(wide)
    mask = np.random.default_rng(2).random(images.shape[:3]) < 0.7
    completed = wide.complete(images, mask, seed=5)
    assert same(completed, plainly_completed(wide, images, mask, seed=5))
    assert not same(completed, images)


# === What a pixel sees ===


@every_layer
@every_form
def test_no_value_changes_its_own_or_an_earlier_distribution(layer, form):
    changed = changes(model(layer, form))
    later = np.triu(np.ones_like(changed, bool), 1)
    assert changed[~later].max() < 1e-5
    assert changed[later].max() > 1e-2


@every_layer
def test_colours_see_earlier_ones_and_none_sees_itself(layer):
    colours = model_of("pixelrnn", (2, 2, 3), layer=layer, features=24, blocks=1)
    later, earlier = blocked_gradients(colours)
    assert not later.any()
    assert earlier.all()


HEIGHT, WIDTH = 4, 12


def seen(model):
    """Whether a pixel (first index) sees another one, by gradients: bool (pixels, pixels)."""
    later, earlier = blocked_gradients(model)
    assert not later.any()
    found = np.zeros((HEIGHT * WIDTH,) * 2, bool)
    found[np.tril_indices(HEIGHT * WIDTH, -1)] = earlier != 0
    return found


def wide_model(layer, blocks):
    """Of so many features that some ReLU of every pixel is open."""
    return model_of("pixelrnn", (HEIGHT, WIDTH, 1), layer=layer, features=16, blocks=blocks)


@pytest.mark.parametrize("blocks", [1, 2])
def test_the_row_lstm_sees_its_triangle(blocks):
    """A state sees one pixel more to each side a row up; a block, one more to the left.

    The first convolution sees three pixels to each side, in its own row to the left.
    """
    rows, columns = np.divmod(np.arange(HEIGHT * WIDTH), WIDTH)
    up, aside = rows[:, None] - rows, columns - columns[:, None]
    rightmost = np.where(up == 0, -1, up + 2)
    triangle = (up >= 0) & (-(up + blocks + 3) <= aside) & (aside <= rightmost)
    assert same(seen(wide_model("row", blocks)), triangle)
    assert not triangle[np.tril_indices(len(rows), -1)].all()


def test_the_diagonal_bilstm_sees_every_earlier_pixel():
    earlier = np.tri(HEIGHT * WIDTH, k=-1, dtype=bool)
    assert same(seen(wide_model("diagonal", 1)), earlier)


def test_without_the_image_the_last_pixel_of_the_row_above_is_not_seen():
    """The reason for an input that the paper does not have."""
    model = wide_model("diagonal", 1)
    layer = model.residual[0][0].right_to_state
    kernel = array(layer.kernel.value).copy()
    kernel[:, -1] = 0  # of the image
    layer.kernel.assign(kernel)
    unseen = np.tri(HEIGHT * WIDTH, k=-1, dtype=bool) & ~seen(model)
    pixels, others = np.nonzero(unseen)
    assert len(pixels) == (HEIGHT - 1) * (WIDTH - 4)
    assert same(others, pixels // WIDTH * WIDTH - 1)


# === Skewing ===


@pytest.mark.parametrize("size", [(3, 5), (5, 3), (1, 4), (4, 1), (1, 1)])
def test_skewing_shifts_row_i_by_i_and_unskewing_is_its_inverse(size):
    height, width = size
    images = np.random.default_rng(0).standard_normal((2, *size, 3)).astype("float32")
    skewed = skew(ops.convert_to_tensor(images))
    expected = np.zeros((2, height, height + width - 1, 3), "float32")
    for row in range(height):
        expected[:, row, row : row + width] = images[:, row]
    assert same(array(skewed), expected)
    assert same(array(unskew(skewed)), images)
