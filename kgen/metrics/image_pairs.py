"""How near generated images are to the very images they stand for, pair by pair.

Zhou Wang, Alan Bovik, Hamid Sheikh, Eero Simoncelli: Image quality assessment: from error
visibility to structural similarity. IEEE Transactions on Image Processing 13, 2004 (SSIM).
"""

import math

import numpy as np

from kgen.errors import KgenError

SIGMA, RADIUS = 1.5, 5  # of the window of SSIM: 11x11 pixels
K1, K2 = 0.01, 0.03  # of its stabilising constants
IMAGES_AT_A_TIME = 500  # to bound the memory of float64 images


def pair_figures(images, targets, levels):
    """Means over pairs of images.

    Args:
        images: whole numbers (n, height, width, channels), values 0..levels-1.
        targets: as many: the image that each should be.
        levels: values per pixel.

    Returns:
        {"l1": mean absolute difference as a fraction of the range, "psnr": decibels, of the squared
        error's mean over all pairs (a mean of decibels would be infinite where one pair is equal),
        "ssim": up to 1}.

    Raises:
        KgenError: for images of another number or shape than the targets.

    Examples:
        >>> images = kgen.data.load("digits").test.images[:10]
        >>> kgen.metrics.pair_figures(images, images, levels=17)
        {'l1': 0.0, 'psnr': inf, 'ssim': 1.0}
    """
    if images.shape != targets.shape or not len(images):
        raise KgenError(
            f"Expected pairs of images of one shape, received {images.shape} and {targets.shape}: "
            "give as many of the same size."
        )
    parts = []
    for start in range(0, len(images), IMAGES_AT_A_TIME):
        chosen = slice(start, start + IMAGES_AT_A_TIME)
        pair = [part[chosen].astype("float64") / (levels - 1) for part in (images, targets)]
        error = pair[0] - pair[1]
        means = [values.mean(axis=(1, 2, 3)) for values in (np.abs(error), error**2)]
        parts.append([*means, _ssim(*pair)])
    l1, squared, ssim = np.concatenate(parts, axis=1).mean(axis=1).tolist()
    return {"l1": l1, "psnr": -10 * math.log10(squared) if squared else math.inf, "ssim": ssim}


def _ssim(images, targets):
    """Mean over windows that lie inside the image, and over channels; range 0..1."""
    mean, other_mean = _blurred(images), _blurred(targets)
    variance = _blurred(images**2) - mean**2
    other_variance = _blurred(targets**2) - other_mean**2
    covariance = _blurred(images * targets) - mean * other_mean
    luminance = (2 * mean * other_mean + K1**2) / (mean**2 + other_mean**2 + K1**2)
    structure = (2 * covariance + K2**2) / (variance + other_variance + K2**2)
    return (luminance * structure).mean(axis=(1, 2, 3))


def _blurred(images):
    """Means weighted by a normal density, of the windows inside; smaller ones in small images."""
    for axis in (1, 2):
        radius = min(RADIUS, (images.shape[axis] - 1) // 2)
        weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / SIGMA) ** 2)
        windows = np.lib.stride_tricks.sliding_window_view(images, 2 * radius + 1, axis)
        images = windows @ (weights / weights.sum())
    return images
