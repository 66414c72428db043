"""Two-dimensional LSTM layers: Row LSTM and Diagonal BiLSTM.

Aaron van den Oord, Nal Kalchbrenner, Koray Kavukcuoglu: Pixel Recurrent Neural Networks. 2016,
arXiv:1601.06759, sections 3.1 to 3.3.

A state (hidden h, cell c) follows from the states before it and the input x (equation 3), where K
sees no future pixel:

    o, f, i, g = K_ss * h_before + K_is * x
    c = sigmoid(f) c_before + sigmoid(i) tanh(g),   h = sigmoid(o) tanh(c)

One loop computes a layer: over the rows of all images, or over their diagonals. The layers have the
methods that `cached_convolutions.py` asks of layers of several parts, to draw pixel by pixel.
"""

import keras
import numpy as np
from keras import ops

from kgen import backend
from kgen.layers import HorizontalConv2D, shifted_down
from kgen.models.autoregressive.convolutional import built


class PixelLSTM(keras.layers.Layer):
    """Base class of the two layers.

    Args:
        features: of h and of c; a multiple of `image_channels`, which feature i belongs to as in
            `HorizontalConv2D`.
        image_channels: 1 or 3.
    """

    input_columns = 1  # of the kernel K_is

    def __init__(self, features, image_channels, **kwargs):
        super().__init__(**kwargs)
        self.features = features
        self.image_channels = image_channels

    def build(self, input_shape):
        self.input_to_state = self._input_layer(
            input_shape[-1], self.input_columns, self.image_channels
        )
        self.built = True

    def _input_layer(self, inputs, columns, image_channels):
        """K_is * x; the forget gates f begin open, with the bias 1."""
        layer = HorizontalConv2D(4 * self.features, columns, "B", image_channels)
        layer = built(layer, inputs)
        layer.bias.assign(np.repeat(np.array([0, 1, 0, 0], "float32"), self.features))
        return layer

    def _state_kernel(self, inputs, name):
        shape = (inputs * self.features, 4 * self.features)
        return self.add_weight(shape=shape, initializer="glorot_uniform", name=name)

    def _zeros(self, *shape):
        return ops.zeros(shape, self.compute_dtype)

    # === Pixel by pixel ===

    @property
    def parts(self):
        return (self.input_to_state,)

    def first_row(self, count, width):
        shape = (count, width)
        return self._zeros(*shape, 4 * self.features), self._zeros(*shape, self.features)


class RowLSTM(PixelLSTM):
    """Row LSTM: the states of a row follow from those of the row above.

    A state sees three states above it and, in its row, its own input and the one to the left. So
    the layer sees a triangle above each pixel. Maps features (n, height, width, channels) to h; the
    image is not used.
    """

    input_columns = 3

    def build(self, input_shape):
        super().build(input_shape)
        self.kernel = self._state_kernel(3, "kernel")

    def call(self, x, image):
        rows = ops.swapaxes(self.input_to_state(x), 0, 1)  # (height, n, width, 4 * features)

        def step(state, row):
            hidden, cell = state
            state = next_state(row + self._from_above(hidden), cell)
            return state, state[0]

        zeros = ops.zeros_like(rows[0, ..., : self.features])
        _, hidden = backend.scan(step, (zeros, zeros), rows)
        return ops.swapaxes(hidden, 0, 1)

    def _from_above(self, hidden):
        """K_ss * h for the next row, from the h of a row (n, width, features)."""
        padded = ops.pad(hidden, [[0, 0], [1, 1], [0, 0]])
        seen = ops.concatenate([padded[:, :-2], hidden, padded[:, 2:]], axis=-1)
        return product(seen, self.kernel)

    # === Pixel by pixel ===

    def first_pixel(self, count):
        return None

    def pixel_step(self, apply, x):
        from_above, cell = apply.vertical_features[self.name]
        apply.kept[self.name] = next_state(apply(self.input_to_state, x) + from_above, cell)
        return apply.kept[self.name][0]

    def row_step(self, apply, kept, above):
        hidden, cell = kept
        return self._from_above(hidden), cell


