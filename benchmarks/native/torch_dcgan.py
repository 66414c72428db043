"""The DCGAN in PyTorch, after the framework's own tutorial.

As in kgen, and in Goodfellow's algorithm 1, the generator's update draws noise of its own; many
codes save a pass by taking the images of the discriminator's update again. Here the moving
statistics, which no loss reads, also see the other player's update.
"""

import math

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from . import pyramid_sizes, trainable
from . import torch_training as training


class Crop(nn.Module):
    """Images without what a doubling has too much at the bottom and on the right."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        height, width = self.size
        return x[:, :, :height, :width]


def generator(latent_size, image_shape, base_channels):
    *larger, (height, width) = pyramid_sizes(image_shape)
    depth = len(larger)
    inside = [base_channels * 2**level for level in reversed(range(depth))]  # [256, 128, 64]
    smallest = (inside[0], height, width)
    layers = [nn.Linear(latent_size, math.prod(smallest), bias=False), nn.Unflatten(1, smallest)]
    for level, inputs in enumerate(inside):
        last = level == depth - 1
        outputs = image_shape[-1] if last else inside[level + 1]
        layers += [
            nn.BatchNorm2d(inputs),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=last),
            Crop(larger[-1 - level]),
        ]
    return nn.Sequential(*layers, nn.Tanh()).apply(initialise)


def discriminator(image_shape, base_channels):
    *larger, (height, width) = pyramid_sizes(image_shape)
    layers, inputs = [], image_shape[-1]
    for level, (rows, columns) in enumerate(larger):
        outputs = base_channels * 2**level
        if rows % 2 or columns % 2:
            layers.append(nn.ZeroPad2d((0, columns % 2, 0, rows % 2)))
        layers.append(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=level == 0))
        if level > 0:
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.LeakyReLU(0.2, inplace=True))
        inputs = outputs
    layers += [nn.Flatten(), nn.Linear(inputs * height * width, 1)]
    return nn.Sequential(*layers).apply(initialise)


def initialise(module):
    if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)


class Baseline:
    """See `benchmarks.native`."""

    def __init__(self, image_shape, levels, compiled=False, latent_size=100, base_channels=64):
        self.image_shape, self.levels, self.latent_size = image_shape, levels, latent_size
        self.generator = generator(latent_size, image_shape, base_channels).to(training.DEVICE)
        self.discriminator = discriminator(image_shape, base_channels).to(training.DEVICE)
        self.generate, self.discriminate = self.generator, self.discriminator
        if compiled:
            self.generate = torch.compile(self.generator)
            self.discriminate = torch.compile(self.discriminator)
        self.generator_optimizer = adam(self.generator, 1e-3)
        self.discriminator_optimizer = adam(self.discriminator, 5e-4)

    def load(self, weights):
        project, *arrays, kernel, bias = trainable(weights)
        height, width = pyramid_sizes(self.image_shape)[-1]
        # Dense layers beside images: (height, width, channels) flat to (channels, height, width).
        project = project.reshape(self.latent_size, height, width, -1).transpose(0, 3, 1, 2)
        kernel = kernel.reshape(height, width, -1, 1).transpose(2, 0, 1, 3)
        arrays = [project.reshape(self.latent_size, -1), *arrays, kernel.reshape(-1, 1), bias]
        parameters = [*self.generator.parameters(), *self.discriminator.parameters()]
        training.load(parameters, arrays)

    def step(self, images, *noise):
        images = training.on_device(images).permute(0, 3, 1, 2)  # (n, channels, height, width)
        images = training.scaled(images, self.levels)
        noise = [training.on_device(part) for part in noise] or torch.randn(
            2, len(images), self.latent_size, device=training.DEVICE
        )
        return {
            "discriminator_loss": self.discriminator_update(images, noise[0]),
            "generator_loss": self.generator_update(noise[1]),
        }

    def discriminator_update(self, images, noise):
        self.discriminator_optimizer.zero_grad()
        with torch.no_grad():
            fakes = self.generate(noise)
        real_loss = cross_entropy(self.discriminate(images), 1.0)
        loss = real_loss + cross_entropy(self.discriminate(fakes), 0.0)
        loss.backward()
        self.discriminator_optimizer.step()
        return loss.detach()

    def generator_update(self, noise):
        self.generator_optimizer.zero_grad()
        self.discriminator.requires_grad_(False)  # no gradients of weights that stay
        loss = cross_entropy(self.discriminate(self.generate(noise)), 1.0)
        loss.backward()
        self.discriminator.requires_grad_(True)
        self.generator_optimizer.step()
        return loss.detach()

    def synchronise(self):
        training.synchronise()


def adam(network, rate):
    parameters = network.parameters()
    return torch.optim.Adam(parameters, rate, betas=(0.5, 0.999), eps=1e-7, fused=True)


def cross_entropy(logits, target):
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))
