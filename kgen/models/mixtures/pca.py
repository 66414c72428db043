"""Probabilistic principal component analysis.

Michael Tipping, Christopher Bishop: Probabilistic Principal Component Analysis. Journal of the
Royal Statistical Society B 61, 1999, doi:10.1111/1467-9868.00196.

A linear map of normal latents z, with isotropic noise:

    z ~ N(0, I),  x|z ~ N(W z + m, s^2 I),  so that  x ~ N(m, W W^T + s^2 I)

The parameters of the largest likelihood have a closed form (equations 7 and 8). With the
eigenvalues l_1 >= l_2 >= ... and eigenvectors U of the covariance of the data, and R latents:

    W = U_R (diag(l_1, ..., l_R) - s^2 I)^1/2,   s^2 = mean of the other eigenvalues

Vectors may lie in R dimensions, where s^2 were 0 and the density infinite. So their s^2 is at least
a millionth of l_1. Dequantisation does it for images.

So one epoch of `fit` is all of the training. A further one computes the same, with less rounding
if the mean is far from 0. Images are dequantised (`base.py`).

`latents` are the coordinates of the orthogonal projection, from which `decode` reconstructs with
the smallest error (section 3.3). `encode` gives the posterior means, which are nearer to 0.
"""

import keras
import numpy as np
from keras import ops

from kgen.bounds import Count, ImageShape, Levels, NoCount
from kgen.errors import KgenError
from kgen.inference import checked_latents, in_chunks, inference
from kgen.models.mixtures.base import GaussianDensity
from kgen.models.mixtures.covariances import LOG_TWO_PI, SMALLEST, array, assign

SMALLEST_SHARE = 1e-6  # of the largest eigenvalue: the least s^2, as float32 sums tell it from 0
NO_LOADING = 1e-6  # of the largest singular value of W: the data do not vary in this direction


