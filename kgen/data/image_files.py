"""Image files and single images, through pillow."""

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kgen.errors import KgenError
from kgen.files import check_regular_file

# Pillow starts Ghostscript for EPS, draws WMF on Windows only, and knows of the others no pixels.
_NOT_READ = frozenset({"EPS", "WMF", "MPEG", "FITS", "BUFR", "GRIB", "HDF5"})
# Formats with a signature: a file that is one of these may bear the suffix of any other.
_SIGNED = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000")

_MODES = {"rgb": "RGB", "gray": "L"}  # the argument `mode` of `load`: pillow's mode
_GREY_16 = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I"})  # "I" in older releases of pillow
_GREY = frozenset({"1", "L", "LA", "La", "F"}) | _GREY_16

# Tag and values of EXIF's orientation: the names of pillow's transpositions.
_ORIENTATION = 0x0112
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}

# Memory that reading an image takes: 4 bytes a pixel in pillow, and copies in other modes.
# Progressive JPEGs hold their coefficients, too, whatever the size asked for.
_BYTES_A_PIXEL = 20
_BYTES_OF_COEFFICIENTS = 6
LARGE = 2**22  # pixels; a JPEG of more is decoded near to the size it is brought to

# The largest values found in files of 8 and of 16 bits a channel, each -1 where there are no such.
Reach = tuple[int, int]
NO_REACH: Reach = (-1, -1)


class DamagedImageError(KgenError):
    """A file that holds no readable image; the message is the reason, without the file's name."""


def suffixes() -> dict[str, str]:
    """{suffix in lower case, with its dot: pillow's name of the format} of the files to read.

    Every format that pillow reads as pixels, those of plugins that the user has registered too.
    """
    from PIL import Image

    known = Image.registered_extensions()  # loads pillow's own plugins
    readable = {"MPO", *Image.OPEN} - _NOT_READ  # pillow opens MPO, photographs in pairs, as JPEG
    return {suffix: name for suffix, name in known.items() if name in readable}


@dataclass(frozen=True)
class Header:
    """What is known of an image file before its pixels are decoded.

    Attributes:
        kind: grey or RGB, each with or without transparency. A palette counts as RGB.
        height, width: of the image as it stands in the file, before it is turned.
        pixels: that are decoded.
        bytes: of memory that reading takes at most.
    """

    kind: str
    height: int
    width: int
    pixels: int
    bytes: int


def header(path: Path, size: tuple[int, int] | None) -> Header:
    """The header of the image in a file that is to be read as `size`. Raises DamagedImageError."""
    with _opened(path) as picture:
        transparent, (width, height) = picture.has_transparency_data, picture.size
        name = "grey" if picture.mode in _GREY else "RGB"
        kind = {"grey": "grey with transparency", "RGB": "RGBA"}[name] if transparent else name
        _drafted(picture, size)
        pixels = picture.width * picture.height
        coefficients = _BYTES_OF_COEFFICIENTS if picture.info.get("progressive") else 0
        needed = pixels * _BYTES_A_PIXEL + width * height * coefficients
    return Header(kind, height, width, pixels, needed)


def read(path: Path, size: tuple[int, int] | None, mode: str | None) -> tuple[np.ndarray, Reach]:
    """The image in a file, uint8 (height, width, 1 or 3), and the largest value that it holds.

    The image is upright, and on white where it is transparent; of several frames it is the first.
    Of 16 bits a channel the upper 8 are kept, whatever part of their range is used. `size` and
    `mode` are as in `adapted`. Raises DamagedImageError.
    """
    with _opened(path) as picture:
        is_deep = any(";16" in str(tile[3]) for tile in picture.tile)  # 16 bits, such as RGB;16B
        _drafted(picture, size)
        # Before EXIF is read, which for some formats would load the image and hide what is wrong.
        picture.load()
        own_mode = "L" if picture.mode in _GREY else "RGB"
        if picture.mode == "F":
            raise DamagedImageError("floating-point values, which have no fixed range")
        shallow, largest = _eight_bits(picture) if picture.mode in _GREY_16 else (picture, None)
        opaque = on_white(shallow) if shallow.has_transparency_data else shallow
        upright = _turned(_in_mode(opaque, own_mode), _orientation(picture))
        if largest is not None:
            reach = (-1, largest)
        else:
            extrema = upright.getextrema()  # of one channel, or a pair for each
            highest = int(max(np.ravel(extrema)))
            reach = (-1, highest << 8 | 0xFF) if is_deep else (highest, -1)
        return _pixels(_adapted(upright, size, mode)), reach


