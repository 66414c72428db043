"""Read `.npy` and `.npz` files without pickle; errors for other kinds of files name the remedy."""

import contextlib
import math
import zipfile

import numpy as np

from kgen.data import allowance, image_files
from kgen.errors import KgenError
from kgen.files import open_plain

_SIGNATURES = (b"\x93NUMPY", b"PK\x03\x04", b"PK\x05\x06")  # .npy; .npz is a zip archive
_HEADERS = {  # of an array, by the version of the format
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_HDF5 = frozenset({".h5", ".hdf5", ".hdf", ".he5"})
_ARCHIVES = frozenset({".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar"})


def read(path, keys, most):
    """The array of an `.npy` file, or some arrays of an `.npz` file.

    Args:
        path: of the file.
        keys: names of the arrays of an `.npz` file.
        most: largest memory, in bytes; it is twice the arrays' size.

    Returns:
        An array, or a dict {key: array} of the keys that the file has.

    Raises:
        KgenError: for any other file, and for arrays that need more memory, before they are read.
    """
    _check_kind(path)
    try:
        # Opened here, because numpy does not close a damaged archive.
        with open_plain(path, follow=True) as file:
            start = file.read(8)
            file.seek(0)
            if start.startswith(_SIGNATURES[0]):
                _check_memory(path, [file], most)
                file.seek(0)
                return np.load(file, allow_pickle=False)
            if start.startswith(_SIGNATURES):
                with zipfile.ZipFile(file) as archive:
                    return _members(path, archive, keys, most)
        reason = "it has no signature of numpy's"
    except KgenError:
        raise
    # Damage shows as OSError, ValueError, EOFError, TypeError, BadZipFile, ...
    except Exception as error:
        reason = " ".join(str(error).split())
        if "allow_pickle" in reason:  # numpy suggests an unsafe option
            reason = "it holds Python objects, not numbers"
    raise KgenError(
        f"Expected a folder of images, an .npz or .npy file of plain arrays, or a .txt file of "
        f"sentences, received {path}, "
        f"{_called(path)} that cannot be read as one ({reason}): write it by numpy.savez."
    )


def _members(path, archive, keys, most):
    files = set(archive.namelist())
    names = {key: f"{key}.npy" for key in keys if f"{key}.npy" in files}
    with contextlib.ExitStack() as opened:
        members = [opened.enter_context(archive.open(name)) for name in names.values()]
        _check_memory(path, members, most)
    arrays = {}
    for key, name in names.items():
        with archive.open(name) as member:
            arrays[key] = np.lib.format.read_array(member, allow_pickle=False)
    return arrays


def _check_memory(path, files, most):
    """Raise KgenError if twice the size of the arrays in `files` is more than `most` bytes.

    Twice, because training and test images are copied out of them.
    """
    allowance.check(2 * sum(map(_bytes, files)), most, str(path))


def _bytes(file):
    """The size in bytes of the array in an open file, from its header. Raises ValueError."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:  # version 3.0 is only for arrays with named fields
        raise ValueError(f"version {version} of numpy's format")
    shape, _, dtype = _HEADERS[version](file)
    return math.prod(shape) * dtype.itemsize


def _check_kind(path):
    """Raise KgenError for a file whose suffix shows another kind; the message names the remedy."""
    suffix = path.suffix.lower()
    if suffix in (".npz", ".npy"):
        return
    if suffix in image_files.suffixes():
        remedy = f"give the folder it lies in, {path.parent}"
    elif suffix in _HDF5:
        remedy = (
            f"in Python, kgen.data.load(h5py.File({str(path)!r})['NAME'][:]) with the name of its "
            "array of images; for the command line write that array by numpy.savez"
        )
    elif suffix in _ARCHIVES:
        remedy = "unpack it, and give the folder"
    else:
        return
    raise KgenError(
        f"Expected a folder of images, or an .npz or .npy file, received {path}, {_called(path)}: "
        f"{remedy}."
    )


def _called(path):
    return f"a {path.suffix} file" if path.suffix else "a file without a suffix"
