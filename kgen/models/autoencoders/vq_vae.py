"""Vector-quantised variational autoencoder.

Aaron van den Oord, Oriol Vinyals, Koray Kavukcuoglu: Neural Discrete Representation Learning. 2017,
arXiv:1711.00937.

An encoder maps an image to a small grid of vectors z_e. Each z_e is replaced by the nearest vector
e of a learned codebook, which gives z_q. A decoder maps z_q to p(x|z_q) (equation 3):

    loss = -log p(x|z_q) + commitment |z_e - sg(e)|^2,    sg: stop_gradient

The gradient at z_q is copied to z_e ("straight-through"). The codebook has no gradient: each vector
e is an exponential moving average of the z_e nearest to it (appendix A.1). The codes of an image
are themselves an image of `codes` levels. A Gated PixelCNN of these, trained as a second stage, is
the prior p(z). The encoder is deterministic, so the two stages give a lower bound on the mass of an
image, comparable with the likelihoods of all other models:

    log p(x) >= log p(x|z_q(x)) + log p(z_q(x))

Deviations: a code that no z_e has chosen for `restart_after` steps, at first every code, restarts
at a random z_e of the batch, or most codes would never be used. Images of more than two levels have
a discretised logistic decoder, so that the bound is on a mass. Sizes are for a CPU: 128 codes of 16
numbers, 64 channels (paper: 512 of 64, 256 channels). `perplexity` is that of the moving average of
counts, over about a hundred batches: that of a single batch depends on the batch's size.
"""

import math
from typing import ClassVar, Literal

import keras
import numpy as np
from keras import layers, ops

from kgen import models
from kgen.bounds import (
    CodeCount,
    Count,
    Fraction,
    ImageShape,
    Levels,
    NoClasses,
    Number,
    Repeats,
    Scales,
    Weight,
)
from kgen.data import Split
from kgen.distributions import pixel_distribution
from kgen.inference import in_chunks, inference
from kgen.layers import Codebook, Conv2D, UpsampleConv, pyramid_sizes
from kgen.training import GivenLabels, ImageModel


