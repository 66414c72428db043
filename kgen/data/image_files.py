"""Read single image files, by pillow."""

from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np

from kgen.errors import KgenError
from kgen.files import check_regular_file

# Pillow starts Ghostscript for EPS, draws WMF only on Windows, and reads no pixels of the others.
_NOT_READ = frozenset({"EPS", "WMF", "MPEG", "FITS", "BUFR", "GRIB", "HDF5"})
# Formats with a signature: they are recognised whatever suffix the file has.
_SIGNED = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000")

_MODES = {"rgb": "RGB", "gray": "L"}  # the argument `mode` of `load`: pillow's mode
_GREY_16 = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I"})  # "I" in older releases of pillow
_GREY = frozenset({"1", "L", "LA", "La", "F"}) | _GREY_16

# The EXIF tag of the orientation, and {its value: the name of pillow's transposition}.
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

# Memory to read an image: 4 bytes per pixel in pillow, and copies in other modes. Progressive JPEGs
# also hold the coefficients of all pixels, whatever size is decoded.
_BYTES_A_PIXEL = 20
_BYTES_OF_COEFFICIENTS = 6
LARGE = 2**22  # pixels; a larger JPEG is decoded at a reduced size, near the target size

# A reach: the largest values in files of 8 and of 16 bits per channel; -1 if there are none.
NO_REACH = (-1, -1)


class DamagedImageError(KgenError):
    """A file without a readable image; the message is the reason, without the file's name."""


def suffixes():
    """{suffix: pillow's format name} of the files to read; suffixes are ".png" and the like.

    These are all formats that pillow reads as pixels, including those of the user's plugins.
    """
    from PIL import Image

    known = Image.registered_extensions()  # loads pillow's own plugins
    readable = {"MPO", *Image.OPEN} - _NOT_READ  # pillow opens MPO, photographs in pairs, as JPEG
    return {suffix: name for suffix, name in known.items() if name in readable}


@dataclass(frozen=True)
class Header:
    """The header of an image file, read before its pixels are decoded.

    Attributes:
        kind: grey or RGB, each with or without transparency. A palette counts as RGB.
        height, width: in the file, before the EXIF orientation is applied.
        pixels: number of pixels that are decoded.
        bytes: peak memory of reading the image.
    """

    kind: str
    height: int
    width: int
    pixels: int
    bytes: int


def header(path, size):
    """The `Header` of an image file to be read at `size`, (height, width) or None.

    Raises:
        DamagedImageError: if it cannot be read.
    """
    with _opened(path) as picture:
        transparent, (width, height) = picture.has_transparency_data, picture.size
        name = "grey" if picture.mode in _GREY else "RGB"
        kind = {"grey": "grey with transparency", "RGB": "RGBA"}[name] if transparent else name
        _drafted(picture, size)
        pixels = picture.width * picture.height
        coefficients = _BYTES_OF_COEFFICIENTS if picture.info.get("progressive") else 0
        needed = pixels * _BYTES_A_PIXEL + width * height * coefficients
    return Header(kind, height, width, pixels, needed)


def read(path, size, mode):
    """The image of a file, and its largest value.

    The EXIF orientation is applied. Transparent images are put on white. Of several frames the
    first is read. Of 16 bits per channel the upper 8 are kept, whatever part of the range is used.

    Args:
        path: of the file.
        size, mode: as in `adapted`.

    Returns:
        uint8 (height, width, 1 or 3), and its reach, as `NO_REACH`.

    Raises:
        DamagedImageError: if it cannot be read.
    """
    with _opened(path) as picture:
        is_deep = any(";16" in str(tile[3]) for tile in picture.tile)  # 16 bits, such as RGB;16B
        _drafted(picture, size)
        # Before EXIF is read: for some formats that would load the image and hide its errors.
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
            extrema = upright.getextrema()  # a pair, or one pair per channel
            highest = int(max(np.ravel(extrema)))
            reach = (-1, highest << 8 | 0xFF) if is_deep else (highest, -1)
        return _pixels(_adapted(upright, size, mode)), reach


def adapted(image, size, mode):
    """An image converted to other colours and another size.

    Args:
        image: uint8 (height, width, 1 or 3).
        size: (height, width), or None for no change. The image is cropped about its centre to that
            aspect ratio, then resized by pillow's bicubic filter, which is antialiased.
        mode: "rgb", "gray", or None for no change.

    Returns:
        uint8 (height, width, 1 or 3).
    """
    from PIL import Image

    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    return _pixels(_adapted(picture, size, mode))


def channels(mode, own):
    """Number of channels of an image after conversion to `mode`; it has `own` channels before."""
    return {"rgb": 3, "gray": 1}.get(mode, own)


@contextmanager
def _opened(path):
    from PIL import Image, UnidentifiedImageError

    # Not all of pillow's formats: those without a signature would accept any content.
    formats = [name for name in (*_SIGNED, suffixes()[path.suffix.lower()]) if name in Image.OPEN]
    try:
        check_regular_file(path, follow=True)
        with Image.open(path, formats=formats) as picture:
            yield picture
    except DamagedImageError:
        raise
    except UnidentifiedImageError as error:  # its message would repeat the path
        raise DamagedImageError("no image") from error
    # Damage raises OSError, SyntaxError, ValueError, struct.error, ...: pillow documents no list.
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DamagedImageError(" ".join(reason.split())) from error


def _drafted(picture, size):
    """Decode a large JPEG at 1/2, 1/4 or 1/8 of its sides, if these stay twice `size` or more."""
    if size is not None and picture.width * picture.height > LARGE:
        picture.draft(None, (2 * max(size), 2 * max(size)))  # max: it may still be rotated


def _in_mode(picture, mode):
    """`picture` in a mode of pillow, without a copy if it has that mode."""
    return picture if picture.mode == mode else picture.convert(mode)


def _orientation(picture):
    """The EXIF orientation; 1 (upright) if there is none, or EXIF cannot be read."""
    # The rest of EXIF is not used. Damage raises any exception: pillow documents no list.
    with suppress(Exception):
        return picture.getexif().get(_ORIENTATION, 1)
    return 1


def _turned(picture, orientation):
    from PIL import Image

    name = _TURNS.get(orientation)
    return picture.transpose(Image.Transpose[name]) if name else picture


def _eight_bits(picture):
    """The upper 8 bits of a 16-bit grey image (as pillow reads 16-bit colour), and its maximum.

    Raises DamagedImageError for values that are not 16-bit.
    """
    from PIL import Image

    values = np.asarray(picture)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 0xFFFF:
        raise DamagedImageError(f"values {low}..{high}, which are not 16-bit")
    grey = Image.fromarray((values >> 8).astype(np.uint8))
    if picture.has_transparency_data:  # one of the 65,536 values means transparent
        opaque = values != picture.info["transparency"]
        grey.putalpha(Image.fromarray(opaque.astype(np.uint8) * 255))
    return grey, high


def on_white(picture):
    """A transparent pillow image, composited on white."""
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


def _pixels(picture):
    """A pillow image of mode L or RGB as uint8 (height, width, channels)."""
    values = np.asarray(picture)
    return values if values.ndim == 3 else values[..., np.newaxis]
