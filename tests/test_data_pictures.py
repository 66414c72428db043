"""Image files of every format, with broken EXIF, of any colours and depth."""

import logging
import struct
import warnings

import numpy as np
import pytest
from PIL import Image
from test_data import error_line, some_images
from test_data_folders import write, write_many

from kgen.data import image_files, load

# The formats that everybody's pillow writes and reads; the others are those of its optional codecs.
SUFFIXES = (".bmp", ".gif", ".tif", ".TIFF", ".jfif", ".apng", ".ppm", ".tga", ".pcx", ".sgi")
LOSSLESS = set(SUFFIXES) - {".gif", ".jfif"}


def exif(*entries, byte_order="<"):
    """EXIF of the entries (tag, type, count, four bytes or a number), each as it is given."""
    content = {"<": b"II", ">": b"MM"}[byte_order] + struct.pack(f"{byte_order}HI", 42, 8)
    content += struct.pack(f"{byte_order}H", len(entries))
    for tag, kind, count, value in entries:
        if not isinstance(value, bytes):
            value = struct.pack(f"{byte_order}HH" if kind == 3 else f"{byte_order}I4x", value, 0)
        content += struct.pack(f"{byte_order}HHI", tag, kind, count) + value[:4]
    return b"Exif\0\0" + content + bytes(4)


SIDEWAYS = (0x0112, 3, 1, 6)
TEXT = b"abc\0"
# Each says that the picture is sideways, and something else that is wrong.
BROKEN = {
    "a resolution as text": [SIDEWAYS, (0x011A, 2, 4, TEXT)],
    "a resolution beyond the end": [SIDEWAYS, (0x011A, 5, 1, b"\xff\xff\0\0")],
    "a maker as numbers": [SIDEWAYS, (0x010F, 12, 1, b"\x1a\0\0\0")],
    "a width as text": [(0x0100, 2, 4, TEXT), SIDEWAYS],
    "offsets as text": [(0x0111, 2, 4, TEXT), SIDEWAYS],
    "a type that is none": [SIDEWAYS, (0x9999, 77, 1, TEXT)],
    "a place as text": [SIDEWAYS, (0x8825, 2, 4, TEXT)],
    "a folder beyond the end": [SIDEWAYS, (0x8769, 4, 1, b"\xff\xff\0\0")],
    "a folder that is its own": [SIDEWAYS, (0x8769, 4, 1, b"\x08\0\0\0")],
    "a text without end": [SIDEWAYS, (0x010F, 2, 2**32 - 1, TEXT)],
}
# What says nothing of the orientation.
UNKNOWN = {
    "empty": b"Exif\0\0",
    "garbage": b"garbage!",
    "cut header": b"Exif\0\0II*\0",
    "cut entry": exif(SIDEWAYS)[:18],
    "a folder beyond the end": b"Exif\0\0II*\0" + struct.pack("<I", 9999),
    "text": exif((0x0112, 2, 4, b"6\0\0\0")),
    "no orientation": exif((0x0112, 3, 1, 9)),
}


def warned(caplog):
    """The one line that was logged."""
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("kgen", logging.WARNING)
    assert record.getMessage().startswith("kgen: ")
    assert "\n" not in record.getMessage()
    return record.getMessage()


# === Formats ===


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_pillow_reads_is_read(tmp_path, suffix):
    images = write_many(tmp_path, 3, suffix=suffix)
    read = load(tmp_path).train.images
    assert read.shape == (2, 6, 8, 3)
    assert np.array_equal(read, images[1:]) or suffix not in LOSSLESS


def test_jpeg_2000_is_read(tmp_path):
    if ".jp2" not in image_files.suffixes():  # then kgen does not promise to read it
        pytest.skip("this pillow was built without JPEG 2000")
    images = write_many(tmp_path, 3, suffix=".jp2")
    assert np.array_equal(load(tmp_path).train.images, images[1:])


@pytest.mark.parametrize("suffix", [".gif", ".tif", ".png"])
def test_of_several_frames_the_first_is_read(tmp_path, suffix):
    first, second = Image.new("L", (2, 2), 200), Image.new("L", (2, 2), 100)
    for name in ("a", "b"):
        first.save(tmp_path / f"{name}{suffix}", save_all=True, append_images=[second])
    assert np.unique(load(tmp_path).train.images).tolist() == [200]


def test_a_format_of_the_users_plugin_is_read(tmp_path, monkeypatch):
    from PIL import PpmImagePlugin

    images = write_many(tmp_path, 3, suffix=".ppm")
    for path in tmp_path.iterdir():
        path.rename(path.with_suffix(".mine"))
    Image.init()
    monkeypatch.setitem(Image.OPEN, "MINE", (PpmImagePlugin.PpmImageFile, None))
    monkeypatch.setitem(Image.EXTENSION, ".mine", "MINE")
    assert np.array_equal(load(tmp_path).train.images, images[1:])


