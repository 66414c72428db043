"""The folder of a run: made, used by one process at a time, read with caution, found again."""

import contextlib
import itertools
import shutil
from pathlib import Path
from typing import Annotated

from kgen.bounds import Bounds, checked
from kgen.errors import KgenError
from kgen.files import cannot_write, read_json, remove_partial

REMEDY = "take another copy of the folder"
Word = Annotated[str, Bounds(1, 1_000, remedy=REMEDY)]
# What is read of `run.json`, where it is there, besides the options of `kgen.options`.
READ = {
    "status": Word,
    "seconds": Annotated[float, Bounds(0, 10**9, remedy=REMEDY)],
    "data": dict,
    "data.name": Word,
    "data.checksum": Word,
    "resumed": list,
}
RECORD, MODEL, CHECKPOINTS, LOCK = "run.json", "model", "checkpoints", ".lock"


def new(out, name):
    """A new, empty folder: `out`, else the first of runs/NAME, runs/NAME-2, ... that is free."""
    if out is not None:
        candidates = [out]
    else:
        numbered = (Path("runs", f"{name}-{number}") for number in itertools.count(2))
        candidates = itertools.chain([Path("runs", name)], numbered)
    for folder in candidates:
        try:
            if out is None or not is_empty(folder):
                folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise cannot_write(folder, error) from error
    raise KgenError(f"Expected a new folder, but {out} exists already: choose another --out.")


def is_empty(folder):
    return folder.is_dir() and not any(folder.iterdir())


@contextlib.contextmanager
def locked(folder):
    """The folder is this process's; the lock ends with the process, however that ends.

    A folder in which nothing was written is left as it was found.

    Raises:
        KgenError: if another process uses it, or it cannot be written.
    """
    import filelock

    lock = filelock.FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise KgenError(
            f"Expected {folder} for this process alone, but another one is training in it: wait "
            "for its end, or choose another folder."
        ) from error
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        remove_partial(folder)
        yield
    finally:
        if {path.name for path in folder.rglob("*") if path.is_file()} == {LOCK}:
            for path in folder.iterdir():
                path.unlink() if path.name == LOCK else shutil.rmtree(path)
        lock.release()


def check(folder):
    """Raise KgenError unless `folder` is a folder that leads nowhere else, whoever made it."""
    if not folder.is_dir():
        raise KgenError(
            f"Expected {folder} to be a run of kgen.fit, but there is no such folder: look "
            "into runs/."
        )
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise KgenError(f"Expected a run without links, received {path}: put the file there.")


def read_record(folder):
    """What `run.json` says: plain values, of which those of `READ` are checked.

    Its `options` are checked as they are read, by `kgen.options`.

    Raises:
        KgenError: if there is none, or it is damaged.
    """
    try:
        record = read_json(folder / RECORD)
        _check_record(record, folder / RECORD)
        return record
    except FileNotFoundError as error:
        raise KgenError(
            f"Expected {folder} to be a run of kgen.fit, but there is no {RECORD}: nothing was "
            "trained in it. Start anew, with another --out."
        ) from error


def _check_record(record, path):
    for name, annotation in READ.items():
        value = record
        for key in name.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        try:
            if value is not None:
                checked(name, value, annotation)
        except KgenError as error:
            raise KgenError(f"{path}: {error}") from error


def trained_model(folder):
    """The folder of a run's model, for `kgen.load`: as training ended, or its last checkpoint.

    Raises:
        KgenError: if there is neither.
    """
    from kgen.training.checkpoint import Store

    check(folder)
    if (folder / MODEL).is_dir():
        return folder / MODEL
    if not (folder / CHECKPOINTS).is_dir():
        raise KgenError(
            f"Expected {folder} to be a run of kgen.fit, but there is no {folder / MODEL}: train "
            "it, or name another folder."
        )
    return Store(folder / CHECKPOINTS).newest()[0]
