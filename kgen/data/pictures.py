"""Image files and single images, through pillow."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np

from kgen.errors import KgenError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})

_GREY = frozenset({"1", "L", "LA"})
_COLOUR = frozenset({"P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})


def kind(path: Path) -> str:
    """What an image file holds, from its header: grey or RGB, each with or without transparency.

    A palette counts as RGB. Raises KgenError for a damaged file or more than 8 bits a channel.
    """
    with _opened(path) as picture:
        mode, transparent = picture.mode, picture.has_transparency_data
    if mode not in _GREY | _COLOUR:
        raise KgenError(
            f"{path}: expected an image of 8 bits a channel, received mode {mode}: convert it"
        )
    if mode in _GREY:
        return "grey with transparency" if transparent else "grey"
    return "RGBA" if transparent else "RGB"


def read(path: Path) -> np.ndarray:
    """The upright image in a file, on white where it is transparent: uint8 (height, width, 1 or 3).

    Raises KgenError for a damaged file.
    """
    from PIL import ImageOps

    with _opened(path) as picture:
        mode = "L" if picture.mode in _GREY else "RGB"
        upright = ImageOps.exif_transpose(picture)
        opaque = _on_white(upright) if upright.has_transparency_data else upright
        return _pixels(opaque.convert(mode))


def adapted(image: np.ndarray, size: tuple[int, int] | None, grayscale: bool) -> np.ndarray:
    """`image`, uint8 (height, width, 1 or 3), turned grey where asked and brought to `size`.

    `size` is (height, width): the image is cropped about its centre to that aspect ratio, then
    resized by pillow's bicubic filter, which widens as the image shrinks and so does not alias.
    """
    from PIL import Image, ImageOps

    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    if grayscale:
        picture = picture.convert("L")
    if size is not None:
        height, width = size
        picture = ImageOps.fit(picture, (width, height), Image.Resampling.BICUBIC)
    return _pixels(picture)


@contextmanager
def _opened(path: Path):
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as picture:
            yield picture
    # Damage shows as OSError, SyntaxError, ValueError, struct.error, ...: pillow promises no list.
    except Exception as error:
        raise KgenError(
            f"{path}: expected a readable PNG, JPEG or WebP image, received a damaged file"
            f" ({' '.join(str(error).split())}): repair or remove it"
        ) from error


def _on_white(picture):
    from PIL import Image

    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture.convert("RGBA"))


def _pixels(picture) -> np.ndarray:
    """uint8 (height, width, channels) of a picture of mode L or RGB."""
    values = np.asarray(picture)
    return values if values.ndim == 3 else values[..., np.newaxis]
