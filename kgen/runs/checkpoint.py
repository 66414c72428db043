"""Checkpoints: everything that training continues from, written atomically and verified.

A checkpoint is a folder with a saved model and `checkpoint.json`. The model's variables include the
optimizer's slots, the seeds and the epoch's means. The JSON file holds the position (stage, epoch,
step), the history, and checksums of everything. The data order is a pure function of the position
(`order.py`). The last two checkpoints are kept, and with early stopping the best epoch's.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import math
import re
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open

from kgen.errors import KgenError
from kgen.files import (
    LARGEST_JSON,
    as_json,
    atomic_folder,
    check_no_hole,
    check_regular_file,
    checksum,
    read_json,
    without_non_finite,
)

RECORD = "checkpoint.json"
KEPT = 2
LONGEST = 1e9  # seconds, 32 years
MOST_TERMS = 100
MOST = 10**9  # epochs, and steps of an epoch, are fewer
NAME = re.compile(r"(?:stage-(\d{1,3})-)?epoch-(\d{1,9})-step-(\d{1,9})")
FILE = re.compile(r"\w[\w.-]{0,99}", re.ASCII)

logger = logging.getLogger("kgen")


@dataclass
class Progress:
    """The progress of a run: what training continues from, besides the variables.

    Attributes:
        epoch: number of completed epochs.
        step: number of completed steps of the next epoch; fewer than it has.
        seconds: training time, without time lost when a process was killed.
        history: {term: [mean of each epoch]}.
        batch_size: items per step; None if the model was not trained by `kgen.fit`.
        stage: the current stage, from 0; earlier stages are complete.
        best: the epoch of this stage, from 1, with the best validation metric so far; None without
            early stopping, or before it has measured one.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    history: dict = field(default_factory=dict)
    batch_size: int | None = None
    stage: int = 0
    best: int | None = None
    _counted: float = field(default_factory=time.monotonic, init=False, repr=False)

    @property
    def position(self):
        return self.stage, self.epoch, self.step

    @property
    def name(self):
        """The name of the checkpoint's folder."""
        return _name(*self.position)

    def __str__(self):
        parts = {"stage": self.stage} if self.stage else {}
        parts |= {"epoch": self.epoch} | ({"step": self.step} if self.step else {})
        counted = (f"{n} {name}{'s' * (n != 1)}" for name, n in parts.items())
        return f"after {' and '.join(counted)}"

    def count_seconds(self):
        """Add the time since the last call, or since construction, to `seconds`."""
        now = time.monotonic()
        self.seconds, self._counted = self.seconds + now - self._counted, now

    def content(self):
        """The constructor arguments as plain values, for JSON."""
        content = dataclasses.asdict(self)
        del content["_counted"]
        return {**content, "seconds": round(self.seconds, 1)}


