"""Dynamic binarisation: grey values as Bernoulli probabilities, drawn anew every epoch."""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class DynamicallyBinarized:
    """Binary images whose pixels are drawn again every epoch: P(1) = grey / (levels - 1), exactly.

    This is the dynamic binarisation of Burda, Grosse and Salakhutdinov (2016, arXiv:1509.00519).
    Used as an array, it is the draw of epoch 0. Each such use draws the whole set. To iterate over
    the images, call `at_epoch` once and iterate over its result.

    Attributes:
        grey: uint8 (n, height, width, 1), values 0..levels-1.
        levels: number of grey levels, 3..256.
        seed: non-negative int; seed and epoch determine every draw.

    Examples:
        >>> kgen.data.load("digits", binarize="dynamic").train.images
        DynamicallyBinarized(shape=(1438, 8, 8, 1), levels=17, seed=0)
    """

    grey: np.ndarray
    levels: int
    seed: int

    def at_epoch(self, epoch):
        """The draw of an epoch, a pure function of seed and epoch.

        Args:
            epoch: 0 or more.

        Returns:
            uint8 (n, height, width, 1), values 0 and 1.

        Examples:
            >>> images = kgen.data.load("digits", binarize="dynamic").train.images
            >>> first, second = images.at_epoch(0), images.at_epoch(1)
            >>> np.array_equal(first, second), np.array_equal(first, images.at_epoch(0))
            (False, True)
        """
        random = np.random.default_rng([self.seed, epoch])
        # Exactly `grey` of the levels - 1 equally likely thresholds are below `grey`.
        threshold = random.integers(0, self.levels - 1, size=self.grey.shape, dtype=np.uint8)
        return (threshold < self.grey).view(np.uint8)

    def subset(self, rows):
        """Some of the images, still dynamic.

        Args:
            rows: anything that indexes an array's first axis: integers (k,), a mask (n,) or a
                slice.

        Returns:
            A `DynamicallyBinarized` of the same levels and seed. An image may be drawn otherwise
            than in the whole set.

        Examples:
            >>> images = kgen.data.load("digits", binarize="dynamic").train.images
            >>> len(images.subset(images.grey.mean(axis=(1, 2, 3)) > 5))
            592
        """
        return replace(self, grey=self.grey[rows])

    @property
    def shape(self):
        """(n, height, width, 1), as of an array."""
        return self.grey.shape

    @property
    def ndim(self):
        """4, as of an array."""
        return self.grey.ndim

    @property
    def dtype(self):
        """uint8, as of an array."""
        return np.dtype(np.uint8)

    def __len__(self):
        return len(self.grey)

    def __getitem__(self, index):
        return self.at_epoch(0)[index]

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.at_epoch(0), dtype=dtype)

    def __repr__(self):
        return f"DynamicallyBinarized(shape={self.shape}, levels={self.levels}, seed={self.seed})"
