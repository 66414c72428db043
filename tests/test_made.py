"""MADE against its masks in NumPy, and against all images of a tiny space."""

import functools

import keras
import numpy as np
import pytest
from flat_models import (
    all_images,
    completed_in_order,
    indicators,
    log_probs,
    model_of,
    some_images,
)

from kgen.models.autoregressive.cached_sums import units_by_degree
from kgen.testing.comparing import array, same
from kgen.testing.completion import changes

FORMS = {
    "one mask": {"hidden": (7,)},
    "no hidden layer": {"hidden": (), "masks": 2, "direct": True},
    "three masks": {"hidden": (9, 6, 5), "masks": 3},
    "direct": {"hidden": (8,), "masks": 3, "direct": True},
    "colour": {"image_shape": (1, 2, 3), "levels": 3, "hidden": (9,), "masks": 2, "direct": True},
    "one value": {"image_shape": (1, 1, 1), "hidden": (4,), "masks": 2},
}
every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


def outputs_of(model, values, mask_number, order):
    """The network with masks as equations 8 and 9 define them, for the values in `order`."""
    inputs, outputs = model.levels - 1, model.parameters_per_value
    place = np.argsort(order) + 1
    degrees = [place.repeat(inputs)]
    degrees += [layer[mask_number] for layer in model.hidden_degrees]
    x = first = indicators(values, model.levels)
    for number, layer in enumerate(model.hidden_layers):
        kernel, bias = (array(weight).astype(float) for weight in layer.get_weights())
        mask = degrees[number + 1][None, :] >= degrees[number][:, None]
        x = np.maximum(x @ (kernel * mask) + bias, 0)
    kernel, bias = (array(weight).astype(float) for weight in model.output_layer.get_weights())
    last = place.repeat(outputs)
    found = x @ (kernel * (last[None, :] > degrees[-1][:, None])) + bias
    if model.direct:
        (kernel,) = (array(weight).astype(float) for weight in model.direct_layer.get_weights())
        found += first @ (kernel * (last[None, :] > degrees[0][:, None]))
    return found.reshape(len(values), outputs)


@every_form
def test_the_networks_masks_are_those_of_the_paper(form):
    model = model_of("made", **form)
    images = some_images(model)
    for number in range(model.masks):
        plainly = functools.partial(
            outputs_of, model, mask_number=number, order=model.orders[number]
        )
        log_prob = array(model.log_prob_by(images, number))
        np.testing.assert_allclose(log_prob, log_probs(plainly, images), rtol=1e-5)


@every_form
def test_probabilities_of_all_images_sum_to_one(form):
    model = model_of("made", **form)
    log_prob = model.log_prob(all_images(model))
    assert np.exp(log_prob).sum() == pytest.approx(1, abs=1e-5)


@every_form
def test_log_prob_is_of_the_mean_probability_of_the_masks(form):
    model = model_of("made", **form)
    images = some_images(model)
    each = np.array([array(model.log_prob_by(images, k)) for k in range(model.masks)], float)
    log_prob = model.log_prob(images)
    np.testing.assert_allclose(log_prob, np.log(np.exp(each).mean(axis=0)), rtol=1e-5)
    assert (log_prob >= each.mean(axis=0) - 1e-6).all()  # Jensen


def test_masks_differ():
    model = model_of("made", hidden=(8,), masks=3)
    images = some_images(model)
    first, second, third = (array(model.log_prob_by(images, k)) for k in range(3))
    assert np.abs(first - second).min() > 1e-3
    assert np.abs(second - third).min() > 1e-3


@pytest.mark.parametrize("direct", [False, True])
def test_no_value_changes_its_own_or_an_earlier_distribution_in_any_order(direct):
    model = model_of("made", (3, 4, 1), hidden=(40, 30), masks=3, direct=direct)
    for number, order in enumerate(model.orders):
        changed = changes(model, mask_number=number)[order][:, order]
        own_or_earlier = np.tril(np.ones_like(changed, bool))
        assert changed[own_or_earlier].max() < 1e-5
        assert changed[~own_or_earlier].max() > 1e-2
        if direct:
            assert changed[~own_or_earlier].min() > 0


