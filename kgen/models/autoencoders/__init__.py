"""Autoencoders: an encoder maps images to latents, a decoder maps latents to images."""

import kgen.chosen_backend  # noqa: F401  # before Keras
