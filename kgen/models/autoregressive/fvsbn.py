"""Fully visible sigmoid belief network.

Brendan J. Frey: Graphical Models for Machine Learning and Digital Communication. MIT Press, 1998,
doi:10.7551/mitpress/3348.001.0001.

The probability of an image is a product over its pixels, in raster order. Each factor is a logistic
regression on the pixels before it:

    log p(x) = sum over i of log p(x_i | x_1, ..., x_i-1)
    p(x_i = 1 | x_1, ..., x_i-1) = sigmoid(b_i + sum over j < i of w_ij x_j)

Deviations: trained by Adam; pixels of a few levels have a softmax, whose inputs are the indicators
of the earlier pixels' levels.
"""

import keras
import numpy as np
from keras import ops

from kgen.bounds import FewLevels, ImageShape
from kgen.inference import inference
from kgen.layers import MaskedDense
from kgen.models.autoregressive.flat import FlatAutoregressive


@keras.saving.register_keras_serializable("kgen")
class FVSBN(FlatAutoregressive):
    """Fully visible sigmoid belief network (Frey 1998).

    Brendan J. Frey: Graphical Models for Machine Learning and Digital Communication. 1998,
    doi:10.7551/mitpress/3348.001.0001. Maximises the exact log-likelihood, with pixels in raster
    order:

        p(x_i = 1 | x_1, ..., x_i-1) = sigmoid(b_i + sum over j < i of w_ij x_j)

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel; Bernoulli pixels for 2, a softmax over all values for up to 32.

    Metrics: `loss`, the negative log-likelihood in nats per image.
    """

    small_arguments = {"levels": 2}

    def __init__(self, image_shape: ImageShape = (28, 28, 1), levels: FewLevels = 2, **kwargs):
        super().__init__(image_shape, levels, **kwargs)
        self.output_layer = MaskedDense(
            self.size * self.parameters_per_value,
            strict=True,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            dtype="float32",
        )
        self.output_layer.build((None, self.size * self.inputs_per_value))
        order = np.arange(self.size)[None]
        self.output_layer.set_degrees(
            np.repeat(order, self.inputs_per_value, axis=1),
            np.repeat(order, self.parameters_per_value, axis=1),
        )

    def recommended_optimizer(self):
        return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, 25_000, 0.1))

    def parameters_of(self, images, condition=None):
        return self.as_images(self.output_layer(self.flat_inputs_of(images)))

    @inference(loop=True)
    def _complete(self, images, mask, uniform, condition=None):
        """The outputs begin as their biases; each value drawn adds its rows of the kernel."""
        shape = (self.size, self.inputs_per_value, self.size * self.parameters_per_value)
        rows = ops.reshape(self.output_layer.masked_kernel(), shape)
        biases = ops.zeros((images.shape[0], 1)) + self.output_layer.bias

        def parameters(outputs, place):
            number, _ = place
            outputs = ops.reshape(outputs, (-1, self.size, self.parameters_per_value))
            return ops.take(outputs, number, axis=1)

        def update(outputs, place, inputs):
            _, row = place
            return outputs + ops.matmul(inputs, row)

        places = (ops.arange(self.size), rows)
        return self.complete_in_turn(images, mask, uniform, biases, places, parameters, update)
