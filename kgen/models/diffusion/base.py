"""The base class of diffusion and flow matching models.

A path adds noise to an image x, from nothing to nothing but noise:

    x_t = alpha_t x + sigma_t eps,   eps ~ N(0, I)

A network learns to predict from x_t, t and the condition what undoes it. Sampling begins with
noise and follows the path back in steps. Three parts that know nothing of each other: the path
(`paths.py`), what the network predicts (`predictions.py`) and the sampler (`samplers.py`).
"""

import functools
import math
from typing import Annotated, ClassVar, Literal

import keras
import numpy as np
from keras import ops

from kgen.bounds import Bounds, Count, Fraction, ImageShape, Levels, NoCount, Number, Repeats
from kgen.distributions import level_dtype
from kgen.layers import ConditionEmbedding, TimeEmbedding, UNet
from kgen.models.diffusion import samplers
from kgen.training import Given, ImageModel, in_chunks, inference, iterated

Guidance = Annotated[float, Bounds(0, 100)]
Sampler = Literal["heun", "ddim", "dpm_solver++", "ancestral"]


class Diffusion(Given, ImageModel):
    """Base class of diffusion models, of images, unconditional or given labels, attributes or text.

    Minimises the squared error of the network F, with the target that `prediction` defines:

        E_{x, t, eps} |F(x_t, t, condition) - target|^2,   x_t = alpha_t x + sigma_t eps

    A subclass sets the attributes and defines `draw_times`, `noise_level`, `times` and `sample`.

    Guidance (Ho & Salimans 2022, arXiv:2207.12598): in training the condition of an item is
    dropped with probability `drop`; sampling follows F(nothing) + guidance (F(condition) -
    F(nothing)). So guidance 1 is plain conditional sampling and 0 unconditional; the paper's w is
    guidance - 1.

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel.
        base_channels: channels at full resolution.
        multipliers: of these channels, one for each resolution; each further one is half as large.
        blocks: residual blocks for each resolution.
        attention: resolutions with self-attention, counted from the coarsest one.
        dropout: of the residual blocks.
        drop: fraction of items whose condition is dropped in training.
        ema: decay of the average of the weights that sampling uses.
        kwargs: classes, attributes, words and length, what is given, see `Given`.

    Attributes:
        path: a `Path`.
        prediction: one of `predictions.py`.
        prior_deviation: standard deviation of the noise that sampling begins with.
        dequantized: whether pixels are modelled as (level + u) / levels, u in [0, 1).
        clips: whether predicted images are clipped to [-1, 1].
    """

    small_arguments: ClassVar[dict] = {
        "base_channels": 8,
        "multipliers": (1, 2),
        "attention": 0,
        "classes": 10,
    }
    metric_names = ("loss",)
    likelihood = "bound"
    sampling = "iterative"
    encodes = True
    decodes = True
    can_complete = True
    dequantized = False
    clips = False
    prior_deviation = 1.0
    outputs_per_channel = 1

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        base_channels: Count = 32,
        multipliers: tuple[Count, ...] = (1, 2, 2),
        blocks: Repeats = 1,
        attention: NoCount = 1,
        dropout: Fraction = 0.0,
        drop: Fraction = 0.1,
        ema: Fraction = 0.999,
        **kwargs,
    ):
        self.base_channels, self.multipliers, self.blocks = base_channels, multipliers, blocks
        self.attention, self.dropout, self.drop = attention, dropout, drop
        super().__init__(image_shape, levels, ema=ema, **kwargs)
        self.latent_size = math.prod(self.image_shape)
        channels = self.image_shape[-1]
        self.unet = UNet(
            self.image_shape,
            base_channels,
            multipliers,
            blocks,
            attention,
            embedding_size=4 * base_channels,
            outputs=self.outputs_per_channel * channels,
            dropout=dropout,
        )
        self.time_embedding = TimeEmbedding(4 * base_channels)
        self.condition_embedding = None
        if self.condition_space is not None:
            self.condition_embedding = ConditionEmbedding(self.condition_space, 4 * base_channels)

    # === What a subclass defines ===

    def draw_times(self, uniform):
        """Times of the path for training, from numbers in [0, 1): (n,) -> (n,)."""
        raise NotImplementedError(f"{type(self).__name__} draws no times.")

    def noise_level(self, point):
        """What tells the network the time: a number from 0 to 1, roughly."""
        return point.time

    def times(self, steps):
        """The times of sampling in so many steps, from noise to image: NumPy (steps + 1,)."""
        raise NotImplementedError(f"{type(self).__name__} has no times.")

    def inversion_times(self, steps):
        """The times of `encode`, from image to noise; of the image as near as the network knows."""
        return self.times(steps)[-2::-1]

    # === Training ===

    def recommended_optimizer(self):
        """Adam with warm-up, then a cosine decay over 20,000 steps."""
        rate = keras.optimizers.schedules.CosineDecay(
            1e-5, decay_steps=20_000, alpha=0.02, warmup_target=1e-3, warmup_steps=500
        )
        return keras.optimizers.Adam(rate, global_clipnorm=1.0)

    def objective(self, images, condition, training):
        image = self.values_of(images, self.uniform)
        time = self.draw_times(self.spread_uniform(ops.shape(image)[0]))
        point = self.path.at(ops.reshape(time, (-1, 1, 1, 1)))
        noise = self.normal(ops.shape(image))
        noisy = point.alpha * image + point.sigma * noise
        output = self.output(noisy, point, self.embed(condition, training), training=training)
        target = self.prediction.target(image, noise, point.alpha, point.sigma)
        return ops.mean((output - target) ** 2), {}

    def spread_uniform(self, count):
        """Numbers (count,) in [0, 1), each uniform, that lie evenly spaced.

        Times so drawn lower the variance of the loss (Kingma et al. 2021, arXiv:2107.00630,
        appendix I.1).
        """
        first = self.uniform((1,))
        offsets = ops.arange(count, dtype="float32") / ops.cast(count, "float32")
        return ops.mod(first + offsets, 1.0)

    def values_of(self, images, uniform=None):
        """Images of levels as floats in [-1, 1].

        Args:
            images: (n, height, width, channels).
            uniform: shape -> noise in [0, 1), the place in a pixel's bin; None for its centre. Used
                by dequantized models only.
        """
        if not self.dequantized:
            return self.scale(images)
        place = 0.5 if uniform is None else uniform(ops.shape(images))
        return (ops.cast(images, "float32") + place) * (2.0 / self.levels) - 1.0

    def images_of(self, values):
        """Floats as levels: the nearest one, or the one in whose bin a value lies."""
        if not self.dequantized:
            return self.to_levels(values)
        levels = ops.floor((values + 1.0) * (0.5 * self.levels))
        return ops.cast(ops.clip(levels, 0, self.levels - 1), level_dtype(self.levels))

    def embed(self, condition, training=False):
        """The embedding of a condition (n, size); None where nothing is given."""
        if self.condition_embedding is None:
            return None
        dropped = None
        if training and self.drop:
            dropped = self.uniform(ops.shape(keras.tree.flatten(condition)[0])[:1]) < self.drop
        return self.condition_embedding(condition, dropped)

    def output(self, x, point, embedded, guidance=1.0, training=False):
        """The network's output F for x at a point of the path.

        Args:
            x: (n, height, width, channels).
            point: a `Point`; its parts are scalars, or have one entry for each item.
            embedded: (n, size); or (2 n, size), then with the null embedding in the second half and
                guidance between the two; or None.
            guidance: weight of the condition.
            training: whether dropout is on.
        """
        count = ops.shape(x)[0]
        level = ops.reshape(ops.cast(self.noise_level(point), "float32"), (-1,))
        embedding = self.time_embedding(ops.broadcast_to(level, (count,)))
        inputs = self.prediction.input_scale(point.sigma) * x
        if embedded is None:
            return self.unet(inputs, embedding, training=training)
        if embedded.shape[0] == x.shape[0]:
            return self.unet(inputs, embedding + embedded, training=training)
        twice = ops.concatenate([inputs, inputs], axis=0)
        embedding = ops.concatenate([embedding, embedding], axis=0) + embedded
        given, free = ops.split(self.unet(twice, embedding, training=training), 2, axis=0)
        return free + guidance * (given - free)

    def denoise(self, x, point, embedded, guidance=1.0):
        """What `samplers.Denoised` holds, from x at a point of the path."""
        return self.interpreted(self.output(x, point, embedded, guidance), x, point)

    def interpreted(self, output, x, point):
        """`samplers.Denoised` of the network's output for x at a point."""
        image, noise = self.prediction.image_and_noise(output, x, point.alpha, point.sigma)
        if self.clips:
            image = ops.clip(image, -1.0, 1.0)
            noise = (x - point.alpha * image) / point.sigma
        return samplers.Denoised(image, noise)

    # === Inference ===

    def generate(self, start, condition, schedule, sampler, seed=None, noisy=None, known=None):
        """Run a sampler: float32 like `start`, the values at the schedule's last point.

        Args:
            start: (n, height, width, channels), at the schedule's first point.
            condition: checked, of n rows, or None.
            schedule: see `samplers.schedule_of`.
            sampler: a key of `samplers.STEPS`.
            seed: of noise that is added in the steps.
            noisy: whether the steps add noise; None for the sampler's own kind.
            known: {"values", "mask"}: outside of the mask pixels keep to the path of known values.
        """
        guidance = float(schedule[0, -1])
        noisy = sampler in samplers.NOISY if noisy is None else noisy
        block = functools.partial(
            self._block, sampler=sampler, mode=_mode(guidance, condition is not None)
        )
        given = {"condition": condition} if known is None else {"condition": condition, **known}
        return iterated(block, start, schedule, seed, given, noisy)

    def sampled(self, count, condition, seed, sampler, schedule, noisy=None):
        """Images (count, height, width, channels) of levels, along a schedule."""
        count, condition = self.to_sample(count, condition, noise=2 * self.latent_size)
        start = self.first_noise(count, seed)
        values = self.generate(start, condition, schedule, sampler, seed, noisy)
        return in_chunks(self._images, values)

    def first_noise(self, count, seed):
        """The noise that sampling begins with, float32 (count, height, width, channels)."""
        noise = np.random.default_rng(seed).standard_normal((count, *self.image_shape), "float32")
        return np.float32(self.prior_deviation) * noise

    def encode(self, images, condition=None, steps: Number = 50):
        """Latents of images: the noise from which deterministic sampling returns to them.

        The probability flow is followed from the image to the noise (Song et al. 2020,
        arXiv:2010.02502, section 4.3). The error of `decode(encode(images))` falls with `steps`.

        Args:
            images: uint8 (n, height, width, channels).
            condition: n rows, in a conditional model.
            steps: of Heun's method.

        Returns:
            float32 (n, height * width * channels), about standard normal.
        """
        images = self.checked_items(images)
        condition = self.checked_condition(condition, len(images))
        values = in_chunks(self._values, images)
        schedule = samplers.schedule_of(self.path, self.inversion_times(steps))
        x = self.generate(values, condition, schedule, "heun")
        return x.reshape(len(x), -1) / np.float32(self.prior_deviation)

    latents = encode

    def decode(self, latents, condition=None, steps: Number = 50):
        """The images of latents (n, latent_size): deterministic sampling by Heun's method."""
        x = np.asarray(latents, "float32").reshape(-1, *self.image_shape)
        condition = self.checked_condition(condition, len(x))
        schedule = samplers.schedule_of(self.path, self.times(steps))
        x = self.generate(np.float32(self.prior_deviation) * x, condition, schedule, "heun")
        return in_chunks(self._images, x)

    def reconstruct(self, images, condition=None, steps: Number = 50):
        """Encode and decode: the images again, up to the error of the steps."""
        return self.decode(self.encode(images, condition, steps), condition, steps)

    def complete(
        self,
        images,
        mask,
        condition=None,
        seed=None,
        steps: Number = 18,
        repeats: Repeats = 4,
    ):
        """Fill in images: the pixels where `mask` is True are drawn anew, given all others.

        After each step the known pixels are replaced by known values with the noise of that time,
        and each step is taken `repeats` times, so that the two parts fit (Lugmayr et al. 2022,
        arXiv:2201.09865). The draw is approximate; more repeats make it better.

        Args:
            images: uint8 (n, height, width, channels); values where `mask` is True are ignored.
            mask: bool (height, width) or (n, height, width).
            condition: for a conditional model, n rows.
            seed: equal seeds give equal images.
            steps: of DDIM.
            repeats: of each step.

        Raises:
            KgenError: for images or a mask of another dtype or shape.
        """
        known, mask = self.checked_known(images, mask)
        condition = self.checked_condition(condition, len(known))
        schedule = samplers.repeated_schedule(self.path, self.times(steps), repeats)
        given = {"values": in_chunks(self._values, known), "mask": mask[..., None]}
        x = self.first_noise(len(known), seed)
        x = self.generate(x, condition, schedule, "ddim", seed, noisy=True, known=given)
        return np.where(mask[..., None], in_chunks(self._images, x), known)

    @inference
    def _values(self, images):
        return self.values_of(images)

    @inference
    def _images(self, values):
        return self.images_of(values)

    @inference
    def _block(self, x, schedule, noise, given, *, sampler, mode):
        """Some steps of a sampler, see `iterated`."""
        embedded = self.embedded_for(given["condition"], mode)
        denoise = functools.partial(self.denoise, embedded=embedded, guidance=schedule[0, -1])
        step = samplers.STEPS[sampler]
        if "mask" in given:
            step = samplers.keeping(step, given["values"], given["mask"])
        return samplers.run(step, denoise, self.path, x, schedule, noise)

    def embedded_for(self, condition, mode):
        """The embedding that `output` takes for a mode of guidance, see `_mode`."""
        if mode == "none":
            return None
        count = ops.shape(keras.tree.flatten(condition)[0])[:1]
        free = self.condition_embedding(condition, ops.ones(count, "bool"))
        if mode == "free":
            return free
        given = self.embed(condition)
        return given if mode == "given" else ops.concatenate([given, free], axis=0)


def _mode(guidance, conditional):
    """ "none", "given", "free" (of the condition) or "both"."""
    if not conditional:
        return "none"
    return {1.0: "given", 0.0: "free"}.get(guidance, "both")
