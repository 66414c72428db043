"""Restricted Boltzmann machines of random weights, and sums over all their states."""

import itertools

import numpy as np
from scipy.special import expit

from kgen.models.energy.partition import Energy
from kgen.models.energy.rbm import RBM


def random(*shape, seed=0, scale=1.0):
    return scale * np.random.default_rng(seed).standard_normal(shape)


def states(units):
    """All states of some units, (2^units, units)."""
    return np.array(list(itertools.product((0, 1), repeat=units)), "float64")


def random_energy(visible, hidden, seed=0):
    return Energy(
        random(visible, hidden, seed=seed, scale=1.5 / np.sqrt(hidden)),
        random(visible, seed=seed + 1, scale=0.5),
        random(hidden, seed=seed + 2, scale=0.5),
        random(visible, seed=seed + 3, scale=0.3),
    )


def log_joint(energy):
    """-E(v, h) for all states: (2^visible, 2^hidden)."""
    v, h = (states(size) for size in energy.kernel.shape)
    return v @ energy.kernel @ h.T + (v @ energy.visible_bias)[:, None] + h @ energy.hidden_bias


def model_of(hidden_units=5, image_shape=(3, 4, 1), seed=0, scale=1.0, **settings):
    """A machine of random weights, whose centres are off 0 and 1/2."""
    model = RBM(image_shape, hidden_units=hidden_units, **settings)
    pixels = model.space.dimensions
    model.kernel.assign(random(pixels, hidden_units, seed=seed, scale=scale))
    model.visible_bias.assign(random(pixels, seed=seed + 1, scale=0.5))
    model.hidden_bias.assign(random(hidden_units, seed=seed + 2, scale=0.5))
    model.pixel_means.assign(expit(random(pixels, seed=seed + 3)))
    model.hidden_means.assign(expit(random(hidden_units, seed=seed + 4)))
    return model
