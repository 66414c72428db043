"""Mixture of Gaussians.

Arthur Dempster, Nan Laird, Donald Rubin: Maximum Likelihood from Incomplete Data via the EM
Algorithm. 1977, doi:10.1111/j.2517-6161.1977.tb01600.x. Low-rank covariances: Zoubin Ghahramani,
Geoffrey Hinton: The EM Algorithm for Mixtures of Factor Analyzers. 1996.

A point is drawn from one of K Gaussians:

    p(x) = sum over k of weight_k N(x; mean_k, covariance_k)

EM repeats two steps. The E-step computes the responsibilities r_k(x) = p(k|x); the M-step computes
the weights, means and covariances that maximise E_r log p(x, k), in closed form. No step lowers the
likelihood. Here an epoch of `fit` is one EM step over all items, whatever the batch size.

The first epoch is the start: it keeps a sample of the items, from which k-means++ (Arthur &
Vassilvitskii 2007) takes the means. All components begin with the variances around these.

Images are dequantised (`base.py`); EM then raises the bound

    log P(x) >= log sum over k of weight_k exp E_u log N(x + u; mean_k, covariance_k) + D log b

With diagonal covariances `log_prob` integrates the density over each pixel's bin, which gives the
exact mass. The bins of the smallest and the largest level have no outer end.

Deviations: a component with less than one item restarts at an item far from the other means, which
may lower the likelihood once. `added_variance` is added to the variances of vectors, as in
scikit-learn.
"""

from typing import Literal

import keras
import numpy as np
from keras import ops
from scipy.special import logsumexp

from kgen.bounds import Count, ImageShape, Levels, NoCount, Weight
from kgen.inference import inference
from kgen.models.mixtures.base import GaussianDensity
from kgen.models.mixtures.conditionals import log_bin_masses
from kgen.models.mixtures.covariances import Diagonal, Full, Tied, array, assign
from kgen.models.mixtures.factor_analysers import LowRank
from kgen.models.mixtures.starts import Starts

PICTURED = 100  # means, at most


