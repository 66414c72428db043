"""PixelCNN.

Aaron van den Oord, Nal Kalchbrenner, Koray Kavukcuoglu: Pixel Recurrent Neural Networks. 2016,
arXiv:1601.06759.

The probability of an image is a product over its pixels, in raster order: rows first, then columns,
then channels (equations 1 and 2):

    log p(x) = sum over i of log p(x_i | x_1, ..., x_i-1)

Masked convolutions, which see only the pixels before each one, compute all factors in one pass
(section 3.4). First comes one of type A on the image, then residual blocks of type B (figure 5,
left):

    h <- h + W_3 relu(masked 3x3 convolution of relu(W_2 relu(h)))

As in the paper: the first convolution is 7x7; two 1x1 layers before the output; a softmax over the
levels of each channel, or a logit for binary pixels.

Deviations: Adam with a decaying rate instead of RMSProp; narrower and fewer blocks than the paper's
for photographs; feature i belongs to channel i modulo 3, not to one of three contiguous
parts.
"""

from typing import Annotated

import keras
from keras import ops

from kgen.bounds import Bounds, ImageShape, Levels, Repeats
from kgen.layers import HorizontalConv2D, MaskedConv2D
from kgen.models.autoregressive.convolutional import ConvolutionalAutoregressive, built


@keras.saving.register_keras_serializable("kgen")
class PixelCNN(ConvolutionalAutoregressive):
    """PixelCNN (van den Oord et al. 2016).

    Aaron van den Oord, Nal Kalchbrenner, Koray Kavukcuoglu: Pixel Recurrent Neural Networks. 2016,
    arXiv:1601.06759. Maximises the exact log-likelihood (equation 1), with pixels in raster order:

        log p(x) = sum over i of log p(x_i | x_1, ..., x_i-1)

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel; Bernoulli pixels for 2, else a softmax over all values.
        features: channels between the blocks; half as many inside them (the paper's 2h and h).
        blocks: number of residual blocks.

    Metrics: `loss`, the negative log-likelihood in nats per image.
    """

    small_arguments = {"features": 8, "blocks": 1}

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        features: Annotated[int, Bounds(2, 65_536)] = 64,
        blocks: Repeats = 7,
        **kwargs,
    ):
        super().__init__(image_shape, levels, **kwargs)
        self.features = features
        self.blocks = blocks
        channels, half = self.channels, features // 2

        def pointwise(inputs, outputs, **kwargs):
            return built(HorizontalConv2D(outputs, 1, "B", channels, **kwargs), inputs)

        self.first = built(MaskedConv2D(features, 7, "A", channels), channels)
        self.residual = [
            [
                pointwise(features, half),
                built(MaskedConv2D(half, 3, "B", channels), half),
                pointwise(half, features),
            ]
            for _ in range(blocks)
        ]
        self.last = [pointwise(features, features) for _ in range(2)]
        self.output_layer = pointwise(features, self.parameters_per_pixel, dtype="float32")

    def network(self, apply, x, embedded):
        x = apply(self.first, x)
        for narrow, masked, widen in self.residual:
            hidden = apply(narrow, ops.relu(x))
            hidden = apply(masked, ops.relu(hidden))
            x = x + apply(widen, ops.relu(hidden))
        for layer in self.last:
            x = apply(layer, ops.relu(x))
        return apply(self.output_layer, ops.relu(x))
