"""Files that numpy wrote, read without pickle, and what to do with files of other kinds."""

from pathlib import Path

import numpy as np

from kgen.data import pictures
from kgen.errors import KgenError
from kgen.files import open_plain

_SIGNATURES = (b"\x93NUMPY", b"PK\x03\x04", b"PK\x05\x06")  # .npy; .npz is a zip archive
_HDF5 = frozenset({".h5", ".hdf5", ".hdf", ".he5"})
_ARCHIVES = frozenset({".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar"})


def read(path: Path, keys: tuple[str, ...]) -> np.ndarray | dict[str, np.ndarray]:
    """The array in an `.npy` file, or those arrays of an `.npz` file that `keys` name.

    Raises KgenError, which says what to do, for any other file.
    """
    _check_kind(path)
    try:
        # Opened here, as numpy leaves a damaged archive open.
        with open_plain(path, follow=True) as file:
            if file.read(8).startswith(_SIGNATURES):
                file.seek(0)
                content = np.load(file, allow_pickle=False)
                if isinstance(content, np.ndarray):
                    return content
                with content:
                    arrays = {key: content[key] for key in keys if key in content}
                if all(isinstance(array, np.ndarray) for array in arrays.values()):
                    return arrays
                reason = "a member is no array"
            else:
                reason = "it has no signature of numpy's"
    # Damage shows as OSError, ValueError, EOFError, TypeError, BadZipFile, ...
    except Exception as error:
        reason = " ".join(str(error).split())
        if "allow_pickle" in reason:  # numpy proposes what is not safe
            reason = "it holds Python objects, not numbers"
    raise KgenError(
        f"{path}: expected a folder of images, or an .npz or .npy file of plain arrays, received"
        f" {_called(path)} that cannot be read as one ({reason}): write it by numpy.savez"
    )


def _check_kind(path: Path) -> None:
    """Raise KgenError for a file that its suffix tells to be of another kind, with the remedy."""
    suffix = path.suffix.lower()
    if suffix in (".npz", ".npy"):
        return
    if suffix in pictures.suffixes():
        remedy = f"give the folder it lies in, {path.parent}"
    elif suffix in _HDF5:
        remedy = (
            f"in Python, kgen.data.load(h5py.File({str(path)!r})['NAME'][:]) with the name of its"
            " array of images; for the command line write that array by numpy.savez"
        )
    elif suffix in _ARCHIVES:
        remedy = "unpack it, and give the folder"
    else:
        return
    raise KgenError(
        f"{path}: expected a folder of images, or an .npz or .npy file, received"
        f" {_called(path)}: {remedy}"
    )


def _called(path: Path) -> str:
    return f"a {path.suffix} file" if path.suffix else "a file without a suffix"
