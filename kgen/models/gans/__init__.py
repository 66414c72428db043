"""Generative adversarial networks: a generator against a discriminator."""

import kgen.chosen_backend  # noqa: F401  # before Keras
