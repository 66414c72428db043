"""Classical densities: mixtures of Gaussians, and probabilistic PCA."""

import kgen.chosen_backend  # noqa: F401  # before Keras
