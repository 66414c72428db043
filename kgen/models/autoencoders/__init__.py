"""Autoencoders: an encoder to latents and a decoder back."""
