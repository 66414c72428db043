"""Files and folders that are either whole or not there."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from kgen.errors import KgenError


@contextlib.contextmanager
def whole_file(path):
    """A temporary path beside `path`, which takes its place when the block succeeds.

    Raises:
        KgenError: if it cannot be written (no permission, full disk); nothing is left behind.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        # In a folder of its own, so that it keeps its ending, by which writers tell the format.
        yield folder / path.name
        os.replace(folder / path.name, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def cannot_write(path, error):
    """The KgenError for a file or folder that could not be written."""
    reason = getattr(error, "strerror", None) or str(error)
    return KgenError(
        f"Expected to write {path}, but: {reason}. Choose another place or free space."
    )
