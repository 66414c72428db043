"""The cache of decoded folders: one array per folder, in the user's cache."""

import contextlib
import hashlib
import os
import shutil

import numpy as np

from kgen.data import sources
from kgen.errors import KgenError
from kgen.files import atomic_write, check_regular_file

_FORMAT = 3  # increase it when the same files would give other pixels


class CachedImages:
    """The cache entry of the decoded images of one folder.

    It holds one array per folder, valid for its files and options: it is invalid once a file is
    added, removed or changed (in size or modification time), or an option changes. The array's file
    name ends with the largest values in the image files, as `decode` found them, and a checksum.

    Args:
        folder: the path of the decoded folder.
        paths: a list of its image files, in the order of the array.
        options: everything else that determines the pixels.
    """

    def __init__(self, folder, paths, *options):
        import PIL

        self.folder = sources.cache_folder() / "folders" / _digest([os.fsencode(folder.resolve())])
        made_by = repr((_FORMAT, PIL.__version__, *options)).encode()
        self.key = _digest([made_by, *(_state(folder, path) for path in paths)])

    def read(self):
        """(the memory-mapped array, the largest values in the image files), as `decode` returns.

        None if there is no array, or its checksum is wrong. The array is copy-on-write: changes
        stay in memory.
        """
        try:
            paths = list(self.folder.glob(f"{self.key}_*.npy"))
        except OSError:  # an unreadable cache counts as empty
            return None
        for path in paths:
            # Damage raises ValueError, OSError, EOFError, SyntaxError, ...
            with contextlib.suppress(Exception):
                check_regular_file(path)
                images = np.asarray(np.load(path, mmap_mode="c", allow_pickle=False))
                _, of_8_bits, of_16_bits, _ = path.name.split("_")
                reach = int(of_8_bits), int(of_16_bits)
                if path.name == self._name(images, reach):
                    return images, reach
        return None

    def write(self, images, reach):
        """Replace the folder's cached array by `images`; errors are ignored: it is only a cache."""
        path = self.folder / self._name(images, reach)
        with contextlib.suppress(KgenError, OSError):
            with atomic_write(path) as unfinished:
                np.save(unfinished, images)
            for old in set(self.folder.iterdir()) - {path}:
                shutil.rmtree(old) if old.is_dir() else old.unlink()

    def _name(self, images, reach):
        described = "{}_{}_{}".format(self.key, *reach)
        content = f"{images.dtype} {images.shape} {described}".encode()
        return f"{described}_{_digest([content, images])}.npy"


def _state(folder, path):
    """Name, size and modification time of a file, which show whether it was changed."""
    name, status = os.fsencode(path.relative_to(folder)), path.stat()
    return b"%b %d %d" % (name, status.st_size, status.st_mtime_ns)


def _digest(parts):
    """The first 32 hexadecimal digits of the sha256 of some bytes."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
        digest.update(b"\0")
    return digest.hexdigest()[:32]