def test_a_suffix_may_be_wrong(tmp_path):
    images = write_many(tmp_path, 3)
    for path in tmp_path.iterdir():
        path.rename(path.with_suffix(".tga"))  # a format without a signature
    assert np.array_equal(load(tmp_path).train.images, images[1:])


@pytest.mark.parametrize("suffix", [".eps", ".ps", ".wmf", ".mpg", ".fits", ".h5", ".grib", ".pdf"])
def test_what_holds_no_pixels_or_starts_other_programs_is_not_opened(suffix):
    assert suffix not in image_files.suffixes()


def test_postscript_under_another_suffix_is_not_run(tmp_path):
    for name in ("a.png", "b.tga"):
        (tmp_path / name).write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 2 2\n%%EOF\n")
    assert "2 damaged files: a.png (no image), b.tga (" in error_line(tmp_path)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".png", ".jpg", ".webp"])
def test_a_bomb_is_refused_in_every_format(tmp_path, monkeypatch, suffix):
    write_many(tmp_path, 2, suffix=suffix)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    assert "2 damaged files: 000" in error_line(tmp_path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("keep", [0, 10, 0.5])
def test_a_damaged_file_of_any_format_is_named(tmp_path, suffix, keep):
    write_many(tmp_path, 3, suffix=suffix, shape=(30, 30))
    path = tmp_path / f"001{suffix}"
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep == 0.5 else keep])
    assert f"1 damaged file: 001{suffix} (" in error_line(tmp_path)


# === What is left out ===


def test_other_files_are_reported_by_number_and_example(tmp_path, caplog):
    write_many(tmp_path / "cats", 5)
    for name in ("b.heic", "a.HEIC", "notes.txt", "README"):
        (tmp_path / "cats" / name).write_bytes(b"no image")
    (tmp_path / ".hidden").write_bytes(b"")
    data = load(tmp_path)
    said = warned(caplog)
    assert "4 other files (2 .heic, 1 without a suffix, 1 .txt)" in said
    assert said.endswith("such as cats/a.HEIC. Convert what is an image to PNG.")
    assert data.source.endswith("; other files left out: 4")


def test_a_folder_of_images_alone_reports_nothing(tmp_path, caplog):
    write_many(tmp_path, 5)
    assert "left out" not in load(tmp_path).source
    assert caplog.records == []


def test_a_folder_of_other_files_says_what_is_there(tmp_path):
    for name in ("a.heic", "b.heic"):
        (tmp_path / name).write_bytes(b"no image")
    message = error_line(tmp_path)
    assert "received none but 2 other files (2 .heic), such as a.heic: check" in message
    assert "convert" in message


# === EXIF ===


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_broken_exif_leaves_the_picture_and_its_orientation(tmp_path, suffix):
    """It makes no file damaged, no warning, and no picture stand on its head."""
    broken = {"in order": exif(SIDEWAYS), "big end first": exif(SIDEWAYS, byte_order=">")}
    broken |= {name: exif(*entries) for name, entries in BROKEN.items()}
    for sideways, headers in ((True, broken), (False, UNKNOWN)):
        folder = tmp_path / str(sideways)
        folder.mkdir()
        for name, header in headers.items():
            Image.new("RGB", (8, 4), "white").save(folder / f"{name}{suffix}", exif=header)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert load(folder).image_shape == ((8, 4, 3) if sideways else (4, 8, 3))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_every_orientation_is_turned_upright_once(tmp_path, orientation, suffix):
    from PIL import ImageOps

    stored = Image.fromarray(some_images(1, 2, 3, 3)[0])
    turned = Image.Exif()
    turned[0x0112] = orientation
    for name in ("a", "b"):
        stored.save(tmp_path / f"{name}{suffix}", exif=turned)
    with Image.open(tmp_path / f"b{suffix}") as picture:
        upright = np.asarray(ImageOps.exif_transpose(picture))
    assert np.array_equal(load(tmp_path).train.images, upright[np.newaxis])