@keras.saving.register_keras_serializable("kgen")
class VQVAE(GivenLabels, ImageModel):
    """Vector-quantised variational autoencoder (van den Oord et al. 2017).

    Aaron van den Oord, Oriol Vinyals, Koray Kavukcuoglu: Neural Discrete Representation Learning.
    2017, arXiv:1711.00937. `kgen.fit` then trains the prior p(z_q) as a second stage. Equation 3:

        loss = -log p(x|z_q) + commitment |z_e - sg(e)|^2

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel; Bernoulli pixels for 2, else discretised logistic ones.
        codes: number of vectors in the codebook.
        code_size: dimensions of each vector.
        halvings: how often the encoder halves the image; with 2, 28x28 pixels become 7x7 codes.
        base_channels: channels of the hidden layers.
        residual_blocks: number in the encoder, and in the decoder.
        commitment: weight of the distance of z_e from its code (paper: 0.25).
        decay: decay of the codebook's moving averages.
        restart_after: steps after which a code that no vector has chosen restarts.
        prior_features, prior_blocks: `features` and `blocks` of the Gated PixelCNN.
        classes: number of labels, 0..classes-1, given to the prior; 0 for none.

    Metrics: `loss` = `reconstruction` + `commitment_loss`, in nats per image; `perplexity`, the
    effective number of codes in use, from 1 to `codes`.
    """

    metric_names = ("loss", "reconstruction", "commitment_loss", "perplexity")
    likelihood = "bound"
    sampling = "sequential"
    averaged = ("encoder", "decoder")
    picture_arguments: ClassVar[dict] = {"mode": "median"}
    small_arguments: ClassVar[dict] = {
        **{"codes": 16, "code_size": 4, "halvings": 1, "base_channels": 8, "residual_blocks": 1},
        **{"prior_features": 6, "prior_blocks": 1, "classes": 10},
    }

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        codes: CodeCount = 128,
        code_size: Count = 16,
        halvings: Scales = 2,
        base_channels: Count = 64,
        residual_blocks: Repeats = 2,
        commitment: Weight = 0.25,
        decay: Fraction = 0.99,
        restart_after: Number = 200,
        prior_features: Count = 32,
        prior_blocks: Repeats = 4,
        classes: NoClasses = 0,
        **kwargs,
    ):
        self.classes = classes
        super().__init__(image_shape, levels, **kwargs)
        self.codes, self.code_size, self.halvings = codes, code_size, halvings
        self.base_channels, self.residual_blocks = base_channels, residual_blocks
        self.commitment, self.decay, self.restart_after = commitment, decay, restart_after
        self.prior_features, self.prior_blocks = prior_features, prior_blocks
        self.likelihood_distribution = pixel_distribution(levels)
        self.sizes = pyramid_sizes(self.image_shape, below=2)[: halvings + 1]  # 28, 14, 7
        self.encoder, self.decoder = self.build_encoder(), self.build_decoder()
        self.codebook = Codebook(codes, code_size, decay, restart_after)
        self.prior = models.create(
            "gated_pixelcnn",
            image_shape=(*self.sizes[-1], 1),
            levels=codes,
            features=prior_features,
            blocks=prior_blocks,
            classes=classes,
        )

    def stages(self):
        return [
            ("codes", self, lambda split: split),
            ("prior", self.prior, lambda split: Split(self.to_codes(split.x), split.condition)),
        ]

    def recommended_optimizer(self):
        return keras.optimizers.Adam(5e-4)

    # === Networks ===

    def build_encoder(self):
        x = inputs = layers.Input(self.image_shape)
        for _ in self.sizes[1:]:
            x = Conv2D(self.base_channels, 4, strides=2, padding="same", activation="relu")(x)
        x = self.residual_tower(x)
        return keras.Model(inputs, Conv2D(self.code_size, 1, dtype="float32")(x), name="encoder")

    def build_decoder(self):
        x = inputs = layers.Input((*self.sizes[-1], self.code_size))
        x = self.residual_tower(Conv2D(self.base_channels, 3, padding="same")(x))
        for size in reversed(self.sizes[1:-1]):
            x = UpsampleConv(self.base_channels, size, activation="relu")(x)
        outputs = self.image_shape[-1] * self.likelihood_distribution.parameters_per_value
        x = UpsampleConv(outputs, self.sizes[0], dtype="float32")(x)
        return keras.Model(inputs, x, name="decoder")

    def residual_tower(self, x):
        """Blocks x + W_1 relu(3x3 convolution of relu(x)), then a ReLU (section 4.1)."""
        for _ in range(self.residual_blocks):
            hidden = Conv2D(self.base_channels // 2 or 1, 3, padding="same", activation="relu")(
                layers.ReLU()(x)
            )
            x = layers.Add()([x, Conv2D(self.base_channels, 1)(hidden)])
        return layers.ReLU()(x)

    # === Training ===

    def objective(self, images, condition, training):
        encoded = self.encoder(self.scale(images), training=training)  # (n, h, w, code_size)
        vectors = ops.stop_gradient(ops.reshape(encoded, (-1, self.code_size)))
        if training:
            self.codebook.restart_unused(vectors, self.uniform((self.codes,)))
        chosen = self.codebook.nearest(vectors)
        quantised = ops.reshape(self.codebook.vectors_of(chosen), ops.shape(encoded))
        if training:
            self.codebook.update(vectors, chosen)
        commitment_loss = self.commitment * ops.mean(
            ops.sum((encoded - quantised) ** 2, axis=(1, 2, 3))
        )
        passed = encoded + ops.stop_gradient(quantised - encoded)  # straight-through
        parameters = self.decoder(passed, training=training)
        reconstruction = -ops.mean(self.likelihood_distribution.log_prob(images, parameters))
        terms = {"reconstruction": reconstruction, "commitment_loss": commitment_loss}
        return reconstruction + commitment_loss, {**terms, "perplexity": self.codebook.perplexity()}

    # === Inference ===

    def to_codes(self, images):
        """The codes of uint8 images, integers (n, rows, columns, 1): an image for the prior."""
        return in_chunks(self._to_codes, self.checked_items(images)).astype(self.prior.space.dtype)

    def from_codes(self, codes):
        """The medians of p(x|z_q) for codes: uint8 images (n, height, width, channels)."""
        return in_chunks(self._medians, self.prior.checked_items(codes))

    def reconstruct(self, images, condition=None):
        """Images decoded from the codes of uint8 images."""
        return self.from_codes(self.to_codes(images))

    def sample(
        self, count=None, condition=None, seed=None, mode: Literal["draw", "median"] = "draw"
    ):
        """`count` images decoded from codes drawn from the prior, uint8.

        Args:
            count, condition, seed: see `GenerativeModel.sample`.
            mode: "draw" draws x ~ p(x|z_q); "median" takes its median, as papers do in figures.
        """
        mode = self.sampling_arguments(mode=mode)["mode"]
        count, condition = self.to_sample(count, condition, noise=math.prod(self.image_shape))
        codes = self.prior.sample(count, condition, seed)
        if mode == "median":
            return self.from_codes(codes)
        generator = np.random.default_rng(None if seed is None else [seed, 1])
        uniform = generator.random((count, *self.image_shape), "float32")
        return in_chunks(self._draw, codes, uniform)

    def log_prob(self, images, condition=None):
        """log p(x|z_q(x)) + log p(z_q(x)), a lower bound of log p(x) in nats per image, (n,)."""
        images = self.checked_items(images)
        codes = self.to_codes(images)
        log_prior = self.prior.log_prob(codes, self.checked_condition(condition, len(images)))
        return in_chunks(self._log_prob, images, codes).astype("float64") + log_prior

    @inference
    def _to_codes(self, images):
        encoded = self.encoder(self.scale(images), training=False)
        chosen = self.codebook.nearest(ops.reshape(encoded, (-1, self.code_size)))
        return ops.reshape(chosen, (-1, *self.sizes[-1], 1))

    def parameters_of(self, codes):
        """The parameters of p(x|z_q), for codes (n, rows, columns, 1)."""
        return self.decoder(self.codebook.vectors_of(codes[..., 0]), training=False)

    @inference
    def _medians(self, codes):
        return self.likelihood_distribution.median(self.parameters_of(codes))

    @inference
    def _draw(self, codes, uniform):
        return self.likelihood_distribution.sample(self.parameters_of(codes), uniform)

    @inference
    def _log_prob(self, images, codes):
        return self.likelihood_distribution.log_prob(images, self.parameters_of(codes))
