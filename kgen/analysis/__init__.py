"""Uses of a trained model: its latent space, its density, and linear probes of its latents."""
