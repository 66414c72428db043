"""Large folders: decoded once and kept, in bounded memory."""

import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from test_data import error_line
from test_data_folders import write, write_many

from kgen.data import folders, load, sources


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The cache, into which every folder goes, however quickly it was decoded."""
    monkeypatch.setattr(sources, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(folders, "SECONDS_WORTH_KEEPING", 0)
    return tmp_path / "cache" / "folders"


@pytest.fixture
def decoded(monkeypatch):
    """The folders that were decoded, in turn."""
    decoded, decode = [], folders.decode

    def counting(folder, *args):
        decoded.append(folder)
        return decode(folder, *args)

    monkeypatch.setattr(folders, "decode", counting)
    return decoded


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    write_many(folder / "cats", 7)
    write_many(folder / "dogs", 5)
    return folder


def kept(cache):
    return [path for path in cache.rglob("*") if path.is_file()]


def same(first, second):
    return first.checksum == second.checksum and first.label_names == second.label_names


def test_a_folder_is_decoded_once(photos, cache, decoded, monkeypatch):
    first = load(photos)
    monkeypatch.chdir(photos.parent)
    assert same(first, load("photos"))
    assert decoded == [photos]
    (path,) = kept(cache)
    assert np.load(path).dtype == np.uint8


def test_a_kept_folder_is_mapped_and_can_be_changed_in_memory(photos, cache, decoded):
    first = load(photos)
    mapped = load(photos)
    assert mapped.train.images.base is not None
    assert type(mapped.train.images) is np.ndarray
    mapped.train.images[:] = 0
    assert same(first, load(photos))
    assert len(decoded) == 1


@pytest.mark.parametrize("change", ["content", "time", "name", "more", "fewer"])
def test_a_changed_folder_is_decoded_anew_and_replaces_the_old(photos, cache, decoded, change):
    load(photos)
    image = photos / "cats" / "003.png"
    if change == "content":
        write(image, np.zeros((6, 8, 3), np.uint8))
    elif change == "time":
        os.utime(image, ns=(0, 1))
    elif change == "name":
        image.rename(image.with_name("x.png"))
    elif change == "more":
        write(photos / "cats" / "x.png", np.zeros((6, 8, 3), np.uint8))
    else:
        image.unlink()
    changed = load(photos)
    assert len(decoded) == 2
    assert len(changed.train) == {"more": 11, "fewer": 9}.get(change, 10)
    assert len(kept(cache)) == 1


def test_other_options_decode_anew(photos, cache, decoded):
    assert load(photos, size=3).image_shape == (3, 3, 3)
    assert load(photos, size=3, grayscale=True).image_shape == (3, 3, 1)
    assert load(photos).image_shape == (6, 8, 3)
    assert len(decoded) == 3


def test_what_was_said_of_a_folder_is_said_again_when_it_was_kept(photos, cache, decoded, caplog):
    for name in ("a", "b"):
        Image.fromarray(np.full((6, 8), 4095, np.uint16)).save(photos / "cats" / f"{name}.png")
    (photos / "notes.txt").write_text("no image")
    said = []
    for _ in range(2):
        caplog.clear()
        first = load(photos, mode="gray")
        said.append([record.getMessage() for record in caplog.records])
    assert len(decoded) == 1
    assert len(said[0]) == 2
    assert said[0] == said[1]
    assert any(f"the 16-bit files of {photos} reach 4095 of 65535" in line for line in said[0])
    assert first.image_shape == (6, 8, 1)


def test_what_earlier_rules_gave_is_not_read(photos, cache, decoded):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kgen.data.cache._FORMAT", 1)
        load(photos)
    load(photos)
    load(photos)
    assert len(decoded) == 2
    assert len(kept(cache)) == 1


def test_another_folder_leaves_the_first_one_kept(photos, tmp_path, cache, decoded):
    write_many(tmp_path / "others", 3)
    for folder in (photos, tmp_path / "others", photos, tmp_path / "others"):
        load(folder)
    assert len(decoded) == 2


@pytest.mark.parametrize("place", [0, 7, 20, 60, 128, -1])
@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_a_damaged_copy_is_decoded_anew(photos, cache, decoded, place, damage):
    first = load(photos)
    (path,) = kept(cache)
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[place] ^= 0x15
    else:
        del content[place:]
    path.write_bytes(content)
    assert same(first, load(photos))
    assert len(decoded) == 2
    assert same(first, load(photos))
    assert len(decoded) == 2
    assert len(kept(cache)) == 1


def test_a_cache_that_cannot_be_written_is_no_error(photos, tmp_path, cache, decoded):
    (tmp_path / "cache").write_text("no folder")
    assert same(load(photos), load(photos))
    assert len(decoded) == 2


def test_nothing_half_written_is_kept(photos, cache, monkeypatch):
    def full_disk(path, images):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kgen.data.cache.np.save", full_disk)
    assert len(load(photos).train) == 10
    assert list(cache.rglob("*.npy")) == []


def test_a_damaged_folder_is_not_kept(photos, cache):
    (photos / "cats" / "003.png").write_bytes(b"")
    assert "cats/003.png" in error_line(photos)
    assert kept(cache) == []


def test_what_is_decoded_quickly_is_not_kept(photos, cache, monkeypatch):
    monkeypatch.setattr(folders, "SECONDS_WORTH_KEEPING", 60)
    load(photos)
    assert not cache.exists()


def test_a_model_trains_on_a_mapped_folder_as_on_one_in_memory(photos, cache):
    import kgen

    losses = []
    for _ in range(2):
        images = load(photos, grayscale=True)
        kgen.set_seed(0)
        model = kgen.models.create("vae", images, latent_size=2, hidden=(4,))
        model.compile()
        history = model.fit(
            images.train.images,
            batch_size=4,
            epochs=2,
            verbose=0,
            validation_data=(images.test.images,),
        )
        losses.append(history.history)
    assert losses[0] == losses[1]


def test_progress_is_shown_of_what_takes_long(photos, monkeypatch, capsys):
    load(photos)
    assert capsys.readouterr().err == ""
    seconds = itertools.count(step=1.5)
    monkeypatch.setattr("tqdm.std.time", lambda: next(seconds))
    load(photos)
    assert "decoding" in capsys.readouterr().err


MEASURED = """
import json, sys
import kgen.data
from kgen.data import decoding

