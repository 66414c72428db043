"""Autoregressive models: every pixel given the pixels before it."""
