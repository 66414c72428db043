"""Commands as records keep them."""

import re


def without_folders(command):
    """The command that a reader repeats: without the folders of the one who ran it."""
    command = re.sub(r" --out(=| )\S+", "", command)
    command = re.sub(r"(--resume(=| ))\S*/", r"\1runs/", command)
    return re.sub(r" /\S*/", " ", command)


def starts_of(record):
    """A run's record and those of each time it was resumed: every one has a command."""
    return [record, *record.get("resumed", [])]
