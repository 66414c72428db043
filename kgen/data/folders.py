"""Folders of image files."""

import time
from pathlib import Path

import numpy as np

from kgen.data import pictures
from kgen.data.decoding import decode
from kgen.data.image_data import ImageData, Split, held_out
from kgen.data.kept import KeptImages
from kgen.errors import KgenError

SECONDS_WORTH_KEEPING = 1.0


def read_folder(folder: Path, size: tuple[int, int] | None, grayscale: bool) -> ImageData:
    """The PNG, JPEG and WebP files of a folder, in sorted order; every tenth is held out.

    Sub-folders are labels, numbered in sorted order; files count at any depth inside them. Other
    files are ignored, and so are names that begin with a dot. `size` and `grayscale` are as
    in `kgen.data.load`.

    Memory holds the images once, 1 or 3 bytes a pixel; while they are decoded, also about 1 KB a
    file and the files that at most 8 threads are at (`kgen.data.decoding`). What took longer than a
    second to decode is kept in the user's cache and mapped from there the next time: the system
    reads it as it is used, and may drop it again where memory is short, also during `fit`.

    Raises KgenError for a folder of fewer than two images, images beside sub-folders with images,
    damaged images (listed together), images of different kinds without `grayscale`, or of different
    sizes without `size`, or too many for the memory.
    """
    paths = _image_paths(folder)
    labels, label_names = _labels(folder, paths)
    # The training images first: each split is one stretch of the array, and nothing is copied.
    for_testing = held_out(len(paths), str(folder))
    order = np.argsort(for_testing, kind="stable")
    images = _images(folder, [paths[row] for row in order], size, grayscale)
    everything = Split(images, None if labels is None else labels[order])
    training = np.count_nonzero(~for_testing)
    return ImageData(
        name=folder.resolve().name,
        train=everything.take(slice(training)),
        test=everything.take(slice(training, None)),
        levels=256,
        source=f"the folder {folder}, every tenth image held out for testing",
        licence="unknown: the user's own images",
        label_names=label_names,
    )


def _image_paths(folder: Path) -> list[Path]:
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in pictures.SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not paths:
        raise KgenError(
            f"{folder}: expected PNG, JPEG or WebP images, received a folder without any:"
            " check the path"
        )
    return paths


def _labels(folder: Path, paths: list[Path]) -> tuple[np.ndarray | None, tuple[str, ...] | None]:
    """(labels, label names), or (None, None) for a folder without sub-folders."""
    parts = [path.relative_to(folder).parts for path in paths]
    unlabelled = [path for path, part in zip(paths, parts, strict=True) if len(part) == 1]
    if len(unlabelled) == len(paths):
        return None, None
    if unlabelled:
        raise KgenError(
            f"{folder}: expected all images in sub-folders, which are their labels, or none;"
            f" received {unlabelled[0].name} beside sub-folders: move it"
        )
    names, labels = np.unique([part[0] for part in parts], return_inverse=True)
    return labels.astype(np.int64), tuple(names.tolist())


def _images(
    folder: Path, paths: list[Path], size: tuple[int, int] | None, grayscale: bool
) -> np.ndarray:
    """The images at `paths`, decoded, or from the cache where that took long the last time."""
    kept = KeptImages(folder, paths, size, grayscale)
    images = kept.read()
    if images is None:
        started = time.monotonic()
        images = decode(folder, paths, size, grayscale)
        if time.monotonic() - started >= SECONDS_WORTH_KEEPING:
            kept.write(images)
    return images
