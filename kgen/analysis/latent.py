"""Latent spaces: interpolation, use of the latent dimensions, and traversals.

The functions work for every model with latents (`encodes`, `decodes`). They return images in rows,
which `kgen.pictures.save_grid` takes as they are; of a model of texts, tokens in rows, which
`model.space.decode` makes sentences of, row by row.
"""

import numpy as np

from kgen.capabilities import require
from kgen.errors import KgenError
from kgen.spaces import as_array, count_of, rows_of, texts_of

SAMPLES, SAMPLE_SEED = 500, 0  # samples to measure `usage` on if no images are given


def interpolate(model, first, second, steps=8, kind="linear", condition=None):
    """Images decoded from an interpolation between the latents of `first` and `second`.

    With latents a and b, t from 0 to 1 and w the angle between a and b:

    - "linear": z = (1 - t) a + t b
    - "spherical": z = sin((1 - t) w) / sin(w) a + sin(t w) / sin(w) b

    Draws of N(0, I) have nearly equal norms. Spherical interpolation keeps that norm; linear
    interpolation passes through latents of smaller norm (White 2016, arXiv:1609.04468).

    Args:
        model: a model with `decodes`; to interpolate between images, with `encodes`, too.
        first, second: uint8 images (n, height, width, channels); or latents, float (n,
            latent_size), such as those of a GAN; for a model of texts, n strings.
        steps: images per row, at least 2; the first and the last are the reconstructions.
        kind: "linear" or "spherical".
        condition: for a conditional model, n rows.

    Returns:
        uint8 images (n, steps, height, width, channels).

    Raises:
        KgenError: for a model without latents, images that it does not take, fewer than 2 steps, or
            another kind.

    Examples:
        >>> model, images = kgen.VAE((8, 8, 1), levels=17), kgen.data.load("digits").test.images
        >>> kgen.latent.interpolate(model, images[:2], images[2:4], steps=5).shape
        (2, 5, 8, 8, 1)
    """
    require(model, "decodes")
    if kind not in ("linear", "spherical"):
        raise KgenError(f"Expected kind 'linear' or 'spherical', received {kind!r}: choose one.")
    if steps < 2:
        raise KgenError(f"Expected at least 2 steps, received {steps}: the ends count.")
    if count_of(first) != count_of(second):
        raise KgenError(
            f"Expected as many second images as first ones, received {count_of(first)} and "
            f"{count_of(second)}: leave some out."
        )
    start, end = (_latents(model, ends, condition) for ends in (first, second))  # (n, d)
    way = np.linspace(0, 1, steps, dtype="float32")[:, None]  # (steps, 1)
    weights = _spherical_weights if kind == "spherical" else _linear_weights
    rows = [
        from_start * a + from_end * b
        for a, b in zip(start, end, strict=True)
        for from_start, from_end in [weights(a, b, way)]
    ]  # n of (steps, d)
    return _decoded(model, np.stack(rows), condition)


def usage(model, images, condition=None):
    """The activity of each latent dimension: the variance over images of its posterior mean.

    Var_x(E_q(z|x)[z]), as in Burda et al. 2015 (arXiv:1509.00519, section 5.2), who call a
    dimension active above 0.01. A VAE does not use dimensions that are not worth their KL term:
    their posterior is the prior for every image, and changing them changes nothing. For a model
    that encodes without noise (an autoencoder, a flow) it is the variance of the code.

    Args:
        model: a model with `encodes`.
        images: uint8 (n, height, width, channels); a reliable estimate needs 100 or more.
        condition: for a conditional model, n rows.

    Returns:
        float64 (latent_size,), in squared units of the latents; the prior N(0, I) has variance 1.

    Raises:
        KgenError: for a model without latents, or images it does not take.

    Examples:
        >>> model, images = kgen.VAE((8, 8, 1), levels=17), kgen.data.load("digits").test.images
        >>> used = kgen.latent.usage(model, images)
        >>> used.shape, used.argsort()[::-1][:2].shape  # the two most used
        ((20,), (2,))
    """
    require(model, "encodes")
    return _latents(model, images, condition).astype("float64").var(axis=0)


