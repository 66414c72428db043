"""What the trainers of Keras' development version do otherwise, imitated on the released one."""

import itertools

import keras
import numpy as np
import pytest
from toys import Drawing, Quadratic

import kgen
from kgen import backend
from kgen.testing.comparing import assert_same, state_of

IMAGES = kgen.data.load("digits").train.images[:72]  # nine batches of eight
on_jax = pytest.mark.skipif(backend.name() != "jax", reason="of JAX's trainer")
on_torch = pytest.mark.skipif(backend.name() != "torch", reason="of PyTorch's trainer")


class PartialBatchList(list):
    """By this name Keras hands over the batches of an epoch's remainder, apart."""


def stacked(batches, steps):
    """Batches as Keras 3.16 hands them over: `steps` of one shape as one stack."""
    while group := list(itertools.islice(batches, steps)):
        shapes = {keras.tree.map_structure(np.shape, batch)[0] for batch in group}
        if len(group) == steps and len(shapes) == 1:
            yield keras.tree.map_structure(lambda *parts: np.stack(parts), *group)
        else:
            yield PartialBatchList(group)


@pytest.fixture
def newer(monkeypatch):
    """Keras' iterator on JAX stacks batches."""
    from keras.src.backend.jax.trainer import JAXEpochIterator

    from kgen.backend import jax_steps

    if jax_steps.KERAS_STACKS_BATCHES:
        return
    iterator = JAXEpochIterator._get_iterator

    def stacking(self):
        batches, steps = iterator(self), self.steps_per_execution
        return stacked(batches, steps) if steps > 1 else batches

    monkeypatch.setattr(JAXEpochIterator, "_get_iterator", stacking)
    monkeypatch.setattr(jax_steps, "KERAS_STACKS_BATCHES", True)


def trained(model_class, steps, images=IMAGES):
    kgen.set_seed(0)
    model = model_class()
    model.compile(steps_per_execution=steps)
    given = {"batch_size": 8, "epochs": 2, "verbose": 0, "validation_data": (images[:20],)}
    history = model.fit(images, **given).history
    return history, state_of(model)


@on_jax
@pytest.mark.parametrize("model_class", [Quadratic, Drawing])
@pytest.mark.parametrize("count", [72, 69, 32], ids=["remainder", "partial batch", "whole"])
def test_stacked_batches_train_as_single_ones(newer, model_class, count):
    """Nine batches of which the last is left alone, or is a smaller one; four batches."""
    (history, state), (expected, expected_state) = (
        trained(model_class, steps, IMAGES[:count]) for steps in (4, 1)
    )
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-5)
    for name, value in expected_state.items():
        np.testing.assert_allclose(state[name], value, rtol=1e-5, atol=1e-7, err_msg=name)


@on_jax
def test_a_batch_of_the_users_own_is_no_stack(newer):
    models = []
    for steps in (4, 1):
        kgen.set_seed(0)
        model = Quadratic()
        model.compile(steps_per_execution=steps)
        model.train_on_batch(IMAGES[:8])
        models.append(state_of(model))
    assert_same(*models)


@pytest.fixture
def data_parallel(monkeypatch, tmp_path):
    """A group of one process; Keras wraps the model for it, and sums metrics over the group."""
    import torch

    def wraps(self, force=False):
        raise AssertionError("Keras' own function would train a wrapped model")

    def summed(self):
        values = [variable.value.clone() for variable in self.metrics_variables]
        for value in values:
            torch.distributed.all_reduce(value)
        with keras.StatelessScope(list(zip(self.metrics_variables, values, strict=True))):
            return result(self)

    result = keras.Model.get_metrics_result
    monkeypatch.setattr(keras.Model, "make_train_function", wraps)
    monkeypatch.setattr(keras.Model, "make_test_function", wraps)
    monkeypatch.setattr(keras.Model, "get_metrics_result", summed)
    group = {"init_method": f"file://{tmp_path}/group", "rank": 0, "world_size": 1}
    torch.distributed.init_process_group("gloo", **group)
    yield
    torch.distributed.destroy_process_group()


@on_torch
@pytest.mark.parametrize("model_class", [Quadratic, Drawing])
def test_a_group_of_one_process_trains_as_without_it(model_class, request):
    """Lists of four batches, of which the last is shorter, and single ones."""
    expected = trained(model_class, 4)
    request.getfixturevalue("data_parallel")
    for steps in (4, 1):
        history, state = trained(model_class, steps)
        assert history == expected[0]
        assert_same(state, expected[1])


@on_torch
@pytest.mark.parametrize("function", ["make_train_function", "make_test_function"])
def test_a_group_of_processes_is_refused(monkeypatch, function):
    """Its members would each train a model of their own, on a part of the images."""
    import torch

    model = Quadratic()
    model.compile()
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 1)
    getattr(model, function)(force=True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    with pytest.raises(kgen.KgenError, match="one process on PyTorch, received a group of 2"):
        getattr(model, function)(force=True)
