"""The folder of a run: create it, lock it for one process, and read it with checks."""

import contextlib
import itertools
import logging
import os
import shutil
import stat
from pathlib import Path
from typing import Annotated

from kgen.bounds import Bounds, checked
from kgen.errors import KgenError
from kgen.files import cannot_read, cannot_write, kind, read_json, remove_partial

REMEDY = "take another copy of the folder"
Word = Annotated[str, Bounds(1, 1_000, remedy=REMEDY)]
# The entries of `run.json` that are read if present, besides those of `kgen.runs.options`.
READ = {
    "status": Word,
    "seconds": Annotated[float, Bounds(0, 10**9, remedy=REMEDY)],
    "data": dict,
    "data.name": Word,
    "data.checksum": Word,
    "resumed": list,
}
RECORD, MODEL, CHECKPOINTS, LOCK = "run.json", "model", "checkpoints", ".lock"
# {place in a run: regular expression of the files written there}: a killed process may leave
# temporary files of these names.
WRITTEN = {
    "": r"run\.json|history(-\w+)?\.csv|[\w-]+\.png|samples\.\w+|model",
    CHECKPOINTS: r"(stage-\d+-)?epoch-\d+-step-\d+",
    "samples": r"(\w+-)?epoch-\d+\.\w+",
    MODEL: r"model\.json|variables\.safetensors",
}

logger = logging.getLogger("kgen")


@contextlib.contextmanager
def begun(out, name):
    """Context manager: a new, locked run folder: `out`, or the first free of runs/NAME, NAME-2, ...

    If no `run.json` is written in it, everything that this process made is removed again, including
    the folder if this process created it.

    Raises:
        KgenError: if `out` exists and is no empty folder, or cannot be written.
    """
    folder, made = _new(out, name)
    try:
        with locked(folder):
            try:
                yield folder
            finally:
                if not (folder / RECORD).exists():
                    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
                    (folder / LOCK).unlink(missing_ok=True)
    finally:
        if made:
            with contextlib.suppress(OSError):  # not empty: a run, or somebody else's files
                folder.rmdir()


def _new(out, name):
    """(an empty folder, whether it was created here)."""
    if out is not None:
        candidates = [out]
    else:
        numbered = (Path("runs", f"{name}-{number}") for number in itertools.count(2))
        candidates = itertools.chain([Path("runs", name)], numbered)
    for folder in candidates:
        try:
            if out is not None and folder.is_dir() and not any(folder.iterdir()):
                return folder, False
            folder.mkdir(parents=True)
            return folder, True
        except FileExistsError:
            continue
        except (OSError, ValueError) as error:  # ValueError: an invalid name
            raise cannot_write(folder, error) from error
    raise KgenError(f"Expected a new folder, but {out} exists already: choose another --out.")


@contextlib.contextmanager
def locked(folder):
    """Context manager: lock the folder for this process; the lock always ends with the process.

    The lock file stays, unless it was created here and the block raises KgenError.

    Raises:
        KgenError: if another process uses the folder, or it cannot be written.
    """
    import filelock

    made = _check_lock(folder / LOCK)
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
        for place, names in WRITTEN.items():
            remove_partial(folder / place, names)
        yield
    except KgenError:
        if made:
            (folder / LOCK).unlink(missing_ok=True)
        raise
    finally:
        lock.release()


def _check_lock(path):
    """Whether the lock file does not exist yet; KgenError if another file has its name."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return True
    except OSError as error:
        raise cannot_read(path, error) from error
    if not stat.S_ISREG(status.st_mode) or status.st_size:
        raise KgenError(
            f"Expected {path} to be the empty file by which kgen locks a run, received another: "
            "move it away."
        )
    return False


def check(folder):
    """Raise KgenError unless `folder` is a run folder without symbolic links."""
    _check_folder(folder)
    for parent, folders, files in os.walk(folder, onerror=_refuse):
        for path in (Path(parent, name) for name in (*folders, *files)):
            try:
                is_link = stat.S_ISLNK(os.lstat(path).st_mode)
            except OSError as error:
                _refuse(error)
                continue
            if is_link:
                raise KgenError(
                    f"Expected a run without links, received {path}: put the file there."
                )


def _check_folder(folder):
    if kind(folder) != "folder":
        raise KgenError(
            f"Expected {folder} to be a run of kgen.fit, but there is no such folder: look "
            "into runs/."
        )


def _refuse(error):
    """Raise KgenError, except for a missing file: a process that trains here may remove files."""
    if not isinstance(error, FileNotFoundError):
        raise cannot_read(error.filename, error) from error


def read_record(folder):
    """The content of `run.json`: plain values, of which those in `READ` are checked.

    `kgen.runs.options` checks its `options`.

    Raises:
        KgenError: if it is missing or damaged.
    """
    try:
        record = read_json(folder / RECORD)
        _check_record(record, folder / RECORD)
        return record
    except FileNotFoundError as error:
        _check_folder(folder)
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
    """A run's newest model: its folder, for `kgen.load`; its progress in words; its stage, from 0.

    It is `model/`, which is written when training ends, unless that is missing, damaged or older
    than the last intact checkpoint. With early stopping, it is that of the best epoch so far.

    Raises:
        KgenError: if there is neither.
    """
    from kgen.runs import checkpoint

    check(folder)
    model, states = folder / MODEL, []
    if kind(folder / CHECKPOINTS) == "folder":
        with contextlib.suppress(KgenError):  # damaged ones are logged
            states.append(_newest(checkpoint.Store(folder / CHECKPOINTS)))
    if kind(model / checkpoint.RECORD):
        try:
            states.append((model, checkpoint.read(model)))
        except KgenError as error:
            logger.warning("kgen: damaged model %s left out: %s", model, error)
    if not states and kind(model / checkpoint.RECORD) is None and kind(model) == "folder":
        return model, f"{folder}: {MODEL}, which does not say how far it is trained", None
    if not states:
        raise KgenError(
            f"Expected {folder} to be a run of kgen.fit, but there is no good {model} and no good "
            "checkpoint: train it, or name another folder."
        )
    # If both are equally far: the last one, the model.
    path, progress = max(reversed(states), key=lambda state: state[1].position)
    best = f", the weights of the best epoch, {progress.best}" if progress.best else ""
    return path, f"{folder}: {path.relative_to(folder)}, {progress}{best}", progress.stage


def _newest(store):
    """(folder of the weights to use, `Progress`) of the last intact checkpoint of a `Store`."""
    path, progress = store.newest()
    return store.best(progress) if progress.best else path, progress