def memory(kind):
    # Not getrusage, whose peak includes that of the process which started this one.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(kind))

kgen.data.load(sys.argv[1])  # imports all that is imported at the first use
held = memory("VmRSS")
images = kgen.data.load(sys.argv[2])
peak = memory("VmHWM")
print(json.dumps({
    "grown": peak - held,
    "images": images.train.images.nbytes + images.test.images.nbytes,
    "n": len(images.train) + len(images.test),
    "checksum": images.checksum,
    "threads": decoding.THREADS,
}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is read from Linux")
def test_twenty_thousand_files_load_in_the_stated_memory(tmp_path):
    """Decoded: the images, 1 KB a file and 32 bytes a pixel for each thread. Kept: the images."""
    side, n = 48, 20_000
    folder = tmp_path / "many"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(n):
        image = random.integers(0, 256, (side, side, 3), np.uint8)
        suffix = "png" if number % 2 else "jpg"
        Image.fromarray(image).save(folder / f"{number:05}.{suffix}")
    write_many(tmp_path / "few", 3)

    def measured():
        environment = {**os.environ, "PYTHONPATH": os.getcwd(), "XDG_CACHE_HOME": str(tmp_path)}
        command = [sys.executable, "-c", MEASURED, tmp_path / "few", folder]
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        )
        print(result.stdout)
        return json.loads(result.stdout)

    decoded = measured()
    assert decoded["n"] == n
    assert decoded["images"] == n * side * side * 3
    bound = decoded["images"] + 1024 * n + decoded["threads"] * 32 * side**2
    assert decoded["images"] * 0.9 < decoded["grown"] <= bound
    kept = measured()
    assert kept["checksum"] == decoded["checksum"]
    assert kept["grown"] <= decoded["images"] + 1024 * n
