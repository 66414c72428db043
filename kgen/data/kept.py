"""Folders that were decoded once, kept in the user's cache as one array each."""

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

import numpy as np

from kgen.data import sources
from kgen.data.image_files import Reach
from kgen.errors import KgenError
from kgen.files import atomic_write, check_regular_file

_FORMAT = 3  # to be raised when the same files come to give other pixels


class KeptImages:
    """The place in the cache for the decoded images of one folder.

    It holds one array a folder, of the files and options it was written for: once a file is added,
    removed or changed (in size or time of modification), or an option, it counts no longer. The
    name of the array's file ends with the largest values in the image files, as `decode` found
    them, and the checksum of all that is kept.

    Args:
        folder: what was decoded.
        paths: its image files, in the order of the array.
        options: whatever else decides the pixels.
    """

    def __init__(self, folder: Path, paths: list[Path], *options):
        import PIL

        self.folder = sources.cache_folder() / "folders" / _digest([os.fsencode(folder.resolve())])
        made_by = repr((_FORMAT, PIL.__version__, *options)).encode()
        self.key = _digest([made_by, *(_state(folder, path) for path in paths)])

    def read(self) -> tuple[np.ndarray, Reach] | None:
        """The array, mapped from the disk, and the largest values in the image files.

        None if there is no array, or one of another checksum. It can be written to like any array:
        what is changed stays in memory.
        """
        try:
            paths = list(self.folder.glob(f"{self.key}_*.npy"))
        except OSError:  # a cache that cannot be looked into is none
            return None
        for path in paths:
            # What is no array shows as ValueError, OSError, EOFError, SyntaxError, ...
            with contextlib.suppress(Exception):
                check_regular_file(path)
                images = np.asarray(np.load(path, mmap_mode="c", allow_pickle=False))
                _, of_8_bits, of_16_bits, _ = path.name.split("_")
                reach = int(of_8_bits), int(of_16_bits)
                if path.name == self._name(images, reach):
                    return images, reach
        return None

    def write(self, images: np.ndarray, reach: Reach) -> None:
        """Keeps `images` in place of what was kept of this folder; a cache is no must."""
        path = self.folder / self._name(images, reach)
        with contextlib.suppress(KgenError, OSError):
            with atomic_write(path) as unfinished:
                np.save(unfinished, images)
            for old in set(self.folder.iterdir()) - {path}:
                shutil.rmtree(old) if old.is_dir() else old.unlink()

    def _name(self, images: np.ndarray, reach: Reach) -> str:
        described = "{}_{}_{}".format(self.key, *reach)
        content = f"{images.dtype} {images.shape} {described}".encode()
        return f"{described}_{_digest([content, images])}.npy"


def _state(folder: Path, path: Path) -> bytes:
    """What tells that a file was changed."""
    name, status = os.fsencode(path.relative_to(folder)), path.stat()
    return b"%b %d %d" % (name, status.st_size, status.st_mtime_ns)


def _digest(parts) -> str:
    """32 hexadecimal digits for a sequence of bytes."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
        digest.update(b"\0")
    return digest.hexdigest()[:32]
