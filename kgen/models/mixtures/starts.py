"""The starting points of a mixture's components: k-means++ on a sample of the items."""

import keras
import numpy as np
from keras import ops

from kgen.models.mixtures.covariances import SMALLEST, array, assign

KEPT, KEPT_PER_COMPONENT = 1_000, 4  # items


class Starts(keras.layers.Layer):
    """Keeps the last items of an epoch, and draws starting points from them.

    `fit` shuffles arrays, so these items are a random sample.

    Args:
        components: number of starting points.
        size: numbers of an item.
        least: variance to add to the items' own.
    """

    def __init__(self, components, size, least):
        super().__init__(trainable=False)
        self.components, self.size, self.least = components, size, least
        settings = {"trainable": False, "initializer": "zeros"}
        settings |= {"dtype": "float32", "autocast": False}
        kept = max(KEPT, KEPT_PER_COMPONENT * components)
        self.kept = self.add_weight(shape=(kept, size), name="kept", **settings)
        self.updates = self.add_weight(shape=(), name="updates", **settings)
        self.built = True

    def begin_update(self, seed):
        """(whether it is the first update, a NumPy generator for its draws)."""
        number = int(array(self.updates))
        assign(self.updates, number + 1)
        return number == 0, np.random.default_rng([seed, number])

    def keep(self, values):
        """Keep values (n, size), and drop the oldest ones."""
        last = ops.concatenate([self.kept.value, values])[-self.kept.shape[0] :]
        self.kept.assign(ops.reshape(last, self.kept.shape))

    def first(self, seen, generator):
        """The origin that items are to have from now on, and a starting point per component.

        Args:
            seen: number of items seen.
            generator: of NumPy.

        Returns:
            (shift, points, variances): (size,), (components, size) around the shift, and (size,).
        """
        kept = np.resize(array(self.kept)[-seen:], self.kept.shape)  # repeats few items
        shift = kept.mean(axis=0)
        assign(self.kept, kept - shift)
        return shift, *self.further(self.components, generator, np.zeros((0, self.size)))

    def further(self, count, generator, given):
        """`count` points far from those given, (m, size), and the variances around all of them."""
        kept = array(self.kept)
        points = spread_points(kept, count, generator, given)
        variances = variances_around(kept, np.concatenate([given, points])) + self.least
        return points, np.maximum(variances, SMALLEST)


def spread_points(points, count, generator, given):
    """`count` of the points, far from each other: the start of k-means++.

    David Arthur, Sergei Vassilvitskii: k-means++: The Advantages of Careful Seeding. 2007. A point
    is drawn with a probability proportional to its squared distance from the nearest point chosen.

    Args:
        points: float (n, D).
        count: number of points to choose.
        generator: of NumPy.
        given: points chosen already, (m, D).

    Returns:
        (count, D)
    """
    nearest, chosen = np.full(len(points), np.inf), []
    for point in given:
        nearest = np.minimum(nearest, squared_distances(points, point))
    for _ in range(count):
        weights = nearest if np.isfinite(nearest).all() and nearest.any() else np.ones(len(points))
        picked = points[generator.choice(len(points), p=weights / weights.sum())]
        nearest = np.minimum(nearest, squared_distances(points, picked))
        chosen.append(picked)
    return np.reshape(chosen, (count, points.shape[1]))


def variances_around(points, centres):
    """The variance of points (n, D) around the nearest of the centres (m, D), (D,)."""
    distances = np.stack([squared_distances(points, centre) for centre in centres])  # (m, n)
    return np.mean((points - centres[distances.argmin(axis=0)]) ** 2, axis=0)


def squared_distances(points, centre):
    return np.sum((points - centre) ** 2, axis=1)
