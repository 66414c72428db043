"""Low-rank covariance matrices: the components of a mixture are factor analysers.

Zoubin Ghahramani, Geoffrey Hinton: The EM Algorithm for Mixtures of Factor Analyzers. Technical
report CRG-TR-96-1, University of Toronto, 1996.

A component draws latents z ~ N(0, I) and values x = W z + m + e with e ~ N(0, diag(p)). Deviation:
each component has its own p; in the report all share one.
"""

import keras
import numpy as np
from keras import ops

from kgen.models.mixtures.covariances import Covariances, array, assign, log_variances_of


class LowRank(Covariances):
    """K matrices W W^T + diag(p), W of size D x R.

    Args:
        args: those of `Covariances`.
        rank: R.
    """

    def __init__(self, *args, rank):
        super().__init__(*args)
        self.latent_size = rank
        small = keras.initializers.RandomNormal(stddev=0.1)
        self.loadings = self._weight("loadings", self.components, self.size, rank, start=small)
        self.log_variances = self._weight("log_variances", self.components, self.size)

    def _scaled(self):
        """p^-1/2 (K, D), A = p^-1/2 W (K, D, R), and the Cholesky factor of I + A^T A."""
        inverse = ops.exp(-0.5 * self.log_variances)
        scaled = inverse[..., None] * self.loadings
        inner = ops.matmul(ops.transpose(scaled, (0, 2, 1)), scaled) + ops.eye(self.latent_size)
        return inverse, scaled, ops.cholesky(inner)

    def distances(self, values, means):
        inverse, scaled, factor = self._scaled()
        differences = (values[None] - means[:, None]) * inverse[:, None]  # (K, n, D)
        projected = self._projected(differences, scaled, factor)  # (K, R, n)
        upper = ops.transpose(factor, (0, 2, 1))
        z = ops.solve_triangular(upper, projected, lower=False)  # the latents' posterior means
        rest = differences - ops.matmul(
            ops.transpose(z, (0, 2, 1)), ops.transpose(scaled, (0, 2, 1))
        )
        squares = ops.sum(rest**2, axis=-1) + ops.sum(z**2, axis=1)  # no difference of large sums
        diagonal = ops.diagonal(factor, axis1=1, axis2=2)
        logs = ops.sum(self.log_variances, axis=-1) + 2.0 * ops.sum(ops.log(diagonal), axis=-1)
        rows = ops.transpose(scaled * inverse[..., None], (0, 2, 1))
        explained = ops.sum(ops.solve_triangular(factor, rows, lower=True) ** 2, axis=(1, 2))
        return squares, logs, ops.sum(inverse**2, axis=-1) - explained

    def _projected(self, differences, scaled, factor):
        products = ops.transpose(ops.matmul(differences, scaled), (0, 2, 1))
        return ops.solve_triangular(factor, products, lower=True)

    def shapes(self):
        components, size, rank = self.components, self.size, self.latent_size
        return {
            "squares": (components, size),
            "cross": (components, size, rank),
            "latents": (components, rank),
            "latent_products": (components, rank, rank),
        }

    def expectations(self, values, means, weights):
        """With z the posterior means of the latents: sums of x^2, x z^T, z and z z^T."""
        inverse, scaled, factor = self._scaled()
        differences = (values[None] - means[:, None]) * inverse[:, None]
        projected = self._projected(differences, scaled, factor)
        upper = ops.transpose(factor, (0, 2, 1))
        z = ops.solve_triangular(upper, projected, lower=False)  # (K, R, n)
        weighted = z * ops.transpose(weights)[:, None]
        flat = ops.reshape(weighted, (self.components * self.latent_size, -1))
        cross = ops.reshape(
            ops.matmul(flat, values), (self.components, self.latent_size, self.size)
        )
        return {
            "squares": ops.matmul(ops.transpose(weights), values**2),
            "cross": ops.transpose(cross, (0, 2, 1)),
            "latents": ops.sum(weighted, axis=-1),
            "latent_products": ops.matmul(weighted, ops.transpose(z, (0, 2, 1))),
        }

    def maximise(self, counts, firsts, sums):
        """Regress x on the latents and 1, which gives W and the mean together (appendix A)."""
        means = np.empty_like(firsts)
        loadings, logs = array(self.loadings), array(self.log_variances)
        for k, count in enumerate(counts):
            scaled = loadings[k] / np.exp(logs[k])[:, None]
            covariance = np.linalg.inv(np.eye(self.latent_size) + loadings[k].T @ scaled)  # of z
            regression = covariance @ scaled.T  # (R, D): x -> z
            moved = count * self.noise * regression
            products = sums["latent_products"][k] + count * covariance + moved @ regression.T
            first, latents = firsts[k][:, None], sums["latents"][k][:, None]
            cross = np.hstack([sums["cross"][k] + moved.T, first])  # (D, R + 1)
            moments = np.block([[products, latents], [latents.T, np.array([[count]])]])
            weights = np.linalg.solve(moments, cross.T).T
            loadings[k], means[k] = weights[:, :-1], weights[:, -1]
            explained = np.sum(weights * cross, axis=1)
            variances = (sums["squares"][k] - explained) / count + self.noise
            logs[k] = log_variances_of(variances + self.added)
        assign(self.loadings, loadings)
        assign(self.log_variances, logs)
        return means

    def restart(self, chosen, variances, generator):
        """Half of the variance in random directions: EM would keep W = 0."""
        random = generator.standard_normal((self.components, self.size, self.latent_size))
        random *= np.sqrt(0.5 * variances / self.latent_size)[:, None]
        loadings, logs = array(self.loadings), array(self.log_variances)
        assign(self.loadings, np.where(chosen[:, None, None], random, loadings))
        assign(self.log_variances, np.where(chosen[:, None], np.log(0.5 * variances), logs))

    def draw(self, chosen, noise):
        deviations = ops.take(ops.exp(0.5 * self.log_variances), chosen, axis=0)
        loadings = ops.take(self.loadings, chosen, axis=0)  # (n, D, R)
        common = ops.sum(loadings * noise[:, None, self.size :], axis=-1)
        return common + deviations * noise[:, : self.size]

    def precision(self, number):
        loadings = array(self.loadings)[number]
        inverse = np.exp(-array(self.log_variances)[number])
        scaled = inverse[:, None] * loadings
        inner = np.eye(self.latent_size) + loadings.T @ scaled
        return np.diag(inverse) - scaled @ np.linalg.solve(inner, scaled.T)
