"""Diffusion and flow matching: networks that undo noise, step by step."""

import kgen.chosen_backend  # noqa: F401  # before Keras
