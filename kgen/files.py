"""Atomic writing of files and folders, and careful reading of files from strangers."""

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path

from kgen.errors import KgenError

PARTIAL = ".partial-"  # prefix of temporary folders, which a killed process leaves behind
PARTIAL_NAME = re.compile(rf"{re.escape(PARTIAL)}(.+)\.[a-z0-9_]{{8}}")  # mkdtemp adds the end
REPLACED = ".old"  # suffix of a folder while another one replaces it
NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
LARGEST_HOLE = 2**24  # bytes
LARGEST_JSON = 2**24  # bytes; a configuration has 1,000, a history of 10,000 epochs 1,000,000


@contextlib.contextmanager
def atomic_write(path):
    """Context manager: a temporary path that replaces `path` when the block succeeds.

    The data are flushed to disk first, so the file survives a loss of power.

    Raises:
        KgenError: if it cannot be written (no permission, full disk); nothing is left behind.
    """
    path = Path(path)
    with _temporary(path) as temporary:
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)


@contextlib.contextmanager
def atomic_folder(path):
    """As `atomic_write`, for a folder of regular files, which replaces one of the same name.

    Files of the old folder that the new one does not have are kept: they are somebody else's.
    """
    path = Path(path)
    with _temporary(path) as temporary:
        temporary.mkdir()
        yield temporary
        for file in (*temporary.iterdir(), temporary):
            _flush(file)
        _exchange(temporary, path)
        _flush(path.parent)


def _exchange(new, path):
    old = new.with_name(f"{new.name}{REPLACED}")
    try:
        with contextlib.suppress(FileNotFoundError):
            os.rename(path, old)
        os.replace(new, path)
    except BaseException:
        if old.exists() and not path.exists():
            os.rename(old, path)
        raise
    for other in set(os.listdir(old) if old.exists() else ()) - set(os.listdir(path)):
        os.rename(old / other, path / other)


@contextlib.contextmanager
def _temporary(path):
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{PARTIAL}{path.name}.", dir=path.parent))
    except (OSError, ValueError) as error:  # ValueError: an invalid name
        raise cannot_write(path, error) from error
    try:
        # In its own folder, so that the file keeps its suffix, which tells writers the format.
        yield folder / path.name
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _flush(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_partial(folder, names):
    """Remove temporary folders that a killed process left in `folder`, for files `names` (a regex).

    Folders that hold anything else stay, and so do those of sub-folders.
    """
    for path in Path(folder).glob(f"{PARTIAL}*"):
        name = PARTIAL_NAME.fullmatch(path.name)
        if not name or not re.fullmatch(names, name[1]):
            continue
        with contextlib.suppress(OSError):  # no folder, or not readable
            if set(os.listdir(path)) <= {name[1], f"{name[1]}{REPLACED}"}:
                shutil.rmtree(path)


def cannot_write(path, error):
    """The KgenError for a file or folder that could not be written."""
    reason = getattr(error, "strerror", None) or str(error)
    return KgenError(
        f"Expected to write {path}, but: {reason}. Choose another place or free space."
    )


def cannot_read(path, error):
    """The KgenError for a file or folder that could not be read."""
    reason = getattr(error, "strerror", None) or str(error)
    return KgenError(f"Expected to read {path}, but: {reason}. Change its rights, or name another.")


def kind(path):
    """The kind of a path: "file", "folder", "other" (a pipe, a device, ...), or None if missing.

    Links are followed.

    Raises:
        KgenError: if access is denied, or the path is invalid (for example too long).
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) in NOT_THERE:
            return None
        raise cannot_read(path, error) from error
    return {stat.S_IFREG: "file", stat.S_IFDIR: "folder"}.get(stat.S_IFMT(mode), "other")


def expanded(path):
    """The path with `~` expanded; KgenError if there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise KgenError(
            f"Expected a home folder for the ~ in {path}, received none: write the path in full."
        ) from error


def check_regular_file(path, follow=False):
    """Raise KgenError unless `path` is a regular file: no symbolic link, pipe or folder.

    Args:
        path: the file to be read. Reading a pipe could wait forever.
        follow: whether a link to a file is allowed.

    Raises:
        FileNotFoundError: if the file does not exist.
    """
    try:
        mode = (os.stat if follow else os.lstat)(path).st_mode
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise cannot_read(path, error) from error
    if not stat.S_ISREG(mode):
        raise KgenError(
            f"Expected {path} to be a regular file, received a link, a pipe or a folder: put "
            "the file itself there."
        )


def open_plain(path, follow=False):
    """Open a regular file for reading bytes; safe even if it is replaced after the check.

    Raises:
        KgenError: as in `check_regular_file`.
        OSError: if it does not exist or cannot be opened.
    """
    check_regular_file(path, follow)
    opener = _open_without_waiting if follow else _open_no_link
    file = open(path, "rb", opener=opener)  # noqa: SIM115  # the caller closes it
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise KgenError(f"Expected {path} to stay a regular file, received a pipe: try again.")
    return file


def _open_without_waiting(path, flags):
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _open_no_link(path, flags):
    return _open_without_waiting(path, flags | getattr(os, "O_NOFOLLOW", 0))


def check_no_hole(path):
    """Raise KgenError if nine tenths of a large file are a hole: small on disk, large in memory.

    Of files that kgen writes, even a file system that stores zeros as holes keeps a third.
    """
    size = os.lstat(path).st_size
    if size > LARGEST_HOLE and hasattr(os, "SEEK_DATA") and not _holds(path, size // 10):
        raise KgenError(
            f"Expected {size:,} bytes in {path}, received a hole: take another copy of the file."
        )


def _holds(path, enough):
    """Whether at least `enough` bytes of a file are stored on disk."""
    data = end = 0
    with open_plain(path) as file:
        while data < enough:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError as error:
                return error.errno != errno.ENXIO  # ENXIO: no more data; else SEEK_DATA failed
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            data += end - start
    return True


def checksum(path):
    """The SHA-256 (hexadecimal) of a file, read in chunks."""
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path, value, indent=2):
    """Write plain values to a JSON file atomically; see `as_json`."""
    with atomic_write(path) as temporary:
        temporary.write_text(as_json(value, indent) + "\n")


def as_json(value, indent=None):
    """Plain values as JSON text; NaN and infinity, which JSON does not have, become null."""
    return json.dumps(without_non_finite(value), indent=indent, allow_nan=False)


def without_non_finite(value):
    """Plain values with every NaN and infinite float replaced by None."""
    if isinstance(value, dict):
        return {key: without_non_finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_non_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path):
    """The object in an untrusted JSON file, parsed strictly, with a limit on its size.

    Raises:
        KgenError: unless it is a regular file of at most 16 MB that holds a JSON object; for a
            duplicate key; for nesting too deep to read.
        FileNotFoundError: if the file does not exist.
    """
    check_regular_file(path)
    try:
        with open_plain(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > LARGEST_JSON:
                raise ValueError(f"more than {LARGEST_JSON:,} bytes")
            content = file.read(size)  # bounds the memory, even if the file grows
        value = json.loads(content, object_pairs_hook=_unique)
        if not isinstance(value, dict):
            raise ValueError(f"a {type(value).__name__}")
    except (OSError, ValueError, RecursionError) as error:
        raise KgenError(
            f"Expected a JSON object in {path}, received {error}: take another copy of the file."
        ) from error
    return value


def _unique(pairs):
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a key that comes twice")
    return value