class DiagonalBiLSTM(PixelLSTM):
    """Diagonal BiLSTM: a state follows from that of the pixel before it in its row, and that above.

    One pass goes from left to right, the other from right to left. The second one's states are
    shifted down by one row before they are added, as a pixel to the right is in the future. The
    second pass has the image itself as input, too: of each row above, it sees all pixels. Maps
    features (n, height, width, channels) and the image to h.
    """

    def build(self, input_shape):
        super().build(input_shape)
        inputs = input_shape[-1] + self.image_channels
        self.right_to_state = self._input_layer(inputs, 1, 1)  # colours of rows above: no mask
        self.kernels = [self._state_kernel(2, f"{side}_kernel") for side in ("left", "right")]

    def call(self, x, image):
        left, right = self.input_to_state(x), self._right_inputs(x, image)
        both = ops.concatenate([left, ops.flip(right, axis=2)], axis=0)
        diagonals = ops.transpose(skew(both), (2, 0, 1, 3))  # (diagonals, 2 n, height, 4 features)
        kernel, size = ops.stack([self._cast(kernel) for kernel in self.kernels]), self.features

        def step(state, diagonal):
            hidden, cell = state
            above = ops.pad(hidden[:, :-1], [[0, 0], [1, 0], [0, 0]])
            seen = ops.reshape(ops.concatenate([hidden, above], axis=-1), (2, -1, 2 * size))
            from_states = ops.reshape(ops.matmul(seen, kernel), (-1, hidden.shape[1], 4 * size))
            state = next_state(diagonal + from_states, cell)
            return state, state[0]

        zeros = ops.zeros_like(diagonals[0, ..., :size])
        _, hidden = backend.scan(step, (zeros, zeros), diagonals)
        left, right = ops.split(unskew(ops.transpose(hidden, (1, 2, 0, 3))), 2, axis=0)
        return left + shifted_down(ops.flip(right, axis=2))

    def _right_inputs(self, x, image):
        return self.right_to_state(ops.concatenate([x, ops.cast(image, x.dtype)], axis=-1))

    def _cast(self, kernel):
        return ops.cast(kernel, self.compute_dtype)

    # === Pixel by pixel ===

    def first_pixel(self, count):
        return self._zeros(count, self.features), self._zeros(count, self.features)

    def pixel_step(self, apply, x):
        hidden, cell = apply.cache[self.name]
        from_above, right = apply.vertical_features[self.name]
        from_left = product(hidden, self.kernels[0][: self.features])
        gates = apply(self.input_to_state, x) + from_left + from_above
        hidden, cell = apply.next_cache[self.name] = next_state(gates, cell)
        apply.kept[self.name] = x, hidden
        return hidden + right

    def row_step(self, apply, kept, above):
        """K_ss * h of the left pass, and h of the right pass, which goes through the row here."""
        x, hidden = kept
        from_right, from_above = ops.split(self._cast(self.kernels[1]), 2)
        gates = self._right_inputs(x, apply.pixels) + product(above[1], from_above)

        def step(state, gates):
            state = next_state(gates + product(state[0], from_right), state[1])
            return state, state[0]

        pixels = ops.flip(ops.swapaxes(gates, 0, 1), axis=0)  # (width, n, 4 * features)
        _, right = backend.scan(step, self.first_pixel(x.shape[0]), pixels)
        right = ops.swapaxes(ops.flip(right, axis=0), 0, 1)
        return product(hidden, self.kernels[0][self.features :]), right


def next_state(gates, cell):
    """h and c after `cell`, from o, f, i and g, (..., 4 * features)."""
    size = cell.shape[-1]
    opened = ops.sigmoid(gates[..., : 3 * size])
    output, forget, input_gate = ops.split(opened, 3, axis=-1)
    cell = forget * cell + input_gate * ops.tanh(gates[..., 3 * size :])
    return output * ops.tanh(cell), cell


def product(x, kernel):
    """x (..., inputs) times a kernel (inputs, outputs), in the dtype of x."""
    flat = ops.matmul(ops.reshape(x, (-1, x.shape[-1])), ops.cast(kernel, x.dtype))
    return ops.reshape(flat, (-1, *x.shape[1:-1], kernel.shape[-1]))


def skew(images):
    """Row i shifted right by i pixels: (n, h, w, c) to (n, h, h + w - 1, c); the rest is zero.

    The columns are then the image's diagonals. A row, padded by h, is one longer than a row of the
    result: read on without a break, each row begins one pixel later.
    """
    height, width, channels = images.shape[1:]
    padded = ops.pad(images, [[0, 0], [0, 0], [0, height], [0, 0]])
    flat = ops.reshape(padded, (-1, height * (width + height), channels))
    length = width + height - 1
    return ops.reshape(flat[:, : height * length], (-1, height, length, channels))


def unskew(skewed):
    """The inverse of `skew`: (n, h, h + w - 1, c) to (n, h, w, c)."""
    height, length, channels = skewed.shape[1:]
    flat = ops.reshape(skewed, (-1, height * length, channels))
    padded = ops.pad(flat, [[0, 0], [0, height], [0, 0]])
    rows = ops.reshape(padded, (-1, height, length + 1, channels))
    return rows[:, :, : length + 1 - height]
