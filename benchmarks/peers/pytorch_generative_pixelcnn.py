"""The PixelCNN of pytorch-generative as its `reproduce` trains it: 15 blocks of 32 channels.

It has one 1x1 layer less before the output than kgen's, and stores the taps that its masks hide.
"""

PACKAGE = "pytorch_generative"
MODEL, LEVELS, SETTINGS = "pixelcnn", 2, {"features": 32, "blocks": 15}


def create(image_shape):
    import torch
    from pytorch_generative.models import PixelCNN

    channels = image_shape[-1]
    network = PixelCNN(channels, channels, n_residual=15, residual_channels=16, head_channels=32)
    return network, torch.optim.Adam(network.parameters(), 1e-3), image_loss(network)


def image_loss(network):
    """The `loss_fn` of the package's training scripts, as a function of binary images."""
    from torch.nn import functional

    def loss(images):
        images = images.float()
        losses = functional.binary_cross_entropy_with_logits(
            network(images), images, reduction="none"
        )
        return losses.flatten(1).sum(1).mean()

    return loss
