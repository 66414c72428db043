"""Normalizing flows: bijections from images to normal latents, with the density that they imply."""

import kgen.chosen_backend  # noqa: F401  # before Keras
