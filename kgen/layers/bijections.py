"""Bijections of images with tractable log-determinants: the steps of normalizing flows.

Every bijection has two methods: `forward(x) -> (y, log|det dy/dx|)`, the log-determinant of shape
(n,), and `inverse(y) -> x`. Both compute in float32 under any dtype policy, because the two
directions must agree. Only the hidden layers of a coupling's network follow the policy.
"""

import keras
import numpy as np
from keras import layers, ops

from kgen.layers.convolution import Conv2D

LARGEST_LOG_SCALE = 2.0  # of one coupling, a factor of exp(2) = 7.4: inverses stay accurate


class Bijection(layers.Layer):
    """Base class of the steps of a flow; a subclass creates every variable in `__init__`.

    Attributes:
        data_dependent_variables: variables that the first batch initialises, with the values that
            `data_dependent_init` returns.
    """

    data_dependent_variables = ()

    def __init__(self, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.built = True  # the subclass has created every variable

    def forward(self, inputs):
        raise NotImplementedError(f"{type(self).__name__} defines no forward.")

    def inverse(self, outputs):
        raise NotImplementedError(f"{type(self).__name__} defines no inverse.")

    def data_dependent_init(self, inputs):
        """Data-dependent initialisation: outputs for `inputs`, and the variables' new values."""
        return self.forward(inputs)[0], []


class Chain(Bijection):
    """The composition of bijections, the first one applied first."""

    def __init__(self, bijections):
        super().__init__()
        self.bijections = bijections

    @property
    def data_dependent_variables(self):
        return [variable for part in self.bijections for variable in part.data_dependent_variables]

    def forward(self, inputs):
        total = zero_per_image(inputs)
        for bijection in self.bijections:
            inputs, log_det = bijection.forward(inputs)
            total = total + log_det
        return inputs, total

    def inverse(self, outputs):
        for bijection in reversed(self.bijections):
            outputs = bijection.inverse(outputs)
        return outputs

    def data_dependent_init(self, inputs):
        values = []
        for bijection in self.bijections:
            inputs, new = bijection.data_dependent_init(inputs)
            values += new
        return inputs, values


class Squeeze(Bijection):
    """Moves blocks of 2x2 pixels into channels: (n, h, w, c) -> (n, h/2, w/2, 4c)."""

    def forward(self, inputs):
        height, width, channels = inputs.shape[1:]
        blocks = ops.reshape(inputs, (-1, height // 2, 2, width // 2, 2, channels))
        blocks = ops.transpose(blocks, (0, 1, 3, 2, 4, 5))  # (n, h/2, w/2, 2, 2, c)
        outputs = ops.reshape(blocks, (-1, height // 2, width // 2, 4 * channels))
        return outputs, zero_per_image(inputs)

    def inverse(self, outputs):
        height, width, channels = outputs.shape[1:]
        blocks = ops.reshape(outputs, (-1, height, width, 2, 2, channels // 4))
        blocks = ops.transpose(blocks, (0, 1, 3, 2, 4, 5))  # (n, h, 2, w, 2, c/4)
        return ops.reshape(blocks, (-1, 2 * height, 2 * width, channels // 4))


def squeezing(shape):
    """([Squeeze()], its output shape) for images of `shape`; ([], `shape`) if a side is odd."""
    squeezed = squeezed_shape(shape)
    return [] if squeezed == tuple(shape) else [Squeeze()], squeezed


def squeezed_shape(shape):
    """(height / 2, width / 2, 4 * channels); `shape` itself if a side is odd."""
    height, width, channels = shape
    if height % 2 or width % 2:
        return tuple(shape)
    return height // 2, width // 2, 4 * channels


class ActNorm(Bijection):
    """y = (x + bias) exp(log_scale) per channel.

    `data_dependent_init` gives a batch mean 0 and variance 1.
    """

    def __init__(self, channels):
        super().__init__()
        self.bias = self.add_weight(shape=(channels,), initializer="zeros", name="bias")
        self.log_scale = self.add_weight(shape=(channels,), initializer="zeros", name="log_scale")

    @property
    def data_dependent_variables(self):
        return [self.bias, self.log_scale]

    def forward(self, inputs):
        height, width = inputs.shape[1:3]
        log_det = height * width * ops.sum(self.log_scale) + zero_per_image(inputs)
        return (inputs + self.bias) * ops.exp(self.log_scale), log_det

    def inverse(self, outputs):
        return outputs * ops.exp(-self.log_scale) - self.bias

    def data_dependent_init(self, inputs):
        bias = -ops.mean(inputs, axis=(0, 1, 2))
        log_scale = -ops.log(ops.std(inputs, axis=(0, 1, 2)) + 1e-6)  # a channel may be constant
        return (inputs + bias) * ops.exp(log_scale), [bias, log_scale]


class InvertibleConv(Bijection):
    """Invertible 1x1 convolution by W = P L (U + diag(s)), initialised as a random rotation.

    P is a fixed permutation. L is lower triangular with ones on the diagonal, U upper triangular
    with zeros on it. The signs of s are fixed. So log|det W| = sum(log|s|), and W is inverted by
    solving two triangular systems. No determinant is computed: XLA could not compile it.
    """

    def __init__(self, channels):
        super().__init__()
        # Variables first: `kgen.load` refuses a bad file before memory and time are spent.
        self.permutation = self._add("permutation", channels, channels, trainable=False)
        self.sign = self._add("sign", channels, trainable=False)
        self.lower = self._add("lower", channels, channels)  # used below the diagonal only
        self.upper = self._add("upper", channels, channels)  # used above it only
        self.log_scale = self._add("log_scale", channels)
        # Drawn by NumPy, which `kgen.set_seed` seeds: the same permutation on every backend.
        rotation, _ = np.linalg.qr(np.random.standard_normal((channels, channels)))
        permutation, lower, upper = lu_decomposition(rotation)
        scale = np.diag(upper)
        self.permutation.assign(permutation)
        self.sign.assign(np.sign(scale))
        self.lower.assign(lower)
        self.upper.assign(np.triu(upper, 1))
        self.log_scale.assign(np.log(np.abs(scale)))

    def _add(self, name, *shape, trainable=True):
        return self.add_weight(shape=shape, trainable=trainable, name=name)

    def factors(self):
        """The factors P, L and U + diag(s) of W, each (c, c)."""
        channels = self.sign.shape[0]
        identity = ops.eye(channels)
        below = ops.convert_to_tensor(np.tri(channels, k=-1, dtype="float32"))
        lower = self.lower * below + identity
        upper = self.upper * ops.transpose(below) + self.sign * ops.exp(self.log_scale) * identity
        return ops.convert_to_tensor(self.permutation), lower, upper

    def forward(self, inputs):
        height, width = inputs.shape[1:3]
        permutation, lower, upper = self.factors()
        weights = permutation @ lower @ upper
        log_det = height * width * ops.sum(self.log_scale) + zero_per_image(inputs)
        return pixelwise(inputs, weights), log_det

    def inverse(self, outputs):
        permutation, lower, upper = self.factors()
        solved = ops.solve_triangular(lower, ops.transpose(permutation), lower=True)
        weights = ops.solve_triangular(upper, solved)  # (U + diag(s))^-1 L^-1 P^T
        return pixelwise(outputs, weights)


def pixelwise(images, weights):
    """The product W x with the channels x of every pixel.

    Not `ops.matmul`: on TensorFlow 2.21 with oneDNN, the default on processors with AVX-512, its
    product of four axes with two writes beyond its memory (tensorflow/issues/117700).
    """
    return ops.tensordot(images, weights, axes=[[3], [1]])


class AffineCoupling(Bijection):
    """Affine coupling of channels: y_a = x_a exp(log_scale(x_b)) + shift(x_b), y_b = x_b.

    One network computes log_scale and shift.

    Args:
        shape: (height, width, channels) of the images, 2 channels or more.
        base_channels: channels of the network's hidden layers; 0 for a single convolution.
        changes: which half of the channels is x_a, "first" or "last".
    """

    def __init__(self, shape, base_channels, changes="first"):
        super().__init__()
        *size, channels = shape
        self.parts = channels // 2, channels - channels // 2
        if changes == "last":
            self.parts = self.parts[::-1]
        self.changes = changes
        changed, seen = self.parts
        self.network = coupling_network((*size, seen), 2 * changed, base_channels)

    def forward(self, inputs):
        changed, seen = self._split(inputs)
        log_scale, shift = self._affine(seen)
        outputs = self._join(changed * ops.exp(log_scale) + shift, seen)
        return outputs, ops.sum(log_scale, axis=(1, 2, 3))

    def inverse(self, outputs):
        changed, seen = self._split(outputs)
        log_scale, shift = self._affine(seen)
        return self._join((changed - shift) * ops.exp(-log_scale), seen)

    def _affine(self, seen):
        raw, shift = ops.split(self.network(seen), 2, axis=-1)
        return bounded(raw), shift

    def _split(self, images):
        changed, seen = self.parts
        if self.changes == "first":
            return images[..., :changed], images[..., changed:]
        return images[..., seen:], images[..., :seen]

    def _join(self, changed, seen):
        parts = (changed, seen) if self.changes == "first" else (seen, changed)
        return ops.concatenate(parts, axis=-1)


class CheckerboardCoupling(Bijection):
    """Affine coupling of pixels: x_a is one colour of a checkerboard, x_b the other.

    Args:
        shape: (height, width, channels) of the images, 2 pixels or more.
        base_channels: channels of the network's hidden layers.
        colour: x_a is the pixels whose row + column is even (0) or odd (1).
        conditions: number of channels of further images that the network sees, too.
    """

    def __init__(self, shape, base_channels, colour, conditions=0):
        super().__init__()
        rows, columns, channels = shape
        self.size, self.colour = (rows, columns), colour
        seen = (rows, columns, channels + conditions)
        self.network = coupling_network(seen, 2 * channels, base_channels)

    def forward(self, inputs, *conditions):
        log_scale, shift = self._affine(inputs, conditions)
        return inputs * ops.exp(log_scale) + shift, ops.sum(log_scale, axis=(1, 2, 3))

    def inverse(self, outputs, *conditions):
        log_scale, shift = self._affine(outputs, conditions)
        return (outputs - shift) * ops.exp(-log_scale)

    def changed(self):
        """The mask of x_a: 1.0 for pixels that change, else 0.0; float32 (height, width, 1)."""
        rows, columns = np.ogrid[: self.size[0], : self.size[1]]
        return ((rows + columns) % 2 == self.colour).astype("float32")[:, :, None]

    def _affine(self, images, conditions):
        changed = ops.convert_to_tensor(self.changed())  # not an attribute: images may be large
        seen = ops.concatenate([images * (1.0 - changed), *conditions], axis=-1)
        raw, shift = ops.split(self.network(seen), 2, axis=-1)
        return bounded(raw) * changed, shift * changed


def bounded(raw):
    """A log-scale in [-LARGEST_LOG_SCALE, LARGEST_LOG_SCALE]; about `raw` where that is small."""
    return LARGEST_LOG_SCALE * ops.tanh(raw / LARGEST_LOG_SCALE)


def zero_per_image(images):
    """Zeros (n,); add a log-determinant that is equal for all images to them."""
    return ops.zeros((ops.shape(images)[0],))


def coupling_network(shape, outputs, base_channels):
    """Convolutions 3x3, 1x1, 3x3 (without base_channels one 3x3); the last one is all zeros."""
    network = keras.Sequential([layers.Input(shape)])
    for size in (3, 1) if base_channels else ():
        hidden = Conv2D(
            base_channels, size, padding="same", activation="relu", kernel_initializer="he_normal"
        )
        network.add(hidden)
    network.add(Conv2D(outputs, 3, padding="same", kernel_initializer="zeros", dtype="float32"))
    return network


def lu_decomposition(matrix):
    """P, L, U with `matrix` = P L U, by Gaussian elimination with partial pivoting."""
    size = len(matrix)
    upper, lower, order = matrix.copy(), np.zeros_like(matrix), np.arange(size)
    for step in range(size):
        pivot = step + np.argmax(np.abs(upper[step:, step]))
        for rows in (upper, lower, order):
            rows[[step, pivot]] = rows[[pivot, step]]
        lower[step + 1 :, step] = upper[step + 1 :, step] / upper[step, step]
        upper[step + 1 :] -= np.outer(lower[step + 1 :, step], upper[step])
    return np.eye(size)[:, order], lower + np.eye(size), upper
