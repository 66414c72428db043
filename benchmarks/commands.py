"""Commands as records keep them."""

import shlex
from pathlib import PurePath

RUN_FOLDERS = ("--out", "--resume")


def without_folders(command):
    """The command that a reader repeats: runs in `runs/`, data files in the current folder."""
    words = shlex.split(command)
    return shlex.join(map(_placed, ["", *words], words))


def _placed(before, word):
    flag, _, value = word.partition("=")
    if before in RUN_FOLDERS:
        return f"runs/{PurePath(word).name}"
    if flag in RUN_FOLDERS and value:
        return f"{flag}=runs/{PurePath(value).name}"
    return PurePath(word).name if word.startswith("/") else word


def starts_of(record):
    """A run's record and those of each time it was resumed: every one has a command."""
    return [record, *record.get("resumed", [])]
