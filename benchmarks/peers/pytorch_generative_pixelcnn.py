"""The PixelCNN of pytorch-generative as its `reproduce` trains it: 15 blocks of 32 channels.

It has one 1x1 layer less before the output than kgen's, and stores the taps that its masks hide.
"""

from benchmarks.peers.pytorch_generative_rows import trained_by_adam

PACKAGE = "pytorch_generative"
MODEL, LEVELS, SETTINGS = "pixelcnn", 2, {"features": 32, "blocks": 15}


def create(image_shape):
    from pytorch_generative.models import PixelCNN

    channels = image_shape[-1]
    network = PixelCNN(channels, channels, n_residual=15, residual_channels=16, head_channels=32)
    return trained_by_adam(network, 1e-3)
