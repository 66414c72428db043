"""Normalizing flows: bijections from images to normal latents, with the density that they imply."""
