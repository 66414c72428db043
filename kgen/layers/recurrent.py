"""A gated recurrent unit: whole sequences by a scan, or one step at a time."""

from keras import layers, ops

from kgen import backend


class GRU(layers.Layer):
    """Gated recurrent unit: reads vectors x one after the other and keeps a state h.

    With elementwise products, and h = 0 at first:

        u, r = sigmoid(W x + b + V h + c)
        h <- u h + (1 - u) tanh(W' x + b' + r (V' h + c'))

    It computes what `keras.layers.GRU` does, on every backend by one scan, which XLA compiles.

    Args:
        inputs: size of the vectors x.
        units: size of the state h.

    Source: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", 2014,
    arXiv:1406.1078; with r after the product, as in cuDNN.
    """

    def __init__(self, inputs, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.kernel = self.add_weight(
            shape=(inputs, 3 * units), initializer="glorot_uniform", name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            shape=(units, 3 * units), initializer="orthogonal", name="recurrent_kernel"
        )
        self.bias = self.add_weight(shape=(2, 3 * units), initializer="zeros", name="bias")
        self.built = True

    def call(self, inputs, is_read=None):
        """The states after each vector, (n, length, units), from the state 0.

        Args:
            inputs: vectors (n, length, inputs).
            is_read: bool (n, length); the state stays where it is False. None reads all.
        """
        projected = self.projected(inputs)  # one product for all steps
        if is_read is None:
            is_read = ops.ones_like(projected[..., 0], "bool")
        weights = self._weights()

        def read(state, entry):
            projected, is_read = entry
            state = ops.where(is_read[:, None], self._step(state, projected, weights), state)
            return state, state

        entries = ops.transpose(projected, (1, 0, 2)), ops.transpose(is_read)
        start = ops.zeros_like(projected[:, 0, : self.units])
        _, states = backend.scan(read, start, entries)
        return ops.transpose(states, (1, 0, 2))

    def projected(self, inputs):
        """The part of `step` that needs no state: (n, ..., inputs) -> (n, ..., 3 units)."""
        kernel, bias = self._cast(self.kernel), self._cast(self.bias)[0]
        flat = backend.affine(ops.reshape(inputs, (-1, inputs.shape[-1])), kernel, bias)
        return ops.reshape(flat, (-1, *inputs.shape[1:-1], 3 * self.units))

    def step(self, state, projected):
        """The state (n, units) after one more vector, given what `projected` makes of it."""
        return self._step(state, projected, self._weights())

    def _step(self, state, projected, weights):
        of_state = backend.affine(state, *weights)
        both = 2 * self.units
        gates = ops.sigmoid(projected[:, :both] + of_state[:, :both])
        update, reset = ops.split(gates, 2, axis=-1)
        candidate = ops.tanh(projected[:, both:] + reset * of_state[:, both:])
        return update * state + (1.0 - update) * candidate

    def _weights(self):
        return self._cast(self.recurrent_kernel), self._cast(self.bias)[1]

    def _cast(self, weight):
        return ops.cast(weight, self.compute_dtype)
