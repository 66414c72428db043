"""The base class of diffusion and flow matching models.

A path adds noise to an image x, from nothing to nothing but noise:

    x_t = alpha_t x + sigma_t eps,   eps ~ N(0, I)

A network learns to predict from x_t, t and the condition what undoes it. Sampling begins with
noise and follows the path back in steps. Three parts that know nothing of each other: the path
(`paths.py`), what the network predicts (`predictions.py`) and the sampler (`samplers.py`).
"""

import math
from typing import Annotated, ClassVar, Literal

import keras
from keras import ops

from kgen.bounds import Bounds, Count, Fraction, ImageShape, Levels, Multipliers, NoCount, Repeats
from kgen.distributions import level_dtype
from kgen.layers import ConditionEmbedding, TimeEmbedding, UNet
from kgen.models.diffusion import samplers
from kgen.models.diffusion.generation import Generation
from kgen.training import Given, ImageModel

Guidance = Annotated[float, Bounds(0, 100)]
Sampler = Literal["heun", "ddim", "dpm_solver++", "ancestral"]


class Diffusion(Generation, Given, ImageModel):
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
        noise_path: a `Path`. (Keras' layers have a `path` of their own.)
        prediction: one of `predictions.py`.
        prior_deviation: standard deviation of the noise that sampling begins with.
        dequantized: whether pixels are modelled as (level + u) / levels, u in [0, 1).
        clips: whether predicted images are clipped to [-1, 1].
        outputs_per_channel: of the network.
        highest_frequency: of the embedding of `noise_level`, see `TimeEmbedding`.
    """

    small_arguments: ClassVar[dict] = {
        "base_channels": 8,
        "multipliers": (1,),
        "attention": 0,
        "classes": 10,
    }
    metric_names = ("loss",)
    likelihood = "bound"
    likelihood_images, likelihood_samples = 50, 2  # each takes hundreds of network evaluations
    sampling = "iterative"
    encodes = True
    decodes = True
    can_complete = True
    dequantized = False
    clips = False
    prior_deviation = 1.0
    outputs_per_channel = 1
    highest_frequency = 1000.0

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        base_channels: Count = 32,
        multipliers: Multipliers = (1, 2, 2),
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
        self.time_embedding = TimeEmbedding(4 * base_channels, self.highest_frequency)
        self.condition_embedding = None
        if self.condition_space is not None:
            self.condition_embedding = ConditionEmbedding(
                self.condition_space, 4 * base_channels, text_encoder=self.text_encoder
            )

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
        point = self.noise_path.at(ops.reshape(time, (-1, 1, 1, 1)))
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
        return ops.cast(self.condition_embedding(condition, dropped), "float32")

    def output(self, x, point, embedded, guidance=1.0, training=False):
        """The network's output F for x at a point of the path.

        Args:
            x: (n, height, width, channels).
            point: a `Point`; its parts are scalars, or have one entry for each item.
            embedded: (n, size); or a pair of these, the condition's and the null embedding, with
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
        if not isinstance(embedded, tuple):
            return self.unet(inputs, embedding + embedded, training=training)
        twice = ops.concatenate([inputs, inputs], axis=0)
        embedding = ops.concatenate([embedding + part for part in embedded], axis=0)
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
