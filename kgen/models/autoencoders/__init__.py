"""Autoencoders: an encoder to latents and a decoder back."""

import kgen.chosen_backend  # noqa: F401  # before Keras
