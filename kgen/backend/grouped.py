"""Group normalisation by `keras.ops`, for backends whose compiler merges its passes."""

from keras import ops

__all__ = ["group_normalised"]


def group_normalised(x, scale, offset, groups, epsilon):
    """Images with mean 0 and variance 1 in each group of channels of each image, scaled and moved.

    Statistics, scale and offset make one factor and one summand per channel, so that normalising
    is one pass over the images. The variance is the mean of the squares less the squared mean.

    Args:
        x: float32 (n, height, width, channels).
        scale, offset: (channels,) or (n, channels).
        groups: a divisor of the number of channels.
        epsilon: is added to the variances.
    """
    size = x.shape[-1] // groups

    def of_groups(values):  # of channels (n or 1, channels)
        return ops.reshape(values, (-1, groups, size))

    def of_channels(values):
        return ops.reshape(values, (-1, 1, 1, groups * size))

    mean = ops.mean(of_groups(ops.mean(x, axis=(1, 2))), axis=-1, keepdims=True)
    square = ops.mean(of_groups(ops.mean(x * x, axis=(1, 2))), axis=-1, keepdims=True)
    variance = ops.maximum(square - mean * mean, 0.0)  # (n, groups, 1)
    factor = of_groups(scale) * ops.rsqrt(variance + epsilon)  # (n, groups, size)
    return x * of_channels(factor) + of_channels(of_groups(offset) - mean * factor)