@keras.saving.register_keras_serializable("kgen")
class MixtureOfGaussians(GaussianDensity):
    """Mixture of Gaussians (Dempster et al. 1977).

    Arthur Dempster, Nan Laird, Donald Rubin: Maximum Likelihood from Incomplete Data via the EM
    Algorithm. 1977, doi:10.1111/j.2517-6161.1977.tb01600.x. The density of vectors, or of
    dequantised images:

        p(x) = sum over k of weight_k N(x; mean_k, covariance_k)

    An epoch of `fit` is one step of EM; the first one chooses the start. `compile(optimizer)`
    trains by gradient steps instead, from the weights there are.

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel.
        size: numbers of a vector; above 0, the model is one of vectors instead of images.
        components: number of Gaussians.
        covariance: "full", "tied" (one full matrix for all), "diagonal" or "low_rank" (a factor
            analyser per component).
        rank: factors of each component, for "low_rank".
        fit_by: "em" or "gradient": what `compile()` recommends. Gradient steps begin at random
            means.
        added_variance: what EM adds to the variances of vectors. Dequantisation does it for images.

    Metrics: `loss`, the negative log-likelihood in nats per vector, or its bound per image.
    """

    encodes = True
    small_arguments = {"components": 5, "covariance": "low_rank", "rank": 2}

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        size: NoCount = 0,
        components: Count = 10,
        covariance: Literal["full", "tied", "diagonal", "low_rank"] = "diagonal",
        rank: Count = 10,
        fit_by: Literal["em", "gradient"] = "em",
        added_variance: Weight = 1e-6,
        **kwargs,
    ):
        super().__init__(image_shape, levels, size, **kwargs)
        self.components, self.covariance, self.rank = components, covariance, rank
        self.fit_by, self.added_variance = fit_by, added_variance
        self.added = added_variance if self.size else 0.0
        self.latent_size = self.values_per_item = components
        if covariance == "diagonal":
            self.likelihood = "exact"
        random = keras.initializers.RandomNormal(stddev=0.5)
        self.logits = self.new_weight("logits", (components,))
        self.means = self.new_weight("means", (components, self.dimensions), random)
        self.covariances = self.new_covariances()
        self.starts = Starts(components, self.dimensions, self.noise + self.added)
        moments = {"counts": (components,), "firsts": (components, self.dimensions)}
        self.add_sums(**moments, **self.covariances.shapes())

    def new_covariances(self):
        arguments = (self.components, self.dimensions, self.noise, self.added)
        if self.covariance == "low_rank":
            return LowRank(*arguments, rank=self.rank)
        return {"full": Full, "tied": Tied, "diagonal": Diagonal}[self.covariance](*arguments)

    def recommended_optimizer(self):
        if self.fit_by == "em":
            return super().recommended_optimizer()
        return keras.optimizers.Adam(0.01)

    # === The density ===

    def log_joint(self, values):
        """log weight_k + E_u log N(values + u; k), (n, K)."""
        log_weights = ops.log_softmax(self.logits)
        return log_weights + self.covariances.log_densities(values, self.means)

    def log_densities(self, values):
        return ops.logsumexp(self.log_joint(values), axis=-1)

    # === EM ===

    def expectations(self, x, condition):
        values = self.values_of(x)
        self.starts.keep(values)
        log_joint = self.log_joint(values)
        log_densities = ops.logsumexp(log_joint, axis=-1)
        responsibilities = ops.exp(log_joint - log_densities[:, None])
        sums = {
            "counts": ops.sum(responsibilities, axis=0),
            "firsts": ops.matmul(ops.transpose(responsibilities), values),
            **self.covariances.expectations(values, self.means, responsibilities),
        }
        return -ops.mean(self.log_masses(log_densities)), {}, sums

    def maximise(self, sums):
        is_first, generator = self.starts.begin_update(self.seed)
        if is_first:
            return self.start(round(sums["counts"].sum()), generator)
        counts = np.maximum(sums["counts"], 1.0)
        means = self.covariances.maximise(counts, sums["firsts"], sums)
        empty = sums["counts"] < 1.0
        if empty.any():
            points, variances = self.starts.further(empty.sum(), generator, means[~empty])
            means[empty] = points
            self.covariances.restart(empty, variances, generator)
        assign(self.means, means)
        assign(self.logits, np.log(counts / counts.sum()))

    def start(self, seen, generator):
        """Set the means by k-means++, and the covariances to the variances around them."""
        shift, means, variances = self.starts.first(seen, generator)
        self.covariances.restart(np.ones(self.components, bool), variances, generator)
        assign(self.shift, array(self.shift) + shift)
        assign(self.means, means)
        assign(self.logits, np.zeros(self.components))

    # === Inference ===

    def log_prob(self, x, condition=None):
        """log p(x) in nats, (n,): of a vector's density, or an image's mass.

        It is exact for vectors and for diagonal covariances; else a lower bound.
        """
        if self.size or self.covariance != "diagonal":
            return super().log_prob(x, condition)
        x = self.checked_items(x)
        self.checked_condition(condition, len(x))
        return self.in_chunks(self._log_integrals, x)

    def _log_integrals(self, images):
        """log P(x), each pixel's density integrated over its bin, float64 (n,)."""
        pixels = images.reshape(len(images), -1)
        ends = (pixels == 0, pixels == self.levels - 1)
        deviations = np.exp(0.5 * array(self.covariances.log_variances))
        centres = pixels * self.bin_width - 1.0 - array(self.shift)  # `values_of` in float64
        bins = (centres, self.bin_width, *ends)
        masses = log_bin_masses(*bins, array(self.means), deviations)
        return logsumexp(masses + self.log_weights(), axis=1)

    def log_weights(self):
        logits = array(self.logits)
        return logits - logsumexp(logits)

    def encode(self, x, condition=None):
        """The responsibilities p(k|x), float32 (n, components); rows sum to 1."""
        x = self.checked_items(x)
        self.checked_condition(condition, len(x))
        return self.in_chunks(self._encode, x)

    latents = encode

    def mean_items(self):
        """The means of the components as items, such as images to look at, (components, ...)."""
        return self._mean_items()

    def pictures(self):
        """The means, for images."""
        if self.size:
            return {}
        return {"means": self.mean_items()[:PICTURED].astype("float32") / (self.levels - 1)}

    def sample(self, count=None, condition=None, seed=None):
        """`count` draws; pixels are rounded to the nearest level."""
        numbers = self.dimensions + self.covariances.latent_size
        count, _ = self.to_sample(count, condition, noise=self.components * numbers)
        generator = np.random.default_rng(seed)
        uniform = generator.random(count, "float32")
        return self.in_chunks(
            self._draw, uniform, generator.standard_normal((count, numbers), "float32")
        )

    def gaussians(self):
        return self.log_weights(), array(self.means), self.covariances.precision

    @inference
    def _encode(self, x):
        return ops.softmax(self.log_joint(self.values_of(x)), axis=-1)

    @inference
    def _mean_items(self):
        return self.items_of(ops.convert_to_tensor(self.means))

    @inference
    def _draw(self, uniform, noise):
        cumulative = ops.cumsum(ops.softmax(self.logits))[:-1]
        chosen = ops.sum(ops.cast(cumulative <= uniform[:, None], "int32"), axis=-1)
        means = ops.take(self.means, chosen, axis=0)
        return self.items_of(means + self.covariances.draw(chosen, noise))
