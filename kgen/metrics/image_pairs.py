"""L1, PSNR and SSIM between generated images and their targets.

Zhou Wang, Alan Bovik, Hamid Sheikh, Eero Simoncelli: Image quality assessment: from error
visibility to structural similarity. IEEE Transactions on Image Processing 13, 2004 (SSIM).
"""

import math

import numpy as np

from kgen.errors import KgenError

SIGMA, RADIUS = 1.5, 5  # of the Gaussian window of SSIM: 11x11 pixels
K1, K2 = 0.01, 0.03  # the stabilising constants of SSIM
IMAGES_AT_A_TIME = 500  # to bound the memory of float64 images


def pair_figures(images, targets, levels):
    """Mean L1, PSNR and SSIM over pairs of images.

    Args:
        images: integers (n, height, width, channels), values 0..levels-1.
        targets: an array like `images`: the target of each image.
        levels: number of pixel values.

    Returns:
        {"l1": mean absolute difference as a fraction of the range, "psnr": in dB, from the squared
        error averaged over all pairs (a mean of dB would be infinite if one pair is equal), "ssim":
        at most 1}.

    Raises:
        KgenError: if the shapes of images and targets differ.

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
    """SSIM of images with range 0..1: the mean over windows inside the image, and channels."""
    mean, other_mean = _blurred(images), _blurred(targets)
    variance = _blurred(images**2) - mean**2
    other_variance = _blurred(targets**2) - other_mean**2
    covariance = _blurred(images * targets) - mean * other_mean
    luminance = (2 * mean * other_mean + K1**2) / (mean**2 + other_mean**2 + K1**2)
    structure = (2 * covariance + K2**2) / (variance + other_variance + K2**2)
    return (luminance * structure).mean(axis=(1, 2, 3))


def _blurred(images):
    """Gaussian blur at the positions whose window lies inside; small images get small windows."""
    for axis in (1, 2):
        radius = min(RADIUS, (images.shape[axis] - 1) // 2)
        weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / SIGMA) ** 2)
        windows = np.lib.stride_tricks.sliding_window_view(images, 2 * radius + 1, axis)
        images = windows @ (weights / weights.sum())
    return images
