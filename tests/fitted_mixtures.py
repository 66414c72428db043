"""Points of three clusters, and mixtures of Gaussians that are fitted to them."""

import functools
import itertools

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import kgen
from kgen.testing.comparing import array, state_of
from kgen.testing.states import Kept

COVARIANCES = ("full", "tied", "diagonal", "low_rank")
every_covariance = pytest.mark.parametrize("covariance", COVARIANCES)
TINY = {"image_shape": (1, 2, 1), "levels": 4, "components": 2}
TINY_IMAGES = np.array(list(itertools.product(range(4), repeat=2)), "uint8").reshape(-1, 1, 2, 1)


def blobs(seed=0, count=300, size=3):
    """Points of three clusters."""
    random = np.random.default_rng(seed)
    centres, turn = random.normal(0, 4, (3, size)), random.normal(0, 1, (3, size, size))
    of = np.arange(count) % 3
    noise = random.normal(size=(count, size))
    return (centres[of] + np.einsum("nij,nj->ni", turn[of], noise)).astype("float32")


@functools.cache
def kept_mixture(covariance, size=3, components=3, **arguments):
    """A compiled mixture and its state, for many trainings."""
    kgen.set_seed(0)
    arguments = {"rank": 1, **arguments}
    model = kgen.MixtureOfGaussians(
        size=size, components=components, covariance=covariance, **arguments
    )
    model.compile()
    return Kept(model, state_of(model))


def fitted(model, x, epochs):
    return model.fit(x, epochs=epochs, batch_size=min(100, len(x)), verbose=0).history["loss"]


def trained(covariance, epochs=5, **arguments):
    """A mixture of the blobs."""
    model = kept_mixture(covariance, **arguments).anew()
    fitted(model, blobs(size=model.size), epochs)
    return model


def dense(model):
    """The weights, means and covariances of a mixture, in the items' own coordinates."""
    means = array(model.means).astype("float64") + array(model.shift)
    matrices = [np.linalg.inv(model.covariances.precision(k)) for k in range(model.components)]
    return np.exp(model.log_weights()), means, np.array(matrices)


def dense_log_prob(model, x):
    """log p(x) by SciPy."""
    parts = zip(*dense(model), strict=True)
    joint = [np.log(w) + multivariate_normal(m, s).logpdf(x) for w, m, s in parts]
    return logsumexp(joint, axis=0)
