"""Biases of convolutions, for the frameworks that have no better way to add them."""

import keras


def add_bias(outputs, bias, data_format):
    """`outputs` of a convolution of images plus `bias`, a number per channel; None adds nothing."""
    if bias is None:
        return outputs
    shape = (-1,) if data_format == "channels_last" else (-1, 1, 1)
    return keras.ops.add(outputs, keras.ops.reshape(bias, shape))
