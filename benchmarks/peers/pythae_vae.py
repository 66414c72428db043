"""The VAE of pythae with its own networks, of one hidden layer of 512 units."""

PACKAGE = "pythae"
MODEL, LEVELS, SETTINGS = "vae", 2, {"hidden": (512,), "latent_size": 20}


def create(image_shape):
    import torch
    from pythae.models import VAE, VAEConfig

    height, width, channels = image_shape
    config = VAEConfig((channels, height, width), latent_dim=20, reconstruction_loss="bce")
    network = VAE(config)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    return network, optimizer, lambda images: network({"data": images.float()}).loss