def test_sixteen_bits_and_transparency_are_turned_upright_too(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    for name in ("a", "b"):
        Image.fromarray(np.full((2, 3), 0xFFFF, np.uint16)).save(
            tmp_path / f"16{name}.png", exif=turned
        )
        Image.new("RGBA", (3, 2)).save(tmp_path / f"clear{name}.png", exif=turned)
    assert load(tmp_path, mode="gray").image_shape == (3, 2, 1)


# === Colours ===


@pytest.mark.parametrize(("mode", "expected"), [("rgb", [102] * 3), ("gray", [102])])
def test_mode_unites_grey_colour_and_transparent_files(tmp_path, mode, expected):
    image = np.full((4, 4, 3), 102, np.uint8)
    for name in ("1", "L", "LA", "P", "RGB", "RGBA"):
        write(tmp_path / f"{name}.png", image, name)
    write(tmp_path / "CMYK.tif", image, "CMYK")
    Image.fromarray(np.full((4, 4), 102 << 8, np.uint16)).save(tmp_path / "16.png")
    Image.new("RGBA", (4, 4), (102, 102, 102, 0)).save(tmp_path / "z.png")
    data = load(tmp_path, mode=mode)
    *images, clear = data.train.images[:, 0, 0].tolist()
    assert images == [expected] * 7
    assert clear == [255] * len(expected)


def test_a_mixture_says_how_many_there_are_of_each_and_the_way_out(tmp_path):
    write_many(tmp_path, 5)
    write(tmp_path / "odd.png", some_images(1, 6, 8, 3)[0], "L")
    message = error_line(tmp_path)
    assert "received 5 RGB (" in message
    assert f"1 grey ({tmp_path / 'odd.png'})" in message
    assert 'add mode="rgb" (--color rgb)' in message
    assert load(tmp_path, mode="rgb").image_shape == (6, 8, 3)


@pytest.mark.parametrize(("mode", "channels"), [("rgb", 3), ("gray", 1), (None, 1)])
def test_mode_of_a_named_set_and_of_arrays(mode, channels):
    images = load("digits", mode=mode).train.images
    assert images.shape == (1438, 8, 8, channels)
    assert (images == load("digits").train.images).all()
    assert load(some_images(), mode=mode).image_shape == (4, 5, channels)


def test_grayscale_is_mode_gray():
    colour = some_images(channels=3)
    assert load(colour, grayscale=True).checksum == load(colour, mode="gray").checksum
    assert "received mode=" in error_line(colour, mode="rgb", grayscale=True)


@pytest.mark.parametrize("mode", ["RGB", "grey", 3, ["rgb"], np.zeros(2)])
def test_another_mode_is_an_error(mode):
    assert 'Expected mode to be "rgb", "gray" or None, received' in error_line("digits", mode=mode)


# === Depth ===


def write_deep(folder, largest, suffix=".png"):
    for name in ("a", "b", "c"):
        values = np.linspace(0, largest, 12).reshape(3, 4).astype(np.uint16)
        Image.fromarray(values).save(folder / f"{name}{suffix}")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_12_bits_in_16_are_reported_with_the_range(tmp_path, caplog, suffix):
    write_deep(tmp_path, 4095, suffix)
    load(tmp_path, size=2)
    said = warned(caplog)
    assert f"the 16-bit files of {tmp_path} reach 4095 of 65535" in said
    assert "If they are 12-bit data, multiply them by 16 first" in said


def test_12_bits_of_colour_in_16_are_reported(tmp_path, caplog):
    pixels = struct.pack(">6H", *[4095, 0, 0] * 2)
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(png(header, b"\0" + pixels))
    assert load(tmp_path).train.images[0, 0].tolist() == [[15, 0, 0]] * 2
    assert f"the 16-bit files of {tmp_path} reach 4095 of 65535" in warned(caplog)


def png(header, pixels):
    import zlib

    content = b"\x89PNG\r\n\x1a\n"
    for name, chunk in ((b"IHDR", header), (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")):
        content += struct.pack(">I", len(chunk)) + name + chunk
        content += struct.pack(">I", zlib.crc32(name + chunk))
    return content


def test_16_bits_in_16_and_8_in_8_are_not_reported(tmp_path, caplog):
    write_deep(tmp_path, 65535)
    write(tmp_path / "z.png", np.full((3, 4, 3), 128, np.uint8), "L")
    load(tmp_path)
    assert caplog.records == []


def test_masks_of_small_numbers_are_reported(tmp_path, caplog):
    for name in ("a", "b"):
        Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3)).save(tmp_path / f"{name}.png")
    load(tmp_path)
    assert f"the 8-bit files of {tmp_path} reach 5 of 255" in warned(caplog)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.full((2, 2), 0.5, np.float32), "floating-point values"),
        (np.full((2, 2), 70_000, np.int32), "values 70000..70000, which are not 16-bit"),
        (np.full((2, 2), -1, np.int32), "values -1..-1, which are not 16-bit"),
    ],
)
def test_values_of_no_known_range_are_an_error(tmp_path, image, reason):
    for name in ("a", "b"):
        Image.fromarray(image).save(tmp_path / f"{name}.tif")
    assert f"2 damaged files: a.tif ({reason}" in error_line(tmp_path)
