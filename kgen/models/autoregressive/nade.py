"""Neural autoregressive distribution estimator.

Hugo Larochelle, Iain Murray: The Neural Autoregressive Distribution Estimator. AISTATS 2011.
Benigno Uria, Marc-Alexandre Cote, Karol Gregor, Iain Murray, Hugo Larochelle: Neural Autoregressive
Distribution Estimation. 2016, arXiv:1605.02226.

The probability of an image is a product over its pixels, in raster order. Each factor is a network
with one hidden layer; the networks share their first weights, so that all hidden layers together
take the time of one (equations 2 and 3):

    log p(x) = sum over i of log p(x_i | x_1, ..., x_i-1)
    p(x_i = 1 | x_1, ..., x_i-1) = sigmoid(b_i + V_i h_i)
    h_i = sigmoid(a_i),   a_1 = c,   a_i+1 = a_i + W_i x_i

Training goes through the image row by row: within a row one matrix product computes all a_i.

Deviations: trained by Adam; pixels of a few levels have a softmax, whose inputs are the indicators
of the earlier pixels' levels.
"""

import keras
import numpy as np
from keras import ops

from kgen import backend
from kgen.bounds import Count, FewLevels, ImageShape
from kgen.inference import inference
from kgen.models.autoregressive.flat import FlatAutoregressive


@keras.saving.register_keras_serializable("kgen")
class NADE(FlatAutoregressive):
    """Neural autoregressive distribution estimator (Larochelle & Murray 2011).

    Hugo Larochelle, Iain Murray: The Neural Autoregressive Distribution Estimator. AISTATS 2011;
    arXiv:1605.02226. Maximises the exact log-likelihood, with pixels in raster order:

        p(x_i = 1 | x_1, ..., x_i-1) = sigmoid(b_i + V_i h_i),   h_i = sigmoid(c + W_<i x_<i)

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel; Bernoulli pixels for 2, a softmax over all values for up to 32.
        hidden: number of hidden units.

    Metrics: `loss`, the negative log-likelihood in nats per image.
    """

    small_arguments = {"levels": 17, "hidden": 8}

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: FewLevels = 2,
        *,
        hidden: Count = 500,
        **kwargs,
    ):
        super().__init__(image_shape, levels, **kwargs)
        self.hidden = hidden
        inputs, outputs = (
            self.size * self.inputs_per_value,
            self.size * self.parameters_per_value,
        )
        self.hidden_kernel = self.add_weight(shape=(inputs, hidden), name="hidden_kernel")  # W
        self.hidden_bias = self.add_weight(shape=(hidden,), initializer="zeros", name="hidden_bias")
        self.output_kernel = self.add_weight(shape=(outputs, hidden), name="output_kernel")  # V
        self.output_bias = self.add_weight(
            shape=(outputs,), initializer="zeros", name="output_bias"
        )

    def recommended_optimizer(self):
        return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, 50_000, 0.1))

    def parameters_of(self, images, condition=None):
        height = self.image_shape[0]
        values = self.size // height  # of a row
        inputs = ops.reshape(self.inputs_of(images), (-1, height, values, self.inputs_per_value))
        rows = (ops.transpose(inputs, (1, 0, 2, 3)), *self._weights_in(height, values))
        sums = ops.zeros((ops.shape(images)[0], 1)) + self.hidden_bias
        _, outputs = backend.scan(self._row, sums, rows)  # (height, n, values, parameters)
        return self.as_images(ops.transpose(outputs, (1, 0, 2, 3)))

    def _weights_in(self, *parts):
        """W, V and b as float32 tensors (*parts, ...), with the values of an image in `parts`."""
        return (
            ops.reshape(self.hidden_kernel, (*parts, self.inputs_per_value, self.hidden)),
            ops.reshape(self.output_kernel, (*parts, self.parameters_per_value, self.hidden)),
            ops.reshape(self.output_bias, (*parts, self.parameters_per_value)),
        )

    def _row(self, sums, row):
        """The outputs (n, values, parameters) of a row, and the hidden sums after it.

        Args:
            sums: the hidden sums a (n, hidden) before the row.
            row: inputs (n, values, inputs_per_value), and the weights of these values.
        """
        inputs, hidden_kernel, output_kernel, output_bias = row
        values = inputs.shape[1]
        hidden_kernel = ops.reshape(hidden_kernel, (-1, self.hidden))
        before = ops.convert_to_tensor(np.tri(values, k=-1, dtype="float32"))
        seen = inputs[:, None] * before[..., None]  # (n, value, earlier value, inputs_per_value)
        seen = ops.reshape(seen, (-1, values, hidden_kernel.shape[0]))
        hidden = ops.sigmoid(sums[:, None] + ops.matmul(seen, hidden_kernel))  # (n, values, hidden)
        outputs = ops.einsum("nvh,vph->nvp", hidden, output_kernel) + output_bias
        flat = ops.reshape(inputs, (-1, hidden_kernel.shape[0]))
        return sums + ops.matmul(flat, hidden_kernel), outputs

    @inference(loop=True)
    def _complete(self, images, mask, uniform, condition=None):
        """The recursion itself, value by value."""
        sums = ops.zeros((images.shape[0], 1)) + self.hidden_bias

        def parameters(sums, weights):
            _, output_kernel, output_bias = weights
            return ops.matmul(ops.sigmoid(sums), ops.transpose(output_kernel)) + output_bias

        def update(sums, weights, inputs):
            return sums + ops.matmul(inputs, weights[0])

        weights = self._weights_in(self.size)
        return self.complete_in_turn(images, mask, uniform, sums, weights, parameters, update)
