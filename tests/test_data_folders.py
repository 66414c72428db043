"""Folders of image files."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from test_data import error_line, some_images

from kgen.data import load


def write(path, image, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).convert(mode).save(path)
    return path


def write_many(folder, n=12, mode="RGB", suffix=".png", shape=(6, 8)):
    images = some_images(n, *shape, 3)
    for number, image in enumerate(images):
        write(folder / f"{number:03}{suffix}", image, mode)
    return images


def test_colour_files_are_read_in_order(tmp_path):
    images = write_many(tmp_path)
    data = load(tmp_path)
    assert (data.levels, data.train.labels, data.name) == (256, None, tmp_path.name)
    assert np.array_equal(data.test.images, images[[0, 10]])
    assert np.array_equal(data.train.images[0], images[1])


def test_path_may_be_text(tmp_path):
    write_many(tmp_path)
    assert len(load(str(tmp_path)).train) == 10


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".webp"])
def test_formats(tmp_path, suffix):
    write_many(tmp_path, 3, suffix=suffix)
    assert load(tmp_path).image_shape == (6, 8, 3)


def test_grey_files_have_one_channel(tmp_path):
    write_many(tmp_path, mode="L")
    assert load(tmp_path).image_shape == (6, 8, 1)


def test_black_and_white_files_have_256_levels(tmp_path):
    write_many(tmp_path, mode="1")
    data = load(tmp_path)
    assert data.levels == 256
    assert set(np.unique(data.train.images)) == {0, 255}


def test_palette_files_become_their_colours(tmp_path):
    for name in ("a.png", "b.png"):
        write(tmp_path / name, np.full((2, 2, 3), (255, 0, 7), np.uint8), "P")
    palette = Image.new("P", (2, 2))
    palette.putpalette([9, 8, 7])
    palette.save(tmp_path / "b.png")
    assert load(tmp_path).train.images[0, 0, 0].tolist() == [9, 8, 7]


@pytest.mark.parametrize(("mode", "channels"), [("RGBA", 3), ("LA", 1)])
def test_transparent_files_are_put_on_white(tmp_path, mode, channels):
    for name in ("a.png", "b.png"):
        Image.new(mode, (2, 2), (0,) * (channels + 1)).save(tmp_path / name)
    images = load(tmp_path).train.images
    assert images.shape == (1, 2, 2, channels)
    assert (images == 255).all()


def test_sideways_photographs_are_turned_upright(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (8, 4)).save(tmp_path / name, exif=turned)
    assert load(tmp_path).image_shape == (8, 4, 3)


def test_sub_folders_are_labels(tmp_path):
    write_many(tmp_path / "cats", 20)
    write_many(tmp_path / "dogs" / "young", 10)
    (tmp_path / "empty").mkdir()
    data = load(tmp_path)
    assert data.label_names == ("cats", "dogs")
    assert data.train.labels.dtype == np.int64
    assert np.bincount(data.train.labels).tolist() == [18, 9]
    assert np.bincount(data.test.labels).tolist() == [2, 1]


def test_other_and_hidden_files_are_ignored(tmp_path):
    write_many(tmp_path, 5)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "._000.png").write_bytes(b"no image")
    write_many(tmp_path / ".thumbnails", 5)
    assert len(load(tmp_path).train) == 4


def test_links_to_folders_are_followed_and_those_in_a_circle_are_not(tmp_path):
    images = write_many(tmp_path / "elsewhere" / "cats", 3)
    write_many(tmp_path / "photos" / "dogs", 3)
    (tmp_path / "photos" / "cats").symlink_to(tmp_path / "elsewhere" / "cats")
    (tmp_path / "elsewhere" / "cats" / "back").symlink_to(tmp_path / "photos")
    (tmp_path / "photos" / "dogs" / "self").symlink_to(tmp_path / "photos" / "dogs")
    data = load(tmp_path / "photos")
    assert data.label_names == ("cats", "dogs")
    assert np.array_equal(data.train.images[:2], images[1:])
    assert len(data.train) + len(data.test) == 6


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("pathlib.Path.iterdir", refuse)
    assert f"a folder that can be read, received {tmp_path} (Permission denied)" in error_line(
        tmp_path
    )


def test_images_beside_sub_folders_are_an_error(tmp_path):
    write_many(tmp_path / "cats", 5)
    write(tmp_path / "stray.png", some_images(1, 6, 8, 3)[0])
    assert "stray.png beside sub-folders" in error_line(tmp_path)


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_images_are_an_error(tmp_path, n):
    write_many(tmp_path, n)
    assert str(tmp_path) in error_line(tmp_path)


@pytest.mark.parametrize("keep", [0, 20, 100, -40])
def test_damaged_image_is_named(tmp_path, keep):
    write_many(tmp_path, shape=(30, 30))
    damaged = tmp_path / "005.png"
    damaged.write_bytes(damaged.read_bytes()[:keep])
    message = error_line(tmp_path)
    assert f"Expected readable images in {tmp_path}, received" in message
    assert "1 damaged file: 005.png (" in message
    assert "repair, convert or remove" in message


def test_damaged_images_are_listed_together(tmp_path):
    write_many(tmp_path, 40, shape=(30, 30), suffix=".jpg")
    for number in range(0, 39, 3):  # 13 files; of the third kind only decoding finds the damage
        path = tmp_path / f"{number:03}.jpg"
        path.write_bytes((b"", b"no image", path.read_bytes()[:-100])[number % 9 // 3])
    message = error_line(tmp_path)
    assert "13 damaged files: 000.jpg (no image), 003.jpg (no image), 006.jpg (" in message
    assert "027.jpg" in message
    assert "030.jpg" not in message
    assert " and 3 more: " in message


def test_folder_of_damaged_images_only_is_an_error(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"no image")
    assert "2 damaged files: a.png" in error_line(tmp_path)


def test_unreadable_file_is_named_with_the_reason(tmp_path, monkeypatch):
    def refuse(path, **arguments):
        raise PermissionError(13, "Permission denied", str(path))

    write_many(tmp_path, 3)
    monkeypatch.setattr("PIL.Image.open", refuse)
    assert "000.png (Permission denied), 001.png" in error_line(tmp_path)


def test_too_many_images_for_the_memory_are_an_error(tmp_path, monkeypatch):
    def no_memory(shape, dtype):
        raise MemoryError

    write_many(tmp_path, 3)
    monkeypatch.setattr("kgen.data.decoding.np.empty", no_memory)
    message = error_line(tmp_path)
    assert "received 3 of shape (6, 8, 3)" in message
    assert "size=" in message


def test_sixteen_bit_images_keep_their_upper_bytes(tmp_path):
    grey = np.array([[0, 255, 256, 0x1280, 0xFFFF]], np.uint16)
    for name in ("a.png", "b.png"):
        Image.fromarray(grey).save(tmp_path / name)
    images = load(tmp_path).train.images
    assert images.shape == (1, 1, 5, 1)
    assert images.ravel().tolist() == [0, 0, 1, 0x12, 255]


def test_sixteen_bit_images_are_put_on_white_where_transparent(tmp_path):
    values = struct.pack(">2H", 0x0580, 0x0581)  # of the same upper byte
    chunks = {b"IHDR": struct.pack(">IIBBBBB", 2, 1, 16, 0, 0, 0, 0), b"tRNS": values[:2]}
    content = b"\x89PNG\r\n\x1a\n"
    for name, chunk in {**chunks, b"IDAT": zlib.compress(b"\0" + values), b"IEND": b""}.items():
        content += struct.pack(">I", len(chunk)) + name + chunk
        content += struct.pack(">I", zlib.crc32(name + chunk))
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(content)
    assert load(tmp_path).train.images.ravel().tolist() == [255, 5]


def test_names_of_other_scripts(tmp_path):
    images = write_many(tmp_path / "кошки", 4)
    for old, new in zip(("000", "001", "002", "003"), "éñ犬🐈", strict=True):
        (tmp_path / "кошки" / f"{old}.png").rename(tmp_path / "кошки" / f"{new}.png")
    write_many(tmp_path / "猫 and dog", 2)
    data = load(tmp_path)
    assert data.label_names == ("кошки", "猫 and dog")
    assert np.array_equal(data.train.images[:3], images[1:])
    (tmp_path / "кошки" / "犬.png").write_bytes(b"")
    assert "кошки/犬.png" in error_line(tmp_path)


def test_mixed_modes_are_an_error_that_names_one_file_of_each(tmp_path):
    image = some_images(1, 4, 4, 3)[0]
    for mode in ("L", "RGB", "RGBA"):
        write(tmp_path / f"{mode}.png", image, mode)
    message = error_line(tmp_path)
    assert all(f"{mode}.png" in message for mode in ("L", "RGB", "RGBA"))
    assert 'mode="rgb"' in message
    assert 'mode="gray"' in message
    assert "white" in message


def test_grayscale_unites_mixed_modes(tmp_path):
    image = np.full((4, 4, 3), 102, np.uint8)
    for mode in ("L", "RGB", "RGBA", "P"):
        write(tmp_path / f"{mode}.png", image, mode)
    Image.new("RGBA", (4, 4), (102, 102, 102, 0)).save(tmp_path / "z.png")
    images = load(tmp_path, grayscale=True).train.images
    assert images[:, 0, 0, 0].tolist() == [102, 102, 102, 255]


def test_mixed_sizes_are_an_error_that_names_two_files(tmp_path):
    write(tmp_path / "a.png", some_images(1, 6, 8, 3)[0])
    write(tmp_path / "b.png", some_images(1, 7, 8, 3)[0])
    message = error_line(tmp_path)
    assert "a.png" in message
    assert "b.png" in message
    assert "size=6" in message


def test_size_crops_to_the_centre_and_resizes(tmp_path):
    wide, tall = np.zeros((10, 30, 3), np.uint8), np.zeros((30, 10, 3), np.uint8)
    wide[:, 7:23] = tall[7:23] = 255
    write(tmp_path / "a.png", tall)
    write(tmp_path / "b.png", wide)
    data = load(tmp_path, size=5)
    assert data.image_shape == (5, 5, 3)
    assert (data.train.images == 255).all()
    assert (data.test.images == 255).all()


def test_size_is_height_and_width(tmp_path):
    write_many(tmp_path, 3)
    assert load(tmp_path, size=(3, 7)).image_shape == (3, 7, 3)
