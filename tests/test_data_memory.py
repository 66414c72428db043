"""What loading takes of the machine's memory: bounded, said before, and raised by who wants to."""

import io
import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image
from test_data import error_line, some_images
from test_data_folders import write_many

from kgen import evaluate, fit
from kgen.data import allowance, decoding, image_files, load
from kgen.errors import KgenError

SIDE = 3000  # 9 million pixels, 27 KB as a PNG of one colour
on_linux = pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")


def write_large(folder, n=4, suffix="png", **how):
    folder.mkdir()
    for number in range(n):
        Image.new("RGB", (SIDE, SIDE), (200, 100, 0)).save(folder / f"{number}.{suffix}", **how)
    return folder


def npz_of(path, shape, dtype="uint8", size=100):
    """An `.npz` whose header says `shape`, with `size` bytes of content."""
    content = io.BytesIO()
    described = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, described)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", content.getvalue() + bytes(size))
    return path


MEASURED = """
import json, sys
import kgen.data

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

kgen.data.load(sys.argv[1], size=8)  # imports all that is imported at the first use
held = peak()
images = kgen.data.load(sys.argv[2], size=8)
print(json.dumps({"grown": peak() - held, "shape": images.image_shape}))
"""


@on_linux
@pytest.mark.parametrize(("suffix", "bytes_a_pixel"), [("png", 20), ("jpg", 2)])
def test_large_images_are_decoded_one_at_a_time_to_their_size(suffix, bytes_a_pixel, tmp_path):
    """Four at once would take 4 times 5 bytes a pixel at least; a JPEG is decoded to less."""
    write_many(tmp_path / "few", 3)
    large = write_large(tmp_path / "large", 8, suffix)
    result = subprocess.run(
        [sys.executable, "-c", MEASURED, tmp_path / "few", large],
        env={**os.environ, "PYTHONPATH": os.getcwd(), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    measured = json.loads(result.stdout)
    assert measured["shape"] == [8, 8, 3]
    assert measured["grown"] < bytes_a_pixel * SIDE**2


def test_one_thread_at_a_time_reads_a_large_image(tmp_path, monkeypatch):
    read, reading, most = image_files.read, [], []

    def counting(path, **how):
        reading.append(path)
        most.append(len(reading))
        try:
            return read(path, **how)
        finally:
            reading.remove(path)

    monkeypatch.setattr(image_files, "read", counting)
    monkeypatch.setattr(decoding, "THREADS", 4)
    monkeypatch.setattr(decoding, "_FILES_A_TASK", 1)
    load(write_large(tmp_path / "large"), size=8)
    assert max(most) == 1


def test_a_jpeg_decoded_to_less_is_the_same_picture(tmp_path, monkeypatch):
    tmp_path.joinpath("wide").mkdir()
    grey = np.linspace(0, 255, 2400 * 1800).reshape(1800, 2400).astype(np.uint8)
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(grey).save(tmp_path / "wide" / name, quality=95)
    drafted = load(tmp_path / "wide", size=(20, 30)).train.images
    monkeypatch.setattr(image_files, "LARGE", 2**40)
    whole = load(tmp_path / "wide", size=(20, 30)).train.images
    assert drafted.shape == whole.shape == (1, 20, 30, 1)
    assert np.abs(drafted.astype(int) - whole).max() <= 2


def test_images_of_too_much_memory_are_refused_before_one_is_decoded(tmp_path, monkeypatch):
    large = write_large(tmp_path / "large")
    with monkeypatch.context() as patched:
        patched.setattr("PIL.ImageFile.ImageFile.load", None)
        line = error_line(large, max_memory=0.1)
    assert "at most 0.1 GB" in line
    assert "received 0.288 GB" in line  # 4 times 27 MB, and one that is decoded
    assert "--max-memory 1" in line
    assert load(large, size=8, max_memory=0.2).image_shape == (8, 8, 3)
    assert load(large, max_memory=1).image_shape == (SIDE, SIDE, 3)


@pytest.mark.parametrize("shape", [(10**6, 100, 100), (10**30, 8, 8, 1), (2**62, 4, 1)])
def test_arrays_of_too_much_memory_are_refused_by_their_headers(shape, tmp_path):
    path = npz_of(tmp_path / "large.npz", shape)
    line = error_line(path, max_memory=1)
    assert "at most 1 GB of memory" in line
    assert "--max-memory" in line
    with zipfile.ZipFile(path) as archive:
        archive.extract("images.npy", tmp_path)
    assert "at most 1 GB of memory" in error_line(tmp_path / "images.npy", max_memory=1)


def test_what_is_deflated_counts_as_what_it_becomes(tmp_path):
    np.savez_compressed(tmp_path / "zeros.npz", images=np.zeros((600, 100, 100), np.uint8))
    assert (tmp_path / "zeros.npz").stat().st_size < 10_000
    assert "received 0.012 GB" in error_line(tmp_path / "zeros.npz", max_memory=0.01)
    assert len(load(tmp_path / "zeros.npz", max_memory=0.012).train) == 540


def test_all_arrays_that_are_read_count_together_and_no_others(tmp_path):
    images = np.zeros((100, 100, 100), np.uint8)
    np.savez(tmp_path / "x.npz", x_train=images, x_test=images, more=np.zeros(10**7))
    assert "received 0.004 GB" in error_line(tmp_path / "x.npz", max_memory=0.003)
    assert len(load(tmp_path / "x.npz", max_memory=0.004).test) == 100


def test_images_that_are_made_larger_count_too():
    assert "received 57.5 GB" in error_line("digits", size=4000, max_memory=10)
    assert load(some_images(), size=40, max_memory=0.001).image_shape == (40, 40, 1)


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf"), "4", True])
def test_a_bound_is_a_number_above_0(wrong):
    assert "Expected max_memory to be" in error_line("digits", max_memory=wrong)


@pytest.mark.parametrize(("limit", "most"), [([], None), (["max"], None), (["2000000"], 10**6)])
def test_without_a_bound_half_of_the_machine_is_allowed(monkeypatch, limit, most):
    """Or of the container that the process runs in."""
    monkeypatch.setattr("kgen.memory._lines", lambda path: limit)
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert allowance.most_bytes(None) == (most or machine // 2)


def test_the_commands_take_a_bound(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.zeros((100, 100, 100), np.uint8))
    given = ["--data", str(tmp_path / "x.npz"), "--max-memory"]
    fit_it = ["--batch-size", "9", "--epochs", "1", "--set", "hidden=(4,)", "latent_size=2"]
    run = tmp_path / "run"
    with pytest.raises(KgenError, match=r"at most 0\.001 GB"):
        fit.main([*given, "0.001", *fit_it, "--out", str(run)])
    assert not run.exists()
    fit.main([*given, "1", *fit_it, "--out", str(run)])
    for main, arguments in (
        (fit.main, ["--resume", str(run), "--epochs", "2"]),
        (evaluate.main, [str(run), "--samples", "10"]),
    ):
        with pytest.raises(KgenError, match=r"at most 0\.001 GB"):
            main([*arguments, *given, "0.001"])