def adapted(image: np.ndarray, size: tuple[int, int] | None, mode: str | None) -> np.ndarray:
    """`image`, uint8 (height, width, 1 or 3), turned to the colours of `mode` and to `size`.

    `mode` is "rgb", "gray", or None for what the image has. `size` is (height, width): the image is
    cropped about its centre to that aspect ratio, then resized by pillow's bicubic filter, which
    widens as the image shrinks and so does not alias.
    """
    from PIL import Image

    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    return _pixels(_adapted(picture, size, mode))


def channels(mode: str | None, own: int) -> int:
    """Number of channels of an image of `own` channels once it has the colours of `mode`."""
    return {"rgb": 3, "gray": 1}.get(mode, own)


@contextmanager
def _opened(path: Path):
    from PIL import Image, UnidentifiedImageError

    # Not all that pillow knows: formats without a signature would take any content for theirs.
    formats = [name for name in (*_SIGNED, suffixes()[path.suffix.lower()]) if name in Image.OPEN]
    try:
        check_regular_file(path, follow=True)
        with Image.open(path, formats=formats) as picture:
            yield picture
    except DamagedImageError:
        raise
    except UnidentifiedImageError as error:  # its message repeats the path
        raise DamagedImageError("no image") from error
    # Damage shows as OSError, SyntaxError, ValueError, struct.error, ...: pillow promises no list.
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DamagedImageError(" ".join(reason.split())) from error


def _drafted(picture, size) -> None:
    """Have a large JPEG decoded at 1/2, 1/4 or 1/8 of its sides, where that is twice `size`."""
    if size is not None and picture.width * picture.height > LARGE:
        picture.draft(None, (2 * max(size), 2 * max(size)))  # before it is turned: either side


def _in_mode(picture, mode: str):
    """`picture` in a mode of pillow's, without a copy where it has that already."""
    return picture if picture.mode == mode else picture.convert(mode)


def _orientation(picture) -> int:
    """EXIF's orientation, or 1, upright, where there is none or EXIF cannot be read."""
    # The rest of EXIF is never looked at. Damage shows as any exception: pillow promises no list.
    with suppress(Exception):
        return picture.getexif().get(_ORIENTATION, 1)
    return 1


def _turned(picture, orientation: int):
    from PIL import Image

    name = _TURNS.get(orientation)
    return picture.transpose(Image.Transpose[name]) if name else picture


def _eight_bits(picture):
    """16-bit grey by its upper bytes, as pillow itself reads 16-bit colour, and its largest value.

    Raises DamagedImageError for values that are not 16-bit.
    """
    from PIL import Image

    values = np.asarray(picture)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 0xFFFF:
        raise DamagedImageError(f"values {low}..{high}, which are not 16-bit")
    grey = Image.fromarray((values >> 8).astype(np.uint8))
    if picture.has_transparency_data:  # one of the 65,536 values stands for transparent
        opaque = values != picture.info["transparency"]
        grey.putalpha(Image.fromarray(opaque.astype(np.uint8) * 255))
    return grey, high


def on_white(picture):
    """A transparent picture of pillow's, opaque on white."""
    from PIL import Image

    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, _in_mode(picture, "RGBA"))


def _adapted(picture, size, mode):
    from PIL import Image, ImageOps

    if mode is not None:
        picture = _in_mode(picture, _MODES[mode])
    if size is not None:
        height, width = size
        picture = ImageOps.fit(picture, (width, height), Image.Resampling.BICUBIC)
    return picture


def _pixels(picture) -> np.ndarray:
    """uint8 (height, width, channels) of a picture of mode L or RGB."""
    values = np.asarray(picture)
    return values if values.ndim == 3 else values[..., np.newaxis]