@every_form
def test_drawing_is_that_of_the_plain_loop_in_an_order_with_the_known_values_first(form):
    model = model_of("made", **form)
    images = some_images(model, 12)
    mask = np.random.default_rng(2).random(images.shape[:3]) < 0.6
    generator = np.random.default_rng(5)
    uniform = generator.random(images.shape, "float32")
    numbers = np.zeros(12, int)
    if model.masks > 1:
        numbers = generator.integers(model.masks, size=12)
    unknown = np.broadcast_to(mask[..., None], images.shape).reshape(12, -1)
    expected = []
    for number, *parts in zip(numbers, images, unknown, uniform, strict=True):
        values, missing, noise = map(np.ravel, parts)
        order = model.orders[number]
        if model.masks > 1:
            order = np.concatenate([order[~missing[order]], order[missing[order]]])
        plainly = functools.partial(outputs_of, model, mask_number=number, order=order)
        expected.append(completed_in_order(plainly, values, missing, noise, order))
    completed = model.complete(images, mask, seed=5)
    assert same(completed.reshape(12, -1), np.array(expected))
    assert not same(completed, images)


def test_every_known_pixel_counts_if_there_are_several_masks():
    """With one mask, those below what is filled in do not."""
    images = np.zeros((2, 4, 4, 1), "uint8")
    images[1, 2:] = 1
    mask = np.zeros((4, 4), bool)
    mask[:2] = True
    images, uniform_seed = np.repeat(images, 50, axis=0), 3
    for masks, counts in ((1, False), (8, True)):
        model = model_of("made", (4, 4, 1), hidden=(60,), masks=masks, direct=True)
        dark, bright = (
            model.complete(part, mask, seed=uniform_seed)[:, :2] for part in np.split(images, 2)
        )
        assert same(dark, bright) != counts


def test_training_takes_the_masks_in_turn_and_evaluation_all_of_them():
    model = model_of("made", hidden=(8,), masks=3)
    images = some_images(model, 20)
    expected = [-array(model.log_prob_by(images, k)).mean() for k in (0, 1, 2, 0)]
    of_all = -model.log_prob(images).mean()
    model.compile(keras.optimizers.SGD(0.0))
    for loss in expected:
        model.loss_components.reset_state()
        assert model.train_on_batch(images, return_dict=True)["loss"] == pytest.approx(loss, 1e-5)
    losses = model.evaluate(images, verbose=0, return_dict=True)
    assert losses["loss"] == pytest.approx(of_all, 1e-5)


def test_without_hidden_layers_it_is_the_fvsbn():
    made, fvsbn = model_of("made", hidden=()), model_of("fvsbn")
    made.set_weights(fvsbn.get_weights())
    images = some_images(made)
    np.testing.assert_allclose(made.log_prob(images), fvsbn.log_prob(images), rtol=1e-6)
    assert same(made.sample(20, seed=0), fvsbn.sample(20, seed=0))


def test_orders_and_degrees_are_the_same_in_every_process_and_release():
    """A saved model holds the weights only."""
    model = model_of("made", (2, 2, 1), hidden=(5,), masks=3)
    assert model.orders.tolist() == [[0, 1, 2, 3], [2, 3, 1, 0], [0, 2, 1, 3]]
    assert model.hidden_degrees[0].tolist() == [[2, 3, 1, 3, 1], [1, 1, 3, 2, 3], [3, 1, 2, 2, 2]]


def test_units_by_degree():
    degrees = np.array([[2, 0, 2, 1], [3, 3, 1, 3]])
    both = zip(*units_by_degree(degrees, 3), strict=True)
    found = [[set(n[f > 0]) for n, f in zip(*rows, strict=True)] for rows in both]
    assert found == [[{1}, set()], [{3}, {2}], [{0, 2}, set()], [set(), {0, 1, 3}]]