def traverse(model, image, dimensions=None, values=None, condition=None):
    """A latent traversal: images whose latents differ in one or two dimensions only.

    Args:
        model: a model with `decodes`; with `encodes`, too, if an image or no dimensions are given.
        image: uint8 (height, width, channels), whose latents all other dimensions keep; for a
            model of texts, a string; or latents, float (latent_size,); None for latents of zero,
            the centre of the prior.
        dimensions: one dimension, 0..latent_size-1, or a pair (rows, columns). None for the two
            with the largest `usage` in 500 samples of the model. For the two with the largest usage
            in your images pass `usage(model, images).argsort()[::-1][:2]`.
        values: values of these dimensions; None for 9 from -3 to 3, which covers nearly all of
            N(0, 1).
        condition: for a conditional model, one row: [7] for label 7.

    Returns:
        uint8 images (rows, columns, height, width, channels); one row if one dimension varies.

    Raises:
        KgenError: for a model without latents, an image that it does not take, several texts,
            dimensions it does not have, or no dimensions for a model that cannot sample.

    Examples:
        >>> model, images = kgen.VAE((8, 8, 1), levels=17), kgen.data.load("digits").test.images
        >>> kgen.latent.traverse(model, images[0]).shape
        (9, 9, 8, 8, 1)
        >>> kgen.latent.traverse(model, images[0], dimensions=3).shape
        (1, 9, 8, 8, 1)
    """
    require(model, "decodes")
    if dimensions is None:
        dimensions = _most_used(model, condition)
    pair = np.atleast_1d(dimensions)
    in_range = pair.dtype.kind in "iu" and (pair >= 0).all() and (pair < model.latent_size).all()
    if len(pair) not in (1, 2) or len(set(pair.tolist())) != len(pair) or not in_range:
        raise KgenError(
            f"Expected one dimension of 0..{model.latent_size - 1}, or two different ones, "
            f"received {dimensions!r}: leave dimensions out for the two most used."
        )
    values = np.linspace(-3, 3, 9) if values is None else np.asarray(values)
    centre = _centre(model, image, condition)
    rows = values if len(pair) == 2 else values[:1]
    latents = np.tile(centre, (len(rows), len(values), 1))
    if len(pair) == 2:
        latents[..., pair[0]] = rows[:, None]
    latents[..., pair[-1]] = values
    return _decoded(model, latents, _repeated(condition, len(rows)))


def _most_used(model, condition):
    """The two dimensions (or the only one) with the largest `usage` in the model's samples."""
    if not (model.can_sample and model.encodes):
        used = "kgen.latent.usage(model, images).argsort()[::-1][:2]"
        lacks, some = ("encode", "(0, 1)") if model.can_sample else ("sample", used)
        raise KgenError(
            f"Expected dimensions, as {type(model).__name__} cannot {lacks} to find out which are "
            f"used, received None: pass dimensions={some}."
        )
    condition = _repeated(condition, SAMPLES)
    samples = model.sample(SAMPLES, condition, SAMPLE_SEED, **model.picture_arguments)
    return usage(model, samples, condition).argsort()[::-1][:2]


def _repeated(condition, count):
    """A condition of one row, repeated to `count` rows; None stays None."""
    if condition is None:
        return None
    arrays = _as_arrays(condition)
    return rows_of(arrays, np.repeat(np.arange(count_of(arrays)), count))


def _centre(model, image, condition):
    """The latents of one image or text, (latent_size,); zeros for None."""
    if image is None:
        return np.zeros(model.latent_size, "float32")
    texts = texts_of(image)
    if texts is None:
        return _latents(model, as_array(image)[None], condition)[0]
    if len(texts) != 1:
        raise KgenError(f"Expected one text to traverse from, received {len(texts)}: pass one.")
    return _latents(model, texts, condition)[0]


def _latents(model, ends, condition):
    """The latents of images or strings; latents are returned unchanged."""
    texts = texts_of(ends)
    if texts is not None:
        return model.latents(texts, condition)
    ends = as_array(ends)
    if ends.shape[1:] == (model.latent_size,) and ends.dtype.kind == "f":
        return ends
    require(model, "encodes")
    return model.latents(ends, condition)


def _decoded(model, latents, condition):
    """Decode latents (n, k, latent_size) to images (n, k, height, width, channels)."""
    rows, columns, size = latents.shape
    condition = rows_of(_as_arrays(condition), np.repeat(np.arange(rows), columns))
    images = model.decode(latents.reshape(-1, size), condition)
    return images.reshape(rows, columns, *images.shape[1:])


def _as_arrays(condition):
    if isinstance(condition, dict):
        return {name: _as_arrays(part) for name, part in condition.items()}
    texts = texts_of(condition)
    return None if condition is None else np.asarray(condition if texts is None else texts)


def _linear_weights(start, end, way):
    return 1 - way, way


def _spherical_weights(start, end, way):
    cosine = start @ end / max(np.linalg.norm(start) * np.linalg.norm(end), 1e-12)
    angle = np.arccos(np.clip(cosine, -1, 1))
    if np.sin(angle) < 1e-6:  # the same or opposite directions span no plane
        return _linear_weights(start, end, way)
    return np.sin((1 - way) * angle) / np.sin(angle), np.sin(way * angle) / np.sin(angle)
