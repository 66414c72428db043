"""Models of texts: words one after the other, with or without a latent vector."""

import kgen.chosen_backend  # noqa: F401  # before Keras
