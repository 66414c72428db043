"""The base class of flows: dequantisation, the bound, the multi-scale transform and its inverse.

Laurent Dinh, Jascha Sohl-Dickstein, Samy Bengio: Density estimation using Real NVP. 2017,
arXiv:1605.08803. Bound: Lucas Theis, Aaron van den Oord, Matthias Bethge: A note on the evaluation
of generative models. 2016, arXiv:1511.01844.

Dequantisation turns an image x of D discrete values into y = (x + u) / levels with u in [0, 1)^D. A
bijection f maps y to latents z ~ N(0, I). The mass P(x) of an image is the integral of the density
over its bin, so noise u ~ q(u|x), uniform by default, gives a lower bound:

    log P(x) >= E_q[ log N(f(y); 0, I) + log|det df/dy| - D log levels - log q(u|x) ]
"""

import math
from typing import ClassVar

import keras
import numpy as np
from keras import ops

from kgen import backend
from kgen.bounds import Temperature
from kgen.distributions import level_dtype, standard_normal_log_prob
from kgen.errors import KgenError
from kgen.inference import checked_latents, importance_weighted_bound, in_chunks, inference
from kgen.layers import ActNorm, AffineCoupling, Chain, squeezed_shape
from kgen.models.flows.dequantization import UniformDequantization, VariationalDequantization
from kgen.training import ImageModel


