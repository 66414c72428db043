"""Find the files of a named set: in KGEN_DATA_DIR, else in the cache, else on the web."""

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kgen.data.splits import Split
from kgen.errors import KgenError
from kgen.files import check_regular_file, expanded, kind, open_plain

LARGEST_DOWNLOAD = 2**30  # bytes; the largest file of a named set has 170 million


@dataclass(frozen=True)
class Source:
    """One published form of a set.

    Attributes:
        publisher: who published it, and where.
        files: {file name: its sha256}; empty for a set that comes with an installed package.
        read: function from the folder of the files to the splits (train, test), or (train, test,
            validation) where the publisher keeps validation images apart.
        url: the prefix of the file names on the web; empty if there is no download.
    """

    publisher: str
    files: Mapping[str, str]
    read: Callable[[Path], tuple[Split, ...]]
    url: str = ""


def find(name, sources):
    """Find the files of a set, or download them.

    Each source is searched in `$KGEN_DATA_DIR/name`. If none is there, the first one is taken from
    the cache; missing or damaged files are downloaded into it. A failed download leaves no file
    behind.

    Args:
        name: of the set.
        sources: a tuple of `Source`, in order of preference.

    Returns:
        The source that was found, and the folder of its verified files.

    Raises:
        KgenError: if a file in KGEN_DATA_DIR is damaged or a download fails.
    """
    folder = _data_folder(name)
    for source in sources if folder else ():
        if not _missing(source, folder):
            _verify(source, folder)
            return source, folder
    return sources[0], _cached(name, sources[0])


def is_at_hand(name, sources):
    """Whether the set `name` needs no download: its files exist (they may be damaged)."""
    folder = _data_folder(name)
    found = [not _missing(source, folder) for source in sources]
    return any(found) or not _missing(sources[0], cache_folder() / name)


def cache_folder():
    """The cache folder of downloaded sets, with one sub-folder per set."""
    import platformdirs

    return platformdirs.user_cache_path("kgen") / "data"


def _data_folder(name):
    root = os.environ.get("KGEN_DATA_DIR")
    return expanded(root) / name if root else None


def _missing(source, folder):
    return [file for file in source.files if folder is None or kind(folder / file) != "file"]


def _verify(source, folder):
    for file, expected in source.files.items():
        received = _sha256(folder / file)
        if received != expected:
            raise KgenError(
                f"Expected {folder / file} to have the sha256 {expected}, received {received}: it "
                "is damaged, so replace it, or move it away to have it downloaded."
            )


def _sha256(path):
    try:
        with open_plain(path, follow=True) as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise KgenError(
            f"Expected a readable file, received {path} ({error.strerror}): mend it."
        ) from error


def _cached(name, source):
    folder = cache_folder() / name
    if source.files and not source.url:
        raise KgenError(
            f"Expected {', '.join(_missing(source, _data_folder(name)))} of {name} in "
            f"{_data_folder(name) or 'KGEN_DATA_DIR (which is not set)'}, received none: these "
            f"files cannot be downloaded, so put them into a folder {name}/ and set KGEN_DATA_DIR "
            "to its parent."
        )
    for file, sha256 in source.files.items():
        try:
            _retrieve(source.url + file, sha256, folder / file)
        # requests' exceptions are OSErrors; pooch reports a wrong checksum by a ValueError.
        except (OSError, ValueError) as error:
            raise KgenError(_unavailable(name, source, file, error)) from error
    return folder


def _retrieve(url, sha256, path):
    """Download `url` to `path`, unless the intact file is there.

    pooch writes a temporary file and renames it once verified, so `path` is never half-written.
    """
    import pooch

    with contextlib.suppress(FileNotFoundError):
        check_regular_file(path, follow=True)  # pooch reads an existing file

    def download(url, temporary, _):
        with open(temporary, "wb") as file:
            pooch.HTTPDownloader(progressbar=True)(url, _Bounded(file, LARGEST_DOWNLOAD), None)

    pooch.retrieve(url, f"sha256:{sha256}", path.name, path.parent, downloader=download)


class _Bounded:
    """A file wrapper that accepts at most `most` bytes: a server may send without end."""

    def __init__(self, file, most):
        self.flush = file.flush
        self._file, self._left = file, most

    def write(self, content):
        self._left -= len(content)
        if self._left < 0:
            raise OSError(errno.EFBIG, "the server sends more than any set has")
        return self._file.write(content)


def _unavailable(name, source, file, error):
    folder = _data_folder(name)
    missing = ", ".join(_missing(source, folder))
    return (
        f"Expected {missing} of {name} in {folder or 'KGEN_DATA_DIR (which is not set)'}, received "
        f"none, and downloading {source.url}{file} to {cache_folder() / name} failed "
        f"({_reason(error)}): put the files into a folder {name}/ and set KGEN_DATA_DIR to its "
        "parent, or mend what failed and try again."
    )


def _reason(error):
    import requests

    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return f"no connection to the server: {type(error).__name__}"
    if getattr(error, "errno", None) == errno.ENOSPC:
        return "the disk is full"
    return " ".join(str(error).split())