class Store:
    """The checkpoints of a run in `folder`, which is created with the first one."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def write(self, progress, save):
        """Write a checkpoint, and remove all but the last two up to it and the best of each.

        Args:
            progress: a `Progress`.
            save: function of a folder that writes the model into it.

        Raises:
            KgenError: if it cannot be written; earlier checkpoints stay.
        """
        write(self.folder / progress.name, progress, save)
        so_far = [other for other in self._paths() if _position(other) <= progress.position]
        kept = so_far[-KEPT:]
        for other in set(self._paths()) - {*kept, *map(_best_known, kept)}:
            shutil.rmtree(other, ignore_errors=True)

    def best(self, progress):
        """The folder of the intact checkpoint of the epoch `progress.best`.

        Raises:
            KgenError: if it is missing or damaged.
        """
        position = progress.stage, progress.best, 0
        path = self.folder / _name(*position)
        try:
            read(path, position)
        except KgenError as error:
            raise KgenError(
                f"Expected the weights of the best epoch in {path}, but {error}: take another copy "
                "of the run, or start anew."
            ) from error
        return path

    def newest(self):
        """The last intact checkpoint: (its folder, `Progress`); damaged ones are logged.

        Raises:
            KgenError: if there is none.
        """
        paths = self._paths()
        for path in reversed(paths):
            try:
                return path, read(path, _position(path))
            except KgenError as error:
                logger.warning("kgen: damaged checkpoint %s left out: %s", path, error)
        found = f"{len(paths)} damaged ones" if paths else "none"
        raise KgenError(
            f"Expected a checkpoint in {self.folder}, received {found}: take another copy of the "
            "run, or start anew."
        )

    def _paths(self):
        if self.folder.is_symlink() or not self.folder.is_dir():
            return []
        paths = [path for path in self.folder.iterdir() if NAME.fullmatch(path.name)]
        return sorted(paths, key=_position)


def _name(stage, epoch, step):
    return f"stage-{stage}-" * bool(stage) + f"epoch-{epoch}-step-{step}"


def _best_known(path):
    """The path of the best checkpoint as the checkpoint `path` knows it; None if it does not."""
    with contextlib.suppress(KgenError, OSError):
        content = read_json(path / RECORD).get("content")
        best = content.get("best") if isinstance(content, dict) else None
        return path.with_name(_name(_position(path)[0], best, 0)) if type(best) is int else None


def _position(path):
    return tuple(int(number or 0) for number in NAME.fullmatch(path.name).groups())


def write(path, progress, save):
    """Write one checkpoint atomically to the folder `path`; arguments as of `Store.write`."""
    with atomic_folder(path) as temporary:
        save(temporary)
        files = {file.name: checksum(file) for file in temporary.iterdir()}
        content = without_non_finite({**progress.content(), "files": files})
        record = {"content": content, "checksum": _checksum(_canonical(content))}
        (temporary / RECORD).write_text(as_json(record, indent=2) + "\n")


def read(path, position=None):
    """The `Progress` of the checkpoint `path`, after its checksums are verified.

    Args:
        path: a folder.
        position: the required (stage, epoch, step), or None.

    Raises:
        KgenError: says what is wrong, as a part of a sentence.
    """
    try:
        if path.is_symlink():
            raise KgenError("a link")
        record = read_json(path / RECORD)
        content = record.get("content")
        whole = isinstance(content, dict) and record.get("checksum") == _checksum(
            _canonical(content)
        )
        if not whole:
            raise KgenError(f"the checksum of {RECORD} is another one")
        for name, expected in _files(content.pop("files", None)):
            _check_size(path / name)
            if checksum(path / name) != expected:
                raise KgenError(f"the checksum of {name} is another one")
        progress = Progress(**content)
        _check(progress, position or progress.position)
        _restore_non_finite(progress.history)
    except (OSError, TypeError) as error:
        raise KgenError(str(error)) from error
    return progress


def _files(files):
    if not isinstance(files, dict) or not all(map(FILE.fullmatch, files)):
        raise KgenError(f"{RECORD} names no files of its folder")
    return files.items()


def _check_size(path):
    """Raise KgenError for a file of a wrong size, before it is read: it may be a stranger's."""
    check_regular_file(path)
    check_no_hole(path)
    if path.suffix == ".json" and path.stat().st_size > LARGEST_JSON:
        raise KgenError(f"{path.name} is larger than {LARGEST_JSON:,} bytes")
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="numpy"):  # checks the length that its header states
                pass
        except SafetensorError as error:
            raise KgenError(f"{path.name}: {error}") from error


def _check(progress, position):
    history = progress.history
    whole = (
        progress.position == position
        and all(type(number) is int and 0 <= number < MOST for number in position)
        and type(progress.seconds) is float
        and 0 <= progress.seconds < LONGEST
        and (progress.batch_size is None or type(progress.batch_size) is int)
        and (progress.best is None or type(progress.best) is int)
        and (progress.best is None or 0 < progress.best <= progress.epoch)
        and isinstance(history, dict)
        and len(history) <= MOST_TERMS
        and all(isinstance(means, list) for means in history.values())
        and all(len(means) == progress.epoch for means in history.values())
        and all(type(mean) is float or mean is None for means in history.values() for mean in means)
    )
    if not whole:
        raise KgenError(f"{RECORD} holds no progress of {position[1]} epochs")


def check_terms(progress, expected):
    """Raise KgenError unless the history has exactly the terms that training this model logs."""
    received = set(progress.history)
    if received != (set(expected) if progress.epoch else set()):
        raise KgenError(
            f"Expected a history of {', '.join(expected)} in {RECORD}, received "
            f"{', '.join(sorted(map(ascii, received)))[:200] or 'none'}: take another copy of the "
            "run, or start anew."
        )


def _restore_non_finite(history):
    """Replace None by NaN: JSON has null for means that are not finite or were not measured."""
    for means in history.values():
        means[:] = [math.nan if mean is None else mean for mean in means]


def _canonical(content):
    return json.dumps(content, sort_keys=True).encode()


def _checksum(content):
    return hashlib.sha256(content).hexdigest()
