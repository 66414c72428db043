"""The PixelCNN of grey images in PyTorch.

Kernels are square and multiplied by a mask, as everybody writes them; kgen leaves out the rows
below the centre, and computes pointwise convolutions as matrix products.
"""

import torch
from torch import nn
from torch.nn import functional

from . import torch_training as training
from . import trainable, whole_kernels


class MaskedConv2d(nn.Conv2d):
    """Type "A" does not see the centre, "B" does."""

    def __init__(self, kind, inputs, outputs, size):
        super().__init__(inputs, outputs, size, padding=size // 2)
        centre = size // 2
        mask = torch.ones(size, size)
        mask[centre, centre + (kind == "B") :] = 0
        mask[centre + 1 :] = 0
        self.register_buffer("mask", mask)

    def forward(self, x):
        return functional.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class Residual(nn.Module):
    def __init__(self, features):
        super().__init__()
        half = features // 2
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(features, half, 1),
            nn.ReLU(),
            MaskedConv2d("B", half, half, 3),
            nn.ReLU(),
            nn.Conv2d(half, features, 1),
        )

    def forward(self, x):
        return x + self.layers(x)


class PixelCNN(nn.Module):
    """Gives the loss."""

    def __init__(self, levels, features, blocks):
        super().__init__()
        self.levels = levels
        self.layers = nn.Sequential(
            MaskedConv2d("A", 1, features, 7),
            *[Residual(features) for _ in range(blocks)],
            nn.ReLU(),
            nn.Conv2d(features, features, 1),
            nn.ReLU(),
            nn.Conv2d(features, features, 1),
            nn.ReLU(),
            nn.Conv2d(features, 1 if levels == 2 else levels, 1),
        )

    def forward(self, images):
        logits = self.layers(training.scaled(images, self.levels))  # (n, levels, height, width)
        if self.levels == 2:
            total = functional.binary_cross_entropy_with_logits(
                logits, images.float(), reduction="sum"
            )
        else:
            total = functional.cross_entropy(logits, images[:, 0].long(), reduction="sum")
        return total / len(images)


class Baseline:
    """See `benchmarks.native`."""

    def __init__(self, image_shape, levels, compiled=False, features=64, blocks=7):
        if image_shape[-1] != 1:
            raise ValueError(f"Expected grey images, received {image_shape}")
        self.network = PixelCNN(levels, features, blocks).to(training.DEVICE)
        self.loss = torch.compile(self.network) if compiled else self.network
        self.optimizer = torch.optim.Adam(self.network.parameters(), 4e-3, eps=1e-7, fused=True)
        self.schedule = training.cosine_schedule(self.optimizer, steps=25_000, end=0.01)

    def load(self, weights):
        training.load(self.network.parameters(), whole_kernels(trainable(weights)))

    def step(self, images):
        self.optimizer.zero_grad()
        loss = self.loss(training.on_device(images).permute(0, 3, 1, 2))
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return {"loss": loss.detach()}

    def synchronise(self):
        training.synchronise()
