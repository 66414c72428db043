"""EDM in PyTorch.

kgen computes nearest upsampling and the convolution after it as one transposed convolution.
"""

import math

import torch
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from . import torch_training as training
from . import trainable

GROUPS = 8


def group_norm(channels, **kwargs):
    return nn.GroupNorm(math.gcd(GROUPS, channels), channels, eps=1e-5, **kwargs)


class Attention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm = group_norm(channels)
        self.inputs = nn.Conv2d(channels, 3 * channels, 1)
        self.outputs = zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x):
        heads = self.inputs(self.norm(x)).flatten(2).transpose(1, 2)  # (n, pixels, 3 channels)
        attended = functional.scaled_dot_product_attention(*heads.chunk(3, dim=-1))
        return x + self.outputs(attended.transpose(1, 2).unflatten(2, x.shape[2:]))


class Block(nn.Module):
    def __init__(self, inputs, outputs, embedding_size, attends):
        super().__init__()
        self.first_norm = group_norm(inputs)
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.modulation = nn.Linear(embedding_size, 2 * outputs)
        self.second_norm = group_norm(outputs, affine=False)
        self.second = zero(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.attention = Attention(outputs) if attends else nn.Identity()
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x, embedding):
        h = self.first(functional.silu(self.first_norm(x)))
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        h = self.second(functional.silu(self.second_norm(h) * (1.0 + scale) + shift))
        return self.attention(h + self.skip(x))


class Halved(nn.Conv2d):
    def forward(self, x):
        height, width = x.shape[2:]
        return super().forward(functional.pad(x, (width % 2, 1, height % 2, 1)))


class Doubled(nn.Conv2d):
    def forward(self, x, size):
        x = functional.interpolate(x, scale_factor=2.0, mode="nearest")
        return super().forward(x)[:, :, : size[0], : size[1]]


class UNet(nn.Module):
    def __init__(self, channels, base_channels, multipliers, blocks, attention):
        super().__init__()
        widths, size = [base_channels * m for m in multipliers], 4 * base_channels
        coarsest = len(widths) - 1

        def block(inputs, level, attends=True):
            attends = attends and attention > coarsest - level
            return Block(inputs, widths[level], size, attends)

        self.first = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.halved, self.doubled = nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(widths):
            before, after = widths[max(level - 1, 0)], widths[min(level + 1, coarsest)]
            inputs = [before, *[width] * (blocks - 1)]
            self.down.append(nn.ModuleList([block(count, level) for count in inputs]))
            self.up.append(nn.ModuleList([block(2 * width, level) for _ in range(blocks)]))
            if level < coarsest:
                self.halved.append(Halved(width, width, 3, stride=2))
                self.doubled.append(Doubled(after, width, 3, padding=1))
        self.middle = nn.ModuleList(
            [block(widths[-1], coarsest), block(widths[-1], coarsest, attends=False)]
        )
        self.norm = group_norm(widths[0])
        self.last = zero(nn.Conv2d(widths[0], channels, 3, padding=1))
        self.embed = nn.Sequential(nn.Linear(size, size), nn.SiLU(), nn.Linear(size, size))
        frequencies = torch.logspace(-1.0, math.log10(16.0), size // 2)
        self.register_buffer("frequencies", frequencies)

    def forward(self, x, times):
        angles = times[:, None] * self.frequencies
        embedding = self.embed(torch.cat([angles.sin(), angles.cos()], dim=1))
        embedding = functional.silu(embedding)
        x, skips = self.first(x), []
        for level, blocks in enumerate(self.down):
            for block in blocks:
                x = block(x, embedding)
                skips.append(x)
            if level < len(self.halved):
                x = self.halved[level](x)
        for block in self.middle:
            x = block(x, embedding)
        for level in reversed(range(len(self.up))):
            for block in self.up[level]:
                x = block(torch.cat([x, skips.pop()], dim=1), embedding)
            if level:
                x = self.doubled[level - 1](x, skips[-1].shape[2:])
        return self.last(functional.silu(self.norm(x)))

    def in_order(self):
        """The modules in the order of kgen's variables."""
        return [
            *(self.first, self.down, self.halved, self.middle, self.up, self.doubled),
            *(self.norm, self.last, self.embed),
        ]


def zero(layer):
    nn.init.zeros_(layer.weight)
    return layer


def averaged(averages, weights, steps):
    """Exponential moving averages, warmed up."""
    kept = min(0.999, float(steps) / (float(steps) + 10.0))
    torch._foreach_lerp_(averages, weights, 1.0 - kept)


class Baseline:
    """See `benchmarks.native`."""

    def __init__(
        self,
        image_shape,
        levels,
        compiled=False,
        base_channels=32,
        multipliers=(1, 2, 2),
        blocks=1,
        attention=1,
    ):
        self.levels, self.sigma_data = levels, None
        channels = image_shape[-1]
        network = UNet(channels, base_channels, multipliers, blocks, attention)
        self.network = network.to(training.DEVICE)
        self.predict = torch.compile(self.network) if compiled else self.network
        self.average = AveragedModel(self.network, multi_avg_fn=averaged)
        self.parameters = [p for part in network.in_order() for p in part.parameters()]
        self.optimizer = torch.optim.Adam(self.parameters, 1e-3, eps=1e-7, fused=True)
        self.schedule = training.cosine_schedule(
            self.optimizer, 20_000, end=0.02, warm_up=500, start=0.01
        )

    def load(self, weights):
        training.load(self.parameters, trainable(weights))

    def step(self, images, *noise):
        images = training.on_device(images).permute(0, 3, 1, 2)  # (n, channels, height, width)
        if self.sigma_data is None:
            self.sigma_data = self.values(images, 0.5).square().mean().sqrt()
        if noise:
            place, first, noise = map(training.on_device, noise)
            place, noise = place.permute(0, 3, 1, 2), noise.permute(0, 3, 1, 2)
        else:
            place = torch.rand(images.shape, device=images.device)
            first, noise = torch.rand(1, device=images.device), torch.randn_like(place)
        loss = self.loss(self.values(images, place), first, noise)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.schedule.step()
        self.average.update_parameters(self.network)
        return {"loss": loss.detach()}

    def values(self, images, place):
        """Levels as floats from -1 to 1, at a place in each level's bin."""
        return (images.float() + place) * (2.0 / self.levels) - 1.0

    def loss(self, images, first, noise):
        """Mean squared error of the network's output."""
        count, data = len(images), self.sigma_data
        uniform = (first + torch.arange(count, device=images.device) / count) % 1.0
        normal = torch.special.ndtri(uniform.clamp(1e-6, 1.0 - 1e-6))
        sigma = torch.exp(-1.2 + 1.2 * normal) * (data / 0.5)
        level, sigma = sigma.log() / 4.0, sigma[:, None, None, None]
        scale = (sigma**2 + data**2).rsqrt()
        output = self.predict(scale * (images + sigma * noise), level)
        target = scale * (sigma / data * images - data * noise)
        return ((output - target) ** 2).mean()

    def synchronise(self):
        training.synchronise()
