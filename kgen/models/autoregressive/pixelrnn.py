"""PixelRNN: Row LSTM and Diagonal BiLSTM.

Aaron van den Oord, Nal Kalchbrenner, Koray Kavukcuoglu: Pixel Recurrent Neural Networks. 2016,
arXiv:1601.06759.

The probability of an image is a product over its pixels, in raster order: rows first, then columns,
then channels (equations 1 and 2):

    log p(x) = sum over i of log p(x_i | x_1, ..., x_i-1)

First comes a masked convolution of type A on the image, then residual blocks (figure 5, right):

    h <- h + W LSTM(h)

The Row LSTM goes through the image row by row and sees a triangle above each pixel. The Diagonal
BiLSTM goes through its diagonals, from both sides, and sees all pixels before each one. The layers
are in `pixel_lstm.py`.

As in the paper: the first convolution is 7x7; two 1x1 layers before the output; a softmax over the
levels of each channel, or a logit for binary pixels.

Deviations: Adam with a decaying rate and clipped gradients instead of RMSProp; feature i belongs to
channel i modulo 3, not to one of three contiguous parts; the right-to-left pass of the Diagonal
BiLSTM has the image as an input, too. Without it, no pixel but those near the right edge would see
the last pixel of the row above: the inputs of a state do not show the pixel itself.
"""

from typing import Annotated, Literal

import keras
from keras import ops

from kgen.bounds import Bounds, ImageShape, Levels, Repeats
from kgen.layers import HorizontalConv2D, MaskedConv2D
from kgen.models.autoregressive.convolutional import ConvolutionalAutoregressive, built
from kgen.models.autoregressive.pixel_lstm import DiagonalBiLSTM, RowLSTM

LAYERS = {"row": RowLSTM, "diagonal": DiagonalBiLSTM}


@keras.saving.register_keras_serializable("kgen")
class PixelRNN(ConvolutionalAutoregressive):
    """PixelRNN (van den Oord et al. 2016).

    Aaron van den Oord, Nal Kalchbrenner, Koray Kavukcuoglu: Pixel Recurrent Neural Networks. 2016,
    arXiv:1601.06759. Maximises the exact log-likelihood (equation 1), with pixels in raster order:

        log p(x) = sum over i of log p(x_i | x_1, ..., x_i-1)

    Args:
        image_shape: (height, width, channels).
        levels: values per pixel; Bernoulli pixels for 2, else a softmax over all values.
        layer: "row" for Row LSTM, "diagonal" for Diagonal BiLSTM, which is slower and better.
        features: channels between the blocks; half as many in a state, rounded up to a multiple of
            the image's channels (the paper's 2h and h).
        blocks: number of residual blocks.

    Metrics: `loss`, the negative log-likelihood in nats per image.
    """

    small_arguments = {"features": 8, "blocks": 1}

    def __init__(
        self,
        image_shape: ImageShape = (28, 28, 1),
        levels: Levels = 256,
        *,
        layer: Literal["row", "diagonal"] = "diagonal",
        features: Annotated[int, Bounds(2, 65_536)] = 32,
        blocks: Repeats = 7,
        **kwargs,
    ):
        super().__init__(image_shape, levels, **kwargs)
        self.layer = layer
        self.features = features
        self.blocks = blocks
        channels = self.channels
        # The four gates of a state belong to equal channels.
        half = -(-(features // 2) // channels) * channels

        def pointwise(inputs, outputs, **kwargs):
            return built(HorizontalConv2D(outputs, 1, "B", channels, **kwargs), inputs)

        self.first = built(MaskedConv2D(features, 7, "A", channels), channels)
        self.residual = [
            [built(LAYERS[layer](half, channels), features), pointwise(half, features)]
            for _ in range(blocks)
        ]
        self.last = [pointwise(features, features) for _ in range(2)]
        self.output_layer = pointwise(features, self.parameters_per_pixel, dtype="float32")

    def recommended_optimizer(self):
        return keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(2e-3, 25_000, 0.01), global_clipnorm=1.0
        )

    def network(self, apply, x, embedded):
        image = x
        x = apply(self.first, image)
        for lstm, widen in self.residual:
            x = x + apply(widen, apply(lstm, x, image))
        for layer in self.last:
            x = apply(layer, ops.relu(x))
        return apply(self.output_layer, ops.relu(x))
