"""The covariance matrices of a mixture's components: full, tied or diagonal.

Each class holds the variables of K matrices S_k of size D x D, and computes four things from them:
log-densities, the sums that EM needs, the matrices that maximise the likelihood given these sums,
and draws.

Values x may carry independent noise u of variance `noise`: the rounding of pixels. Log-densities
are then means over u, in closed form:

    E_u log N(x + u; m, S) = log N(x; m, S) - 1/2 noise trace(S^-1)

EM adds `noise` to every second moment of x.
"""

import math

import keras
import numpy as np
import scipy.linalg
from keras import ops

from kgen.errors import KgenError

LOG_TWO_PI = math.log(2 * math.pi)
SMALLEST = 1e-12  # variance, so that its logarithm is finite


class Covariances(keras.layers.Layer):
    """Base class: K covariance matrices of size D x D, at first identities.

    Args:
        components: K.
        size: D.
        noise: variance of the noise u that the values carry.
        added: what EM adds to every variance, so that none becomes 0.
    """

    def __init__(self, components, size, noise, added):
        super().__init__()
        self.components, self.size = components, size
        self.noise, self.added = noise, added
        self.latent_size = 0  # numbers that a draw needs beside the D
        self.built = True  # by the subclass

    def _weight(self, name, *shape, start="zeros"):
        settings = {"dtype": "float32", "autocast": False, "initializer": start, "name": name}
        return self.add_weight(shape=shape, **settings)

    def log_densities(self, values, means):
        """E_u log N(values + u; means, S), (n, K), of values (n, D) and means (K, D)."""
        squares, log_determinants, traces = self.distances(values, means)
        constants = self.size * LOG_TWO_PI + log_determinants + self.noise * traces
        return -0.5 * (ops.transpose(squares) + constants)

    def distances(self, values, means):
        """Squared Mahalanobis distances (K, n), log det S (K,) and trace(S^-1) (K,)."""
        raise NotImplementedError

    def shapes(self):
        """{name: shape} of the sums, beside the counts (K,) and the first moments (K, D)."""
        raise NotImplementedError

    def expectations(self, values, means, weights):
        """{name: sum over values (n, D)}, weighed by the responsibilities (n, K)."""
        raise NotImplementedError

    def maximise(self, counts, firsts, sums):
        """Assign the matrices of the largest likelihood; return the means, float64 (K, D).

        Args:
            counts: float64 (K,), at least 1.
            firsts: float64 (K, D), the sums of the values.
            sums: {name: float64 array}, those of `shapes`.
        """
        raise NotImplementedError

    def restart(self, chosen, variances, generator):
        """Assign diagonal matrices to the chosen components.

        Args:
            chosen: bool (K,).
            variances: (D,).
            generator: of NumPy.
        """
        raise NotImplementedError

    def draw(self, chosen, noise):
        """Draws of N(0, S_k), (n, D), of components (n,) and noise (n, D + latent_size)."""
        raise NotImplementedError

    def precision(self, number):
        """The inverse of the matrix of one component, float64 (D, D)."""
        raise NotImplementedError


class Diagonal(Covariances):
    """Diagonal matrices."""

    def __init__(self, *args):
        super().__init__(*args)
        self.log_variances = self._weight("log_variances", self.components, self.size)

    def distances(self, values, means):
        logs = ops.convert_to_tensor(self.log_variances)
        precisions = ops.exp(-logs)
        differences = values[None] - means[:, None]  # (K, n, D)
        squares = ops.sum(differences**2 * precisions[:, None], axis=-1)
        return squares, ops.sum(logs, axis=-1), ops.sum(precisions, axis=-1)

    def shapes(self):
        return {"squares": (self.components, self.size)}

    def expectations(self, values, means, weights):
        return {"squares": ops.matmul(ops.transpose(weights), values**2)}

    def maximise(self, counts, firsts, sums):
        means = firsts / counts[:, None]
        variances = sums["squares"] / counts[:, None] - means**2
        assign(self.log_variances, log_variances_of(variances + self.noise + self.added))
        return means

    def restart(self, chosen, variances, generator):
        logs = array(self.log_variances)
        assign(self.log_variances, np.where(chosen[:, None], np.log(variances), logs))

    def draw(self, chosen, noise):
        return ops.take(ops.exp(0.5 * self.log_variances), chosen, axis=0) * noise

    def precision(self, number):
        return np.diag(np.exp(-array(self.log_variances)[number]))