@keras.saving.register_keras_serializable("kgen")
class PCA(GaussianDensity):
    """Probabilistic principal component analysis (Tipping & Bishop 1999).

    Michael Tipping, Christopher Bishop: Probabilistic Principal Component Analysis. Journal of the
    Royal Statistical Society B 61, 1999, doi:10.1111/1467-9868.00196. The density of vectors, or of
    dequantised images:

        p(x) = N(x; m, W W^T + s^2 I)

    One epoch of `fit` computes the parameters in closed form. `compile(optimizer)` trains by
    gradient steps instead.

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel.
        size: numbers of a vector; above 0, the model is one of vectors instead of images.
        latent_size: number of principal components, below the numbers of an item.

    Metrics: `loss`, the negative log-likelihood in nats per vector, or its bound per image.
    """

    encodes = True
    decodes = True
    closed_form_epochs = 2  # the second one's loss is that of the fit
    small_arguments = {"latent_size": 4}

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        size: NoCount = 0,
        latent_size: Count = 20,
        **kwargs,
    ):
        super().__init__(image_shape, levels, size, **kwargs)
        self.latent_size = latent_size
        if latent_size >= self.dimensions:
            raise KgenError(
                f"Expected latent_size below the {self.dimensions} numbers of an item, received "
                f"{latent_size}: choose a smaller one."
            )
        random = keras.initializers.RandomNormal(stddev=0.1)
        self.loadings = self.new_weight("loadings", (self.dimensions, latent_size), random)
        self.mean = self.new_weight("mean", (self.dimensions,))
        self.log_variance = self.new_weight("log_variance", ())
        self.add_sums(
            count=(), firsts=(self.dimensions,), products=(self.dimensions, self.dimensions)
        )

    # === The density ===

    def factor(self):
        """The Cholesky factor of M = W^T W + s^2 I, (R, R)."""
        products = ops.matmul(ops.transpose(self.loadings), self.loadings)
        return ops.cholesky(products + ops.exp(self.log_variance) * ops.eye(self.latent_size))

    def log_densities(self, values):
        """The inverse covariance is (I - W M^-1 W^T) / s^2.

        With y = x - m and z = M^-1 W^T y, the squared distance is |y - W z|^2 / s^2 + |z|^2: a sum,
        where the difference y^T y - y^T W z would lose its digits if s^2 is small.
        """
        factor, rank = self.factor(), self.latent_size
        centred = values - self.mean
        projected = self._projected(factor, ops.transpose(centred))  # (R, n)
        variance = ops.exp(self.log_variance)
        means = ops.solve_triangular(ops.transpose(factor), projected, lower=False)  # of z|x
        rest = centred - ops.transpose(ops.matmul(self.loadings, means))
        squares = ops.sum(rest**2, axis=-1) / variance + ops.sum(means**2, axis=0)
        explained = ops.sum(self._projected(factor, ops.convert_to_tensor(self.loadings)) ** 2)
        trace = (self.dimensions - explained) / variance
        log_determinant = (self.dimensions - rank) * self.log_variance + 2.0 * ops.sum(
            ops.log(ops.diagonal(factor))
        )
        constant = self.dimensions * LOG_TWO_PI + log_determinant + self.noise * trace
        return -0.5 * (squares + constant)

    def _projected(self, factor, columns):
        """factor^-1 W^T columns"""
        products = ops.matmul(ops.transpose(self.loadings), columns)
        return ops.solve_triangular(factor, products, lower=True)

    # === The closed form ===

    def expectations(self, x, condition):
        values = self.values_of(x)
        centred = values - self.mean
        sums = {
            "count": ops.shape(values)[0],
            "firsts": ops.sum(centred, axis=0),
            "products": ops.matmul(ops.transpose(centred), centred),
        }
        return -ops.mean(self.log_masses(self.log_densities(values))), {}, sums

    def maximise(self, sums):
        change = sums["firsts"] / sums["count"]
        covariance = sums["products"] / sums["count"] - np.outer(change, change)
        eigenvalues, eigenvectors = np.linalg.eigh(covariance)  # the smallest first
        eigenvalues = np.maximum(eigenvalues + self.noise, SMALLEST)
        least = SMALLEST_SHARE * eigenvalues[-1] if self.size else 0.0
        variance = max(eigenvalues[: -self.latent_size].mean(), least)
        largest = eigenvalues[: -self.latent_size - 1 : -1]
        directions = eigenvectors[:, : -self.latent_size - 1 : -1]
        signs = np.sign(directions[np.abs(directions).argmax(axis=0), range(self.latent_size)])
        lengths = np.sqrt(np.maximum(largest - variance, 0.0))  # rounding may give less than 0
        assign(self.loadings, directions * signs * lengths)
        assign(self.mean, array(self.mean) + change)
        assign(self.log_variance, np.log(variance))

    # === Inference ===

    def encode(self, x, condition=None):
        """The posterior means of the latents, M^-1 W^T (x - m), float32 (n, latent_size)."""
        return self._of_items(self._encode, x, condition)

    def latents(self, x, condition=None):
        """The latents of the orthogonal projections, (W^T W)^-1 W^T (x - m), (n, latent_size).

        Components in which the training items do not vary, such as those of pixels that are always
        black, have the latent 0.
        """
        inverse = np.linalg.pinv(array(self.loadings), rcond=NO_LOADING).T.astype("float32")
        return self._of_items(lambda part: self._latents(part, inverse), x, condition)

    def _of_items(self, function, x, condition):
        x = self.checked_items(x)
        self.checked_condition(condition, len(x))
        return in_chunks(function, x)

    def decode(self, latents, condition=None):
        """The items W z + m of latents (n, latent_size)."""
        latents = checked_latents(latents, self.latent_size)
        self.checked_condition(condition, len(latents))
        return in_chunks(self._decode, latents)

    def reconstruct(self, x, condition=None):
        """The orthogonal projections of items onto the principal components."""
        return self.decode(self.latents(x, condition))

    def pictures(self):
        """The principal components, for images; 0 is grey."""
        if self.size:
            return {}
        loadings = array(self.loadings).T.reshape(-1, *self.image_shape)
        largest = np.abs(loadings).max(axis=(1, 2, 3), keepdims=True)
        scaled = loadings / np.maximum(largest, SMALLEST)
        return {"components": (0.5 + 0.5 * scaled).astype("float32")}

    def sample(self, count=None, condition=None, seed=None):
        """`count` draws; pixels are rounded to the nearest level."""
        numbers = self.latent_size + self.dimensions
        count, _ = self.to_sample(count, condition, noise=numbers)
        noise = np.random.default_rng(seed).standard_normal((count, numbers), "float32")
        return in_chunks(self._draw, noise)

    def gaussians(self):
        def precision(number):
            loadings, variance = array(self.loadings), np.exp(array(self.log_variance))
            inner = loadings.T @ loadings + variance * np.eye(self.latent_size)
            explained = loadings @ np.linalg.solve(inner, loadings.T)
            return (np.eye(self.dimensions) - explained) / variance

        return np.zeros(1), array(self.mean)[None], precision

    @inference
    def _encode(self, x):
        factor, centred = self.factor(), self.values_of(x) - self.mean
        projected = self._projected(factor, ops.transpose(centred))
        upper = ops.transpose(factor)
        return ops.transpose(ops.solve_triangular(upper, projected, lower=False))

    @inference
    def _latents(self, x, inverse):
        return ops.matmul(self.values_of(x) - self.mean, inverse)

    @inference
    def _decode(self, latents):
        return self.items_of(ops.matmul(latents, ops.transpose(self.loadings)) + self.mean)

    @inference
    def _draw(self, noise):
        latents, errors = noise[:, : self.latent_size], noise[:, self.latent_size :]
        values = ops.matmul(latents, ops.transpose(self.loadings)) + self.mean
        return self.items_of(values + ops.exp(0.5 * self.log_variance) * errors)