class Flow(ImageModel):
    """Base class of multi-scale flows; a model defines `steps(shape, last)`, those of one scale.

    Maximises a lower bound of the mass of an image x of D values, with the bijection f, noise
    u ~ q(u|x) in [0, 1)^D and y = (x + u) / levels:

        log P(x) >= E_q[ log N(f(y); 0, I) + log|det df/dy| - D log levels - log q(u|x) ]

    After each scale but the last, half of the channels become latents. A zero-initialised
    convolution of the other half gives the mean and the scale of their prior. The prior is applied
    as one more affine map, so that all latents are standard normal.

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel.
        scales: number of scales.
        base_channels: channels of the hidden layers of each network.
        dequantization: "uniform" or "variational".
    """

    metric_names = ("loss", "bits_per_dimension")
    likelihood = "bound"
    encodes = True
    decodes = True
    picture_arguments: ClassVar[dict] = {"temperature": 0.7}  # as in Kingma & Dhariwal
    squeezes_last = True  # whether the last scale squeezes 2x2 pixels into channels, too
    fewest_channels = 1  # that the last scale needs after its squeeze
    alpha = 0.05  # pixels become logits of alpha + (1 - 2 alpha) y, as in Dinh et al.

    def __init__(self, image_shape, levels, scales, base_channels, dequantization, **kwargs):
        super().__init__(image_shape, levels, **kwargs)
        self.scales = scales
        self.base_channels = base_channels
        self.dequantization = dequantization
        self.latent_size = math.prod(self.image_shape)
        self.dequantizer = UniformDequantization()
        if dequantization == "variational":
            self.dequantizer = VariationalDequantization(self.image_shape, levels, base_channels)
        self.initialised = self.add_weight(
            shape=(), dtype="bool", initializer="zeros", trainable=False, name="initialised"
        )

    def recommended_optimizer(self):
        """Adam with warm-up, then a cosine decay over 20,000 steps to a fiftieth of the rate.

        The warm-up: all couplings leave the identity at once. A large epsilon: after data-dependent
        initialisation some gradients are pure rounding noise, which Adam would scale to full steps.
        Length of the decay: benchmarks/records/flow-optimizer.md.
        """
        rate = keras.optimizers.schedules.CosineDecay(
            1e-5, decay_steps=20_000, alpha=0.02, warmup_target=1e-3, warmup_steps=200
        )
        return keras.optimizers.Adam(rate, epsilon=1e-3, global_clipnorm=100.0)

    def add_scales(self):
        """Build every scale; at the end of a subclass's `__init__`."""
        self._check_scales()
        self.chains, self.leaving = [], []  # per scale: its steps; the shape of its latents
        shape = self.image_shape
        for scale in range(self.scales):
            last = scale == self.scales - 1
            bijections, (*size, channels) = self.steps(shape, last)
            prior = (
                ActNorm(channels) if last else AffineCoupling((*size, channels), base_channels=0)
            )
            self.chains.append(Chain([*bijections, prior]))
            leaving = channels if last else channels // 2
            self.leaving.append((*size, leaving))
            shape = (*size, channels - leaving)

    def _check_scales(self):
        """Raise KgenError if a scale has too few channels to split; nothing is built yet."""
        fitting = [scales for scales in range(1, self.scales + 1) if self._has_channels(scales)]
        if self.scales in fitting:
            return
        size = "x".join(map(str, self.image_shape))
        if not fitting:
            raise KgenError(
                f"Expected images of even sides, or several channels, received {size}: resize them "
                "to even sides."
            )
        raise KgenError(
            f"Expected scales up to {fitting[-1]} for images of {size}, of which later scales have "
            f"no two channels to split, received {self.scales}: choose scales={fitting[-1]}."
        )

    def _has_channels(self, scales):
        shape = self.image_shape
        for scale in range(1, scales + 1):
            last = scale == scales
            *size, channels = self.shape_after_steps(shape, last)
            if channels < (self.fewest_channels if last else 2):
                return False
            shape = (*size, channels - channels // 2)
        return True

    def shape_after_steps(self, shape, last):
        """The shape of the outputs of `steps(shape, last)`, computed without building them."""
        return shape if last and not self.squeezes_last else squeezed_shape(shape)

    def steps(self, shape, last):
        """The bijections of a scale whose inputs have `shape`, and the shape of its outputs."""
        raise NotImplementedError(f"{type(self).__name__} defines no steps.")

    # === Training ===

    def train_step(self, data):
        images, _ = self.unpack(data)
        noise = self.uniform(ops.shape(images))
        self.initialise(images, noise)
        loss, terms = self.minimize(self.negative_bound, None, images, noise)
        return self.track(images, loss=loss, **terms)

    def objective(self, images, condition, training):
        return self.negative_bound(images, self.uniform(ops.shape(images)))

    def negative_bound(self, images, noise):
        loss = -ops.mean(self.log_weight(images, noise))
        return loss, {"bits_per_dimension": loss / (self.latent_size * math.log(2))}

    def log_weight(self, images, noise):
        """log p(y) - D log levels - log q(u|x), (n,); its mean over noise is at most log P(x)."""
        offsets, log_q = self.dequantizer.offsets(images, noise)
        values, log_det = self.to_logits(images, offsets)
        latents, change = self.transform(values)
        log_density = standard_normal_log_prob(latents) + log_det + change
        return log_density - self.latent_size * math.log(self.levels) - log_q

    def initialise(self, images, noise):
        """Data-dependent initialisation, before the first step only: fit actnorms to the batch."""
        variables = self.data_dependent_variables
        # The branches assign nothing: on JAX an assignment inside would be lost or leak a tracer.
        values = backend.cond(
            self.initialised.value,
            lambda: [ops.convert_to_tensor(variable) for variable in variables],
            lambda: self.data_dependent_init(images, noise),
        )
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        self.initialised.assign(True)

    @property
    def data_dependent_variables(self):
        return [variable for chain in self.chains for variable in chain.data_dependent_variables]

    def data_dependent_init(self, images, noise):
        """Values of the data-dependent variables with which this batch comes out normalised."""
        values, _ = self.to_logits(images, self.dequantizer.offsets(images, noise)[0])
        found = []
        for chain, (*_, leaving) in zip(self.chains, self.leaving, strict=True):
            values, new = chain.data_dependent_init(values)
            values = values[..., leaving:]
            found += new
        return found

    # === The bijection ===

    def to_logits(self, images, offsets):
        """Logits of images plus offsets in [0, 1], (n, h, w, c), and their log-determinant (n,)."""
        fractions = (ops.cast(images, "float32") + offsets) / self.levels
        fractions = self.alpha + (1.0 - 2.0 * self.alpha) * fractions
        low, high = ops.log(fractions), ops.log1p(-fractions)
        log_det = math.log(1.0 - 2.0 * self.alpha) - low - high
        return low - high, ops.sum(log_det, axis=(1, 2, 3))

    def to_images(self, logits):
        """The levels in whose bins the values lie; the nearest level outside all bins."""
        fractions = (ops.sigmoid(logits) - self.alpha) / (1.0 - 2.0 * self.alpha)
        images = ops.clip(ops.floor(fractions * self.levels), 0, self.levels - 1)
        return ops.cast(images, level_dtype(self.levels))

    def transform(self, values):
        """Latents (n, latent_size) of logits (n, h, w, c), and the log-determinant (n,)."""
        parts, total = [], 0.0
        for chain, shape in zip(self.chains, self.leaving, strict=True):
            values, log_det = chain.forward(values)
            parts.append(ops.reshape(values[..., : shape[-1]], (-1, math.prod(shape))))
            values = values[..., shape[-1] :]  # no channel after the last scale
            total = total + log_det
        return ops.concatenate(parts, axis=-1), total

    def inverse_transform(self, latents):
        """Logits (n, h, w, c) of latents (n, latent_size)."""
        ends = np.cumsum([math.prod(shape) for shape in self.leaving])
        values = None
        for chain, shape, end in reversed(list(zip(self.chains, self.leaving, ends, strict=True))):
            part = ops.reshape(latents[:, end - math.prod(shape) : end], (-1, *shape))
            values = part if values is None else ops.concatenate([part, values], axis=-1)
            values = chain.inverse(values)
        return values

    # === Inference ===

    def sample(self, count=None, condition=None, seed=None, temperature: Temperature = 1.0):
        """`count` images of latents z ~ N(0, temperature^2 I), uint8.

        Temperature 1 draws from the distribution that `log_prob` scores. Papers show samples at
        about 0.7 (Kingma & Dhariwal 2018, section 6). At 0 all samples are the image of z = 0.
        """
        noise = 2 * self.latent_size  # twice: times temperature
        count, condition = self.to_sample(count, condition, noise)
        generator = np.random.default_rng(seed)
        latents = generator.standard_normal((count, self.latent_size), "float32")
        return self.decode(np.float32(temperature) * latents, condition)

    def log_prob(self, images, condition=None, samples=1, seed=None):
        """The importance-weighted lower bound of log P(x) in nats per image, (n,).

        With k = `samples` draws u_1..u_k from q(u|x): log 1/k sum_k exp(log_weight(x, u_k)). Its
        mean rises with k.
        """
        images = self.checked_items(images)
        generator = np.random.default_rng(seed)

        def noise(samples, images):
            return generator.random((samples, images, *self.image_shape), "float32")

        condition = self.checked_condition(condition, len(images))
        return importance_weighted_bound(self._log_weights, samples, noise, images, condition)

    def encode(self, images, condition=None):
        """Latents f(y) for the centre of every pixel's bin, u = 0.5: float32 (n, latent_size)."""
        images = self.checked_items(images)
        return in_chunks(self._encode, images, self.checked_condition(condition, len(images)))

    latents = encode

    def decode(self, latents, condition=None):
        """The uint8 images of latents (n, latent_size); `decode(encode(images))` are the images."""
        latents = checked_latents(latents, self.latent_size)
        return in_chunks(self._decode, latents, self.checked_condition(condition, len(latents)))

    def reconstruct(self, images, condition=None):
        """Encode and decode: returns the same images, as long as float32 resolves the bins."""
        return self.decode(self.encode(images, condition), condition)

    @inference
    def _encode(self, images, condition=None):
        return self.transform(self.to_logits(images, 0.5)[0])[0]

    @inference
    def _decode(self, latents, condition=None):
        return self.to_images(self.inverse_transform(latents))

    @inference
    def _log_weights(self, images, noise, condition=None):
        samples = ops.shape(noise)[0]
        images = ops.broadcast_to(images, ops.shape(noise))  # (k, n, h, w, c)
        flat = (ops.reshape(part, (-1, *self.image_shape)) for part in (images, noise))
        return ops.reshape(self.log_weight(*flat), (samples, -1))  # (k, n)
