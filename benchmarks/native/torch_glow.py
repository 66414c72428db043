"""Glow in PyTorch."""

import math

import torch
from torch import nn
from torch.nn import functional

from . import fixed, trainable
from . import torch_training as training

ALPHA = 1e-3  # pixels become logits of alpha + (1 - 2 alpha) y


class ActNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))
        self.log_scale = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        y = (x + self.bias[:, None, None]) * self.log_scale.exp()[:, None, None]
        return y, x.shape[2] * x.shape[3] * self.log_scale.sum()

    @torch.no_grad()
    def fit(self, x):
        """Leave this batch with mean 0 and variance 1."""
        self.bias.copy_(-x.mean((0, 2, 3)))
        self.log_scale.copy_(-torch.log(x.std((0, 2, 3), correction=0) + 1e-6))


class InvertibleConv(nn.Module):
    """1x1 convolution by W = P L (U + diag(s)), at first a rotation."""

    def __init__(self, channels):
        super().__init__()
        rotation, _ = torch.linalg.qr(torch.randn(channels, channels))
        permutation, lower, upper = torch.linalg.lu(rotation)
        scale = upper.diagonal()
        self.register_buffer("permutation", permutation)
        self.register_buffer("sign", scale.sign())
        self.register_buffer("identity", torch.eye(channels))
        self.lower = nn.Parameter(lower.tril(-1))
        self.upper = nn.Parameter(upper.triu(1))
        self.log_scale = nn.Parameter(scale.abs().log())

    def forward(self, x):
        lower = self.lower.tril(-1) + self.identity
        upper = self.upper.triu(1) + torch.diag(self.sign * self.log_scale.exp())
        weight = self.permutation @ lower @ upper
        log_det = x.shape[2] * x.shape[3] * self.log_scale.sum()
        return functional.conv2d(x, weight[:, :, None, None]), log_det


class AffineCoupling(nn.Module):
    """Changes the first half of the channels, given the others."""

    def __init__(self, channels, base_channels):
        super().__init__()
        self.changed = channels // 2
        seen, outputs = channels - self.changed, 2 * self.changed
        hidden = []
        if base_channels:
            hidden = [nn.Conv2d(seen, base_channels, 3, padding=1), nn.ReLU()]
            hidden += [nn.Conv2d(base_channels, base_channels, 1), nn.ReLU()]
        self.network = nn.Sequential(
            *hidden, nn.Conv2d(base_channels or seen, outputs, 3, padding=1)
        )
        nn.init.zeros_(self.network[-1].weight)
        nn.init.zeros_(self.network[-1].bias)

    def forward(self, x):
        changed, seen = x[:, : self.changed], x[:, self.changed :]
        log_scale, shift = self.network(seen).chunk(2, dim=1)
        log_scale = 2.0 * torch.tanh(log_scale / 2.0)
        y = torch.cat([changed * log_scale.exp() + shift, seen], dim=1)
        return y, log_scale.sum((1, 2, 3))


class Squeeze(nn.Module):
    """Blocks of 2x2 pixels become channels, a block's pixels before its colours."""

    def forward(self, x):
        count, channels, height, width = x.shape
        x = x.reshape(count, channels, height // 2, 2, width // 2, 2).permute(0, 3, 5, 1, 2, 4)
        return x.reshape(count, 4 * channels, height // 2, width // 2), 0.0


class Glow(nn.Module):
    """Gives the loss, a bound in nats per image."""

    def __init__(self, image_shape, levels, scales, depth, base_channels):
        super().__init__()
        self.levels = levels
        height, width, channels = image_shape
        self.scales = nn.ModuleList()
        for scale in range(scales):
            steps = []
            if height % 2 == width % 2 == 0:
                height, width, channels = height // 2, width // 2, 4 * channels
                steps.append(Squeeze())
            for _ in range(depth):
                steps += [ActNorm(channels), InvertibleConv(channels)]
                steps.append(AffineCoupling(channels, base_channels))
            last = scale == scales - 1
            prior = ActNorm(channels) if last else AffineCoupling(channels, 0)
            self.scales.append(nn.ModuleList([*steps, prior]))
            channels -= channels // 2

    def forward(self, images, noise):
        x, log_prob = self.to_logits(images, noise)
        for number, steps in enumerate(self.scales):
            for step in steps:
                x, log_det = step(x)
                log_prob = log_prob + log_det
            leaving, x = self.leave(number, x)
            log_prob = log_prob - 0.5 * (leaving**2 + math.log(2 * math.pi)).sum((1, 2, 3))
        pixels = images[0].numel()
        return pixels * math.log(self.levels) - log_prob.mean()

    def to_logits(self, images, noise):
        y = ALPHA + (1.0 - 2.0 * ALPHA) * (images.float() + noise) / self.levels
        low, high = y.log(), torch.log1p(-y)
        return low - high, (math.log(1.0 - 2.0 * ALPHA) - low - high).sum((1, 2, 3))

    def leave(self, number, x):
        """The channels that become latents after this scale, and the others."""
        leaving = x.shape[1] if number == len(self.scales) - 1 else x.shape[1] // 2
        return x[:, :leaving], x[:, leaving:]

    @torch.no_grad()
    def fit(self, images, noise):
        """Set every actnorm by its inputs."""
        x, _ = self.to_logits(images, noise)
        for number, steps in enumerate(self.scales):
            for step in steps:
                if isinstance(step, ActNorm):
                    step.fit(x)
                x, _ = step(x)
            _, x = self.leave(number, x)


class Baseline:
    """See `benchmarks.native`."""

    def __init__(self, image_shape, levels, compiled=False, scales=3, depth=8, base_channels=48):
        self.network = Glow(image_shape, levels, scales, depth, base_channels).to(training.DEVICE)
        self.loss = torch.compile(self.network) if compiled else self.network
        self.pixels = math.prod(image_shape)
        self.optimizer = torch.optim.Adam(self.network.parameters(), 1e-3, eps=1e-3, fused=True)
        self.schedule = training.cosine_schedule(
            self.optimizer, steps=20_000, end=0.02, warm_up=200, start=0.01
        )
        self.steps = 0

    def load(self, weights):
        # Its matrices are no dense layers' kernels, which `training.load` transposes.
        arrays = [array.T if array.ndim == 2 else array for array in trainable(weights)]
        training.load(self.network.parameters(), arrays)
        for name in ("permutation", "sign"):
            buffers = [b for n, b in self.network.named_buffers() if n.endswith(name)]
            for buffer, array in zip(buffers, fixed(weights, name), strict=True):
                buffer.copy_(torch.from_numpy(array))

    def step(self, images, noise=None):
        images = training.on_device(images).permute(0, 3, 1, 2)
        if noise is None:
            noise = torch.rand(images.shape, device=training.DEVICE)
        else:
            noise = training.on_device(noise).permute(0, 3, 1, 2)
        if self.steps == 0:
            self.network.fit(images, noise)
        self.optimizer.zero_grad()
        loss = self.loss(images, noise)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 100.0)
        self.set_epsilon()
        self.optimizer.step()
        self.schedule.step()
        loss = loss.detach()
        return {"loss": loss, "bits_per_dimension": loss / (self.pixels * math.log(2))}

    def set_epsilon(self):
        """Kingma & Ba's faster form, which Keras computes, has a larger epsilon in early steps."""
        self.steps += 1
        for group in self.optimizer.param_groups:
            group["eps"] = 1e-3 / math.sqrt(1.0 - 0.999**self.steps)

    def synchronise(self):
        training.synchronise()