class Full(Covariances):
    """Matrices without restriction.

    The variables are upper triangular factors U of the inverse, S^-1 = U U^T, with the logarithms
    of their diagonal. So a log-density needs no more than a matrix product.
    """

    def __init__(self, *args):
        super().__init__(*args)
        self.factors = self._weight("factors", self.matrices, self.size, self.size)

    @property
    def matrices(self):
        return self.components

    def _factors(self):
        """The factors U, and the logarithms of their diagonals."""
        raw = ops.convert_to_tensor(self.factors)
        logs = ops.diagonal(raw, axis1=1, axis2=2)  # (K, D)
        return ops.triu(raw, 1) + ops.exp(logs)[..., None] * ops.eye(self.size), logs

    def distances(self, values, means):
        factors, logs = self._factors()
        whitened = self._whitened(values, means, factors)  # (K, n, D)
        traces = ops.sum(factors**2, axis=(1, 2))
        return ops.sum(whitened**2, axis=-1), -2.0 * ops.sum(logs, axis=-1), traces

    def _whitened(self, values, means, factors):
        return ops.matmul(values[None] - means[:, None], factors)

    def shapes(self):
        return {"products": (self.components, self.size, self.size)}

    def expectations(self, values, means, weights):
        of_components = ops.transpose(weights)[:, None] * ops.transpose(values)  # (K, D, n)
        flat = ops.reshape(of_components, (self.components * self.size, -1))
        shape = (self.components, self.size, self.size)
        return {"products": ops.reshape(ops.matmul(flat, values), shape)}

    def maximise(self, counts, firsts, sums):
        means = firsts / counts[:, None]
        covariances = sums["products"] / counts[:, None, None] - means[:, :, None] * means[:, None]
        self._assign(covariances)
        return means

    def _assign(self, covariances):
        factors = np.empty_like(covariances)
        for number, covariance in enumerate(covariances):
            covariance = covariance + (self.noise + self.added) * np.eye(self.size)
            factors[number] = log_diagonal(inverse_factor(covariance))
        assign(self.factors, factors)

    def restart(self, chosen, variances, generator):
        restarted = np.diag(-0.5 * np.log(variances))
        assign(self.factors, np.where(chosen[:, None, None], restarted, array(self.factors)))

    def draw(self, chosen, noise):
        lower = ops.transpose(self._factors()[0], (0, 2, 1))
        noise = ops.broadcast_to(ops.transpose(noise), (self.matrices, *ops.shape(noise)[::-1]))
        draws = ops.transpose(ops.solve_triangular(lower, noise, lower=True), (2, 0, 1))
        return self._of(chosen, draws)  # of (n, K, D)

    def _of(self, chosen, draws):
        return ops.sum(ops.one_hot(chosen, self.components)[..., None] * draws, axis=1)

    def precision(self, number):
        factor = array(self.factors)[number]
        factor = np.triu(factor, 1) + np.diag(np.exp(np.diag(factor)))
        return factor @ factor.T


class Tied(Full):
    """One matrix for all components."""

    matrices = 1

    def _whitened(self, values, means, factors):
        return ops.matmul(values, factors[0])[None] - ops.matmul(means, factors[0])[:, None]

    def shapes(self):
        return {"products": (1, self.size, self.size)}

    def expectations(self, values, means, weights):
        return {"products": ops.matmul(ops.transpose(values), values)[None]}

    def maximise(self, counts, firsts, sums):
        means = firsts / counts[:, None]
        self._assign((sums["products"] - (means.T @ firsts)[None]) / counts.sum())
        return means

    def restart(self, chosen, variances, generator):
        if chosen.all():  # else all of them keep the matrix they share
            super().restart(chosen[:1], variances, generator)

    def _of(self, chosen, draws):
        return draws[:, 0]

    def precision(self, number):
        return super().precision(0)


def array(variable):
    """The value of a variable, float64."""
    return np.array(ops.convert_to_numpy(variable), "float64")


def assign(variable, value):
    variable.assign(np.asarray(value, "float32"))


def log_variances_of(variances):
    return np.log(np.maximum(variances, SMALLEST))


def inverse_factor(covariance):
    """The upper triangular U with U U^T = covariance^-1; KgenError if there is none."""
    try:
        lower = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError as error:
        raise KgenError(
            "Expected items whose covariance has an inverse, received a component without: scale "
            "them to variance 1, or take fewer components or a larger added_variance."
        ) from error
    return scipy.linalg.solve_triangular(lower, np.eye(len(lower)), lower=True).T


def log_diagonal(factor):
    """A triangular factor with the logarithms of its diagonal."""
    return factor + np.diag(np.log(np.diag(factor)) - np.diag(factor))
