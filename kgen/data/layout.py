"""The meaning of sub-folders in a folder of images: wrappers, splits, labels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kgen.data.labels import natural, numbered
from kgen.data.splits import held_out
from kgen.errors import KgenError

# Folder names, in lower case, that are splits if folders of two or more splits are there.
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
}

# Below, `files` are pairs of an image's path and the names of its enclosing folders that have no
# meaning assigned yet; `splits` are lists of them.


@dataclass(frozen=True)
class Layout:
    """Image files in the order of their array.

    Attributes:
        paths: training, test and validation images; each split is in natural order.
        counts: number of training, test and, where there are any, validation images.
        labels: int64 (n,), or None.
        label_names: in natural order, or None.
        note: how the splits were chosen, in words.
    """

    paths: list[Path]
    counts: tuple[int, ...]
    labels: np.ndarray | None
    label_names: tuple[str, ...] | None
    note: str


def layout(folder, paths, labelled=True):
    """Splits and labels of image files.

    A single folder that contains all images (of each split) is skipped. At least two folders with
    names of splits are the splits, also inside of label folders. Else every tenth image is held
    out. The next folders are the labels, if `labelled`.

    Args:
        folder: contains the files.
        paths: of the files, at any depth.
        labelled: whether sub-folders are labels.

    Returns:
        A `Layout`.

    Raises:
        KgenError: for splits that do not fit together, images beside label folders, and, if every
            tenth image is held out, fewer than two.
    """
    ordered = sorted(paths, key=lambda path: [*map(natural, path.relative_to(folder).parts)])
    (files,) = _unwrapped([[(path, path.relative_to(folder).parts[:-1]) for path in ordered]])
    splits, note = _named_splits(folder, _splits_first(files)) or _one_in_ten(folder, files)
    labels, label_names = _labels(folder, splits) if labelled else (None, None)
    return Layout(
        paths=[path for split in splits for path, _ in split],
        counts=tuple(map(len, splits)),
        labels=labels,
        label_names=label_names,
        note=note,
    )


def _unwrapped(splits):
    """Remove the first folder, as long as every split has exactly one."""
    while all(files[0][1] and len({f[:1] for _, f in files}) == 1 for files in splits):
        splits = [[(path, folders[1:]) for path, folders in files] for files in splits]
    return splits


def _splits_first(files):
    """Turn cats/train, cats/test, dogs/train, ... into train/cats, ...; others stay."""
    second = {folders[1].casefold() if len(folders) > 1 else "" for _, folders in files}
    if len(second) < 2 or not second <= set(_SPLITS):
        return files
    return [(path, (split, label, *inner)) for path, (label, split, *inner) in files]


def _one_in_ten(folder, files):
    held = held_out(len(files), str(folder))
    splits = [
        [file for file, is_held in zip(files, held, strict=True) if is_held == for_testing]
        for for_testing in (False, True)
    ]
    return splits, "every tenth image held out for testing"


def _named_splits(folder, files):
    """([training, test and perhaps validation files], note) if folders have the names of splits.

    None if they do not. A single such name is no split: `train` may be a class, beside `bus` and
    `car`. Of two splits the second tests.
    """
    found = {}  # by the first folder, "" for none
    for path, folders in files:
        found.setdefault("".join(folders[:1]), []).append((path, folders[1:]))
    names = {}
    for name in found:
        split = _SPLITS.get(name.casefold())
        if split in names:
            raise KgenError(
                f"Expected one folder for each split in {folder}, received {names[split]} and "
                f"{name}: put their images together."
            )
        if split:
            names[split] = name
    if len(names) < 2:
        return None
    others = [
        name or files[0][0].name for name, files in found.items() if name.casefold() not in _SPLITS
    ]
    if others or "train" not in names:
        received = ", ".join([*names.values(), *others])
        raise KgenError(
            f"Expected the folders train and test alone in {folder}, received images in "
            f"{received}: move what is neither elsewhere, or rename folders that are labels."
        )
    train, tested, *validation = (
        names[split] for split in ("train", "test", "val") if split in names
    )
    note = f"its folder {train} for training and {tested} for testing"
    for name in validation:
        note += f", {name} for validation"
    return _unwrapped([found[name] for name in (train, tested, *validation)]), note


def _labels(folder, splits):
    """(labels, label names) from the first folder; (None, None) if images lie in no folder."""
    loose = [path for files in splits for path, folders in files if not folders]
    if len(loose) == sum(map(len, splits)):
        return None, None
    if loose:
        raise KgenError(
            f"Expected all images of {folder} in sub-folders, which are their labels, or none of "
            f"them, received {loose[0].relative_to(folder)} beside sub-folders: move it into one, "
            "or give a folder without it."
        )
    labels, names = numbered([[folders[0] for _, folders in files] for files in splits])
    return np.concatenate(labels), names
