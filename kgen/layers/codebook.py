"""The codebook of vector quantisation, learned by exponential moving averages."""

import keras
from keras import ops

SMOOTHING = 1e-5  # Laplace smoothing of the counts, against division by 0


@keras.saving.register_keras_serializable("kgen")
class Codebook(keras.layers.Layer):
    """A codebook of vectors e_i, each an exponential moving average of the vectors nearest to it.

    Aaron van den Oord, Oriol Vinyals, Koray Kavukcuoglu: Neural Discrete Representation Learning.
    2017, arXiv:1711.00937, appendix A.1. With decay 0 an update is one step of k-means.

    A code that no vector has chosen for `restart_after` steps restarts at a random vector of the
    batch. In the first step that is every code: the initialisation is data-dependent.

    Args:
        codes: number of vectors.
        size: dimensions of each.
        decay: decay of the moving averages, from 0 to below 1.
        restart_after: steps after which an unused code restarts.
    """

    def __init__(self, codes, size, decay=0.99, restart_after=200, **kwargs):
        super().__init__(**kwargs)
        self.codes, self.size = codes, size
        self.decay, self.restart_after = decay, restart_after
        self.vectors = self._table("vectors", (codes, size), 0.0)
        self.counts = self._table("counts", (codes,), 1.0)  # N_i of equation 6
        self.sums = self._table("sums", (codes, size), 0.0)  # m_i of equation 7
        self.unused_for = self._table("unused_for", (codes,), restart_after)  # steps
        self.built = True

    def _table(self, name, shape, value):
        start = keras.initializers.Constant(value)
        settings = {"trainable": False, "dtype": "float32", "autocast": False}
        return self.add_weight(shape=shape, initializer=start, name=name, **settings)

    def nearest(self, vectors):
        """The index of the code nearest to each of the vectors (m, size): int32 (m,)."""
        squares = ops.sum(self.vectors**2, axis=-1)  # |z - e|^2 without |z|^2
        distances = squares - 2.0 * ops.matmul(vectors, ops.transpose(self.vectors))
        return ops.cast(ops.argmin(distances, axis=-1), "int32")

    def vectors_of(self, codes):
        """The vectors of codes: integers (...,) -> float32 (..., size), without gradient."""
        return ops.stop_gradient(ops.take(self.vectors, ops.cast(codes, "int32"), axis=0))

    def restart_unused(self, vectors, uniform):
        """Restart unused codes at random vectors of the batch.

        Args:
            vectors: (m, size), without gradient.
            uniform: noise (codes,) in [0, 1), which picks a vector per code.
        """
        picks = uniform * ops.cast(ops.shape(vectors)[0], "float32")
        picked = ops.take(vectors, ops.cast(picks, "int32"), axis=0)
        unused = self.unused_for.value >= self.restart_after  # (codes,)
        for table in (self.vectors, self.sums):
            table.assign(ops.where(unused[:, None], picked, table.value))
        self.counts.assign(ops.where(unused, 1.0, self.counts.value))
        self.unused_for.assign(ops.where(unused, 0.0, self.unused_for.value))

    def update(self, vectors, chosen):
        """Update the codes (equations 6 to 8) with vectors (m, size) and their codes (m,)."""
        one_hot = ops.one_hot(chosen, self.codes)  # (m, codes)
        numbers = ops.sum(one_hot, axis=0)
        sums = ops.matmul(ops.transpose(one_hot), vectors)
        self.counts.assign(self.decay * self.counts.value + (1.0 - self.decay) * numbers)
        self.sums.assign(self.decay * self.sums.value + (1.0 - self.decay) * sums)
        total = ops.sum(self.counts.value)
        share = (self.counts.value + SMOOTHING) / (total + self.codes * SMOOTHING)
        self.vectors.assign(self.sums.value / (share * total)[:, None])
        self.unused_for.assign(ops.where(numbers > 0, 0.0, self.unused_for.value + 1.0))

    def perplexity(self):
        """exp of the entropy of the averaged counts: effective number of codes, 1 to `codes`."""
        shares = self.counts.value / ops.sum(self.counts.value)
        return ops.exp(-ops.sum(shares * ops.log(shares + 1e-10)))

    def get_config(self):
        own = {"codes": self.codes, "size": self.size}
        own |= {"decay": self.decay, "restart_after": self.restart_after}
        return {**super().get_config(), **own}
