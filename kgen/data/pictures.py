"""Image files and single images, through pillow."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np

from kgen.errors import KgenError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})

_GREY_16 = frozenset({"I;16", "I"})  # as pillow of today, and of before, calls 16-bit grey
_GREY = frozenset({"1", "L", "LA"}) | _GREY_16


class DamagedImageError(KgenError):
    """A file that holds no readable image; the message is the reason, without the file's name."""


def kind(path: Path) -> str:
    """What an image file holds, from its header: grey or RGB, each with or without transparency.

    A palette counts as RGB. Raises DamagedImageError.
    """
    with _opened(path) as picture:
        mode, transparent = picture.mode, picture.has_transparency_data
    if mode in _GREY:
        return "grey with transparency" if transparent else "grey"
    return "RGBA" if transparent else "RGB"


def read(path: Path, size: tuple[int, int] | None, grayscale: bool) -> np.ndarray:
    """The image in a file, uint8 (height, width, 1 or 3), upright, on white where transparent.

    Of 16 bits a channel the upper 8 are kept, whatever part of their range is used. `size` and
    `grayscale` are as in `adapted`. Raises DamagedImageError.
    """
    from PIL import ImageOps

    with _opened(path) as picture:
        mode = "L" if picture.mode in _GREY else "RGB"
        ImageOps.exif_transpose(picture, in_place=True)
        shallow = _eight_bits(picture) if picture.mode in _GREY_16 else picture
        opaque = _on_white(shallow) if shallow.has_transparency_data else shallow
        return _pixels(_adapted(opaque.convert(mode), size, grayscale))


def adapted(image: np.ndarray, size: tuple[int, int] | None, grayscale: bool) -> np.ndarray:
    """`image`, uint8 (height, width, 1 or 3), turned grey where asked and brought to `size`.

    `size` is (height, width): the image is cropped about its centre to that aspect ratio, then
    resized by pillow's bicubic filter, which widens as the image shrinks and so does not alias.
    """
    from PIL import Image

    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    return _pixels(_adapted(picture, size, grayscale))


@contextmanager
def _opened(path: Path):
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as picture:
            yield picture
    except UnidentifiedImageError as error:  # its message repeats the path
        raise DamagedImageError("no image") from error
    # Damage shows as OSError, SyntaxError, ValueError, struct.error, ...: pillow promises no list.
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DamagedImageError(" ".join(reason.split())) from error


def _eight_bits(picture):
    """16-bit grey by its upper bytes, as pillow itself reads 16-bit colour."""
    from PIL import Image

    values = np.asarray(picture)
    grey = Image.fromarray((values >> 8).astype(np.uint8))
    if picture.has_transparency_data:  # one of the 65,536 values stands for transparent
        opaque = values != picture.info["transparency"]
        grey.putalpha(Image.fromarray(opaque.astype(np.uint8) * 255))
    return grey


def _on_white(picture):
    from PIL import Image

    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture.convert("RGBA"))


def _adapted(picture, size, grayscale):
    from PIL import Image, ImageOps

    if grayscale:
        picture = picture.convert("L")
    if size is not None:
        height, width = size
        picture = ImageOps.fit(picture, (width, height), Image.Resampling.BICUBIC)
    return picture


def _pixels(picture) -> np.ndarray:
    """uint8 (height, width, channels) of a picture of mode L or RGB."""
    values = np.asarray(picture)
    return values if values.ndim == 3 else values[..., np.newaxis]
