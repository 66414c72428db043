"""What a trained model is good for: its latents, its densities, and how well a probe reads them."""
