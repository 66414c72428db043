"""Generative adversarial networks: a generator and a discriminator with opposed losses."""

import kgen.chosen_backend  # noqa: F401  # before Keras
