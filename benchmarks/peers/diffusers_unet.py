"""The U-Net of diffusers trained as a DDPM: sizes 28, 14 and 7 of 32, 64 and 64 channels."""

PACKAGE = "diffusers"
MODEL, LEVELS, SETTINGS = "edm", 256, {}


def create(image_shape):
    import torch
    from diffusers import DDPMScheduler, UNet2DModel
    from torch.nn import functional

    *_, channels = image_shape
    network = UNet2DModel(
        sample_size=image_shape[:2],
        in_channels=channels,
        out_channels=channels,
        layers_per_block=1,
        block_out_channels=(32, 64, 64),
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        attention_head_dim=64,
        norm_num_groups=8,
    )
    schedule = DDPMScheduler(num_train_timesteps=1000)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)

    def loss(images):
        images = images * (2.0 / (LEVELS - 1)) - 1.0
        noise, times = torch.randn_like(images), torch.randint(1000, (len(images),))
        noisy = schedule.add_noise(images, noise, times)
        return functional.mse_loss(network(noisy, times, return_dict=False)[0], noise)

    return network, optimizer, loss
