"""The variational autoencoder in PyTorch.

The decoder's outputs are all locations, then all log-scales; kgen has them pixel by pixel.
"""

import itertools
import math

import torch
from torch import nn
from torch.nn import functional

from . import torch_training as training
from . import trainable


class VAE(nn.Module):
    """Gives the terms of the loss."""

    def __init__(self, pixels, levels, latent_size, hidden):
        super().__init__()
        self.levels = levels
        outputs = pixels if levels == 2 else 2 * pixels
        self.encoder = perceptron(pixels, *hidden, 2 * latent_size)
        self.decoder = perceptron(latent_size, *reversed(hidden), outputs)

    def forward(self, images, noise):
        images = images.flatten(1)
        mean, log_variance = self.encoder(images / (self.levels - 1)).chunk(2, dim=1)
        latents = mean + torch.exp(0.5 * log_variance) * noise
        reconstruction = -self.log_prob(images, self.decoder(latents)).sum(1).mean()
        kl = 0.5 * (mean**2 + log_variance.exp() - log_variance - 1.0).sum(1).mean()
        return {"loss": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}

    def log_prob(self, images, outputs):
        if self.levels == 2:
            images = images.float()
            return -functional.binary_cross_entropy_with_logits(outputs, images, reduction="none")
        return logistic_log_prob(images, *outputs.chunk(2, dim=1), self.levels)


def perceptron(*units):
    layers = []
    for inputs, outputs in itertools.pairwise(units):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def logistic_log_prob(images, location, log_scale, levels):
    """A logistic density integrated over the bin of each value; the outer bins are half-open."""
    half_bin = 1.0 / (levels - 1)
    inverse_scale = torch.exp(-log_scale.clamp(-7.0, 50.0))
    centred = training.scaled(images, levels) - location
    upper = (centred + half_bin) * inverse_scale
    lower = (centred - half_bin) * inverse_scale
    below = functional.logsigmoid(upper)
    above = functional.logsigmoid(-lower)
    inner = below + above + torch.log(-torch.expm1(-2.0 * half_bin * inverse_scale))
    highest = torch.where(images == levels - 1, above, inner)
    return torch.where(images == 0, below, highest)


class Baseline:
    """See `benchmarks.native`."""

    def __init__(self, image_shape, levels, compiled=False, latent_size=20, hidden=(500,)):
        self.latent_size = latent_size
        self.channels = image_shape[-1]
        self.vae = VAE(math.prod(image_shape), levels, latent_size, hidden).to(training.DEVICE)
        self.loss = torch.compile(self.vae) if compiled else self.vae
        self.optimizer = torch.optim.Adam(self.vae.parameters(), 1.5e-3, eps=1e-7, fused=True)
        self.schedule = training.cosine_schedule(self.optimizer, steps=8000, end=0.1)

    def load(self, weights):
        *arrays, kernel, bias = trainable(weights)
        if self.vae.levels > 2:
            kernel, bias = (locations_first(array, self.channels) for array in (kernel, bias))
        training.load(self.vae.parameters(), [*arrays, kernel, bias])

    def step(self, images, noise=None):
        images = training.on_device(images)
        if noise is None:
            noise = torch.randn(len(images), self.latent_size, device=training.DEVICE)
        else:
            noise = training.on_device(noise)
        self.optimizer.zero_grad()
        terms = self.loss(images, noise)
        terms["loss"].backward()
        self.optimizer.step()
        self.schedule.step()
        return {name: value.detach() for name, value in terms.items()}

    def synchronise(self):
        training.synchronise()


def locations_first(array, channels):
    """(..., height * width * 2 * channels) with all locations before all log-scales."""
    parts = array.reshape(*array.shape[:-1], -1, 2, channels)
    return parts.swapaxes(-3, -2).reshape(array.shape)
