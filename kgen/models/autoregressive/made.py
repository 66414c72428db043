"""Masked autoencoder for distribution estimation.

Mathieu Germain, Karol Gregor, Iain Murray, Hugo Larochelle: MADE: Masked Autoencoder for
Distribution Estimation. 2015, arXiv:1502.03509.

The probability of an image is a product over its pixels in some order. A dense network computes all
factors in one pass. Its masks leave of each layer only the connections from units that see no more
than the unit itself may see (equations 8 and 9):

    log p(x) = sum over i of log p(x_i | values before x_i)

Each of several masks has an order and connections of its own. Training takes the masks in turn, one
a step. They are an ensemble (section 4.4): `log_prob` scores the mean of the images' probabilities.

    p(x) = 1/k sum over masks of p(x | mask)

Deviations: trained by Adam with ReLU units; mask 0 has raster order, and the others random orders;
pixels of a few levels have a softmax, whose inputs are the indicators of the other pixels' levels.
"""

from typing import Annotated

import keras
import numpy as np
from keras import ops

from kgen import backend
from kgen.bounds import Bounds, FewLevels, ImageShape, Layers
from kgen.inference import in_chunks, inference
from kgen.layers import MaskedDense
from kgen.models.autoregressive.cached_sums import CachedSums
from kgen.models.autoregressive.flat import FlatAutoregressive

Masks = Annotated[int, Bounds(1, 1_000)]


