"""The U-Net of denoising-diffusion-pytorch as a DDPM: sizes 28, 14, 7 of 32, 64, 64 channels.

It always has two blocks at each size, and linear attention where it has no full one.
"""

PACKAGE = "denoising_diffusion_pytorch"
MODEL, LEVELS, SETTINGS = "edm", 256, {}


def create(image_shape):
    import torch
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet

    height, width, channels = image_shape
    unet = Unet(dim=32, dim_mults=(1, 2, 2), channels=channels)
    network = GaussianDiffusion(unet, image_size=(height, width), timesteps=1000)
    optimizer = torch.optim.Adam(network.parameters(), 1e-4, betas=(0.9, 0.99))
    return network, optimizer, lambda images: network(images / (LEVELS - 1))
