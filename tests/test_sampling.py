"""Iterative sampling: what the steps lead to, and that blocks and chunks change nothing."""

import importlib

import numpy as np
import pytest
from toys_of_spaces import Langevin


def langevin():
    model = Langevin(size=2)
    model.mean.assign([1.0, -2.0])
    model.log_variance.assign(np.log([0.25, 4.0]))
    return model


def test_langevin_steps_lead_to_the_density():
    """Of step size e = 0.2 the stationary variance is 1 / (1 - e / 4) of the density's."""
    samples = langevin().sample(4000, seed=0)
    np.testing.assert_allclose(samples.mean(axis=0), [1.0, -2.0], atol=0.12)
    np.testing.assert_allclose(samples.var(axis=0), np.array([0.25, 4.0]) / 0.95, rtol=0.08)


def test_the_steps_are_those_of_numpy():
    """The same noise, step by step, on every backend."""
    model = langevin()
    received = model.sample(3, seed=5)
    generator, x = np.random.default_rng([5, 0]), np.zeros((3, 2))
    deviation = np.sqrt([0.25, 4.0])
    for steps in (50, 50, 20):
        for noise in generator.standard_normal((steps, 3, 2), "float32"):
            x = x + 0.1 * (np.array([1.0, -2.0]) - x) + np.sqrt(0.2) * deviation * noise
    np.testing.assert_allclose(received, x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [7, 200])
def test_how_many_steps_a_block_has_changes_nothing(size, monkeypatch):
    expected = langevin().sample(5, seed=1)
    monkeypatch.setattr(importlib.import_module("kgen.inference"), "STEPS_PER_BLOCK", size)
    np.testing.assert_allclose(langevin().sample(5, seed=1), expected, rtol=1e-5, atol=1e-5)


def test_rows_beyond_the_first_chunk_have_noise_of_their_own():
    samples = langevin().sample(300, seed=2)
    assert len(np.unique(samples, axis=0)) == 300
