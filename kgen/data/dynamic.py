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
    """

    grey: np.ndarray
    levels: int
    seed: int

    def at_epoch(self, epoch):
        """The draw of an epoch >= 0: uint8, 0 and 1, a pure function of seed and epoch."""
        random = np.random.default_rng([self.seed, epoch])
        # Exactly `grey` of the levels - 1 equally likely thresholds are below `grey`.
        threshold = random.integers(0, self.levels - 1, size=self.grey.shape, dtype=np.uint8)
        return (threshold < self.grey).view(np.uint8)

    def subset(self, rows):
        """The images at `rows` (anything that indexes an array's first axis), still dynamic."""
        return replace(self, grey=self.grey[rows])

    @property
    def shape(self):
        return self.grey.shape

    @property
    def ndim(self):
        return self.grey.ndim

    @property
    def dtype(self):
        return np.dtype(np.uint8)

    def __len__(self):
        return len(self.grey)

    def __getitem__(self, index):
        return self.at_epoch(0)[index]

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.at_epoch(0), dtype=dtype)

    def __repr__(self):
        return f"DynamicallyBinarized(shape={self.shape}, levels={self.levels}, seed={self.seed})"
