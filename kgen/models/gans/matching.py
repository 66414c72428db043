"""Captions of other words, and the loss by which images and captions learn to find each other."""

import numpy as np
from keras import ops

from kgen.layers.attention import normalised

SHARPNESS = 10.0  # of the softmax over correlations, which are from -1 to 1


def have_other_words(captions):
    """Whether two captions, tokens (n, length), consist of different words; bool (n, n)."""
    words = ops.sort(ops.cast(captions, "int32"), axis=-1)
    return ops.any(words[:, None] != words[None], axis=-1)


def rows_of_other_words(captions, uniform):
    """For each caption, the row of a random one whose words are not the same ones.

    Args:
        captions: tokens (n, length).
        uniform: noise in [0, 1), (n, n).

    Returns:
        (rows int32 (n,), bool (n,): whether there is one).
    """
    differ = have_other_words(captions)
    rows = ops.argmax(ops.where(differ, uniform, -1.0), axis=-1)
    return ops.cast(rows, "int32"), ops.any(differ, axis=-1)


def matching_loss(vectors, text, captions):
    """How hard it is for images to find their captions, and for captions their images.

    With correlations r of the vectors f of images and t of captions, the mean over i of

        - log softmax_j( 10 r(f_i, t_j) ) at j = i - log softmax_j( 10 r(f_j, t_i) ) at j = i

    where rows of equal words, but the own one, are left out.

    Args:
        vectors: of images, (n, size).
        text: vectors of captions, (n, size), of mean 0 and variance 1.
        captions: tokens (n, length).

    Returns:
        A float32 scalar, in nats.
    """
    vectors, text = (ops.cast(part, "float32") for part in (normalised(vectors), text))
    logits = SHARPNESS / text.shape[-1] * ops.matmul(vectors, ops.transpose(text))  # (n, n)
    own = ops.eye(ops.shape(logits)[0], dtype="bool")
    logits = ops.where(ops.logical_or(have_other_words(captions), own), logits, -np.inf)
    matched = ops.sum(ops.where(own, logits, 0.0), axis=1)
    return ops.mean(sum(ops.logsumexp(logits, axis=axis) - matched for axis in (0, 1)))
