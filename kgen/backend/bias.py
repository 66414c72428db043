"""Add the bias of a convolution by `keras.ops`."""

import keras


def add_bias(outputs, bias, data_format):
    """`outputs` of an image convolution plus `bias` (channels,); None adds nothing."""
    if bias is None:
        return outputs
    shape = (-1,) if data_format == "channels_last" else (-1, 1, 1)
    return keras.ops.add(outputs, keras.ops.reshape(bias, shape))
