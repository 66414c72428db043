"""Autoregressive models: the distribution of each pixel given the pixels before it."""

import kgen.chosen_backend  # noqa: F401  # before Keras