@keras.saving.register_keras_serializable("kgen")
class MADE(FlatAutoregressive):
    """Masked autoencoder for distribution estimation (Germain et al. 2015).

    Mathieu Germain, Karol Gregor, Iain Murray, Hugo Larochelle: MADE: Masked Autoencoder for
    Distribution Estimation. 2015, arXiv:1502.03509. Maximises the exact log-likelihood, with the
    values in the order of a mask (equation 5):

        log p(x) = sum over i of log p(x_i | values before x_i)

    With several masks it is an ensemble: an image's probability is the mean over the masks, and
    `sample` draws a mask for each image. `complete` then takes an order in which the known pixels
    come first, so that every known pixel counts. With one mask it takes raster order, as other
    autoregressive models do.

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel; Bernoulli pixels for 2, a softmax over all values for up to 32.
        hidden: units of each hidden layer.
        masks: number of masks. Each has a random order, but for the first, whose order is raster
            order, and random connections.
        direct: whether masked connections lead from the inputs to the outputs, too.

    Metrics: `loss`, the negative log-likelihood in nats per image, of the step's mask in training.
    """

    small_arguments = {"levels": 2, "hidden": (24, 16), "masks": 2, "direct": True}
    raster_order = False

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: FewLevels = 2,
        *,
        hidden: Layers = (500,),
        masks: Masks = 1,
        direct: bool = False,
        **kwargs,
    ):
        super().__init__(image_shape, levels, **kwargs)
        self.hidden = hidden
        self.masks = masks
        self.direct = direct
        inputs, outputs = (
            self.size * number for number in (self.inputs_per_value, self.parameters_per_value)
        )
        # Twice the variance: a mask leaves half of the connections, in the mean.
        he = keras.initializers.VarianceScaling(4.0, "fan_in")
        self.hidden_layers = [MaskedDense(units, kernel_initializer=he) for units in hidden]
        self.output_layer = MaskedDense(outputs, strict=True, dtype="float32")
        for layer, size in zip(self.dense_layers, (inputs, *hidden), strict=True):
            layer.build((None, size))
        if direct:
            self.direct_layer = MaskedDense(
                outputs, strict=True, use_bias=False, kernel_initializer="zeros", dtype="float32"
            )
            self.direct_layer.build((None, inputs))
        self._set_degrees()

    @property
    def dense_layers(self):
        """The hidden layers and the output layer."""
        return [*self.hidden_layers, self.output_layer]

    def _set_degrees(self):
        """The orders of the values (masks, size), and each layer's degrees."""
        # RandomState draws the same numbers in every version of NumPy: a saved model needs them.
        random, (height, width, channels) = np.random.RandomState(0), self.image_shape
        pixels = [np.arange(height * width)]
        pixels += [random.permutation(height * width) for _ in range(1, self.masks)]
        orders = np.array(pixels)[..., None] * channels + np.arange(channels)
        self.orders = orders.reshape(self.masks, self.size).astype("int32")
        places = np.argsort(self.orders, axis=1) + 1
        inputs = np.repeat(places, self.inputs_per_value, axis=1)
        outputs = np.repeat(places, self.parameters_per_value, axis=1)
        degrees, lowest = [inputs], np.full(self.masks, min(1, self.size - 1))
        for units in self.hidden:
            drawn = [random.randint(low, max(self.size, 2), units) for low in lowest]
            degrees.append(np.array(drawn))
            lowest = degrees[-1].min(axis=1)
        for layer, *sides in zip(self.dense_layers, degrees, [*degrees[1:], outputs], strict=True):
            layer.set_degrees(*sides)
        if self.direct:
            self.direct_layer.set_degrees(inputs, outputs)
        self.hidden_degrees = degrees[1:]

    def recommended_optimizer(self):
        return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, 50_000, 0.1))

    # === The network ===

    def objective(self, images, condition, training):
        if training:
            log_prob = self.log_prob_by(images, ops.cast(self.step, "int32") % self.masks)
        else:
            log_prob = self._log_prob_of(images)
        return -ops.mean(log_prob), {}

    def parameters_of(self, images, condition=None, mask_number=0):
        """The parameters of every pixel given those before it in the order of a mask."""
        inputs = x = self.flat_inputs_of(images)
        for layer in self.hidden_layers:
            x = ops.relu(layer(x, mask_number=mask_number))
        outputs = self.output_layer(x, mask_number=mask_number)
        if self.direct:
            outputs = outputs + self.direct_layer(inputs, mask_number=mask_number)
        return self.as_images(outputs)

    def log_prob_by(self, images, mask_number):
        """log p(x | mask) in nats per image, (n,)."""
        parameters = self.parameters_of(images, mask_number=mask_number)
        return self.likelihood_distribution.log_prob(images, parameters)

    def _log_prob_of(self, images):
        """The logarithm of the mean of p(x | mask) over the masks, (n,)."""
        if self.masks == 1:
            return self.log_prob_by(images, 0)

        def log_prob(carry, number):
            return carry, self.log_prob_by(images, number)

        numbers = ops.arange(self.masks, dtype="int32")
        _, log_probs = backend.scan(log_prob, ops.zeros(()), numbers)  # (masks, n)
        return ops.logsumexp(log_probs, axis=0) - np.log(self.masks).astype("float32")

    @inference
    def _log_prob(self, images, condition=None):
        return self._log_prob_of(images)

    # === Sampling ===

    def _completed(self, images, mask, condition, seed):
        if self.masks == 1:
            return super()._completed(images, mask, condition, seed)
        generator = np.random.default_rng(seed)
        uniform = generator.random(images.shape, "float32")
        mask_numbers = generator.integers(self.masks, size=len(images)).astype("int32")
        mask = np.broadcast_to(mask[..., None], images.shape)
        orders = self._known_first(mask, mask_numbers)
        in_order = [
            np.take_along_axis(array.reshape(orders.shape), orders, axis=1).reshape(images.shape)
            for array in (images, mask, uniform)
        ]
        drawn = in_chunks(self._complete, *in_order, condition, orders, mask_numbers)
        completed = np.empty(orders.shape, images.dtype)
        np.put_along_axis(completed, orders, drawn.reshape(orders.shape), axis=1)
        return completed.reshape(images.shape)

    def _known_first(self, mask, mask_numbers):
        """The orders (n, size) of these masks, but with known values before those to draw."""
        orders = self.orders[mask_numbers]
        unknown = np.take_along_axis(mask.reshape(orders.shape), orders, axis=1)
        known_first = np.argsort(unknown, axis=1, kind="stable")
        return np.take_along_axis(orders, known_first, axis=1)

    @inference(loop=True)
    def _complete(self, images, mask, uniform, condition=None, orders=None, mask_numbers=None):
        """Draw the values one after the other, from cached sums.

        Args:
            images, mask, uniform: see `Autoregressive._complete`, with values in these orders.
            orders: (n, size), the values in the order of drawing; None for raster order.
            mask_numbers: (n,), the masks whose hidden units to take; None for mask 0.
        """
        if orders is None:
            orders, mask_numbers = self.orders[:1], np.zeros(1, "int32")
        sums = CachedSums(self, ops.convert_to_tensor(orders), mask_numbers)
        start = sums.start(images.shape[0])
        return self.complete_in_turn(
            images, mask, uniform, start, sums.places, sums.parameters, sums.update
        )
