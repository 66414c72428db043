"""Folders of image files."""

from pathlib import Path

import numpy as np

from kgen.data import pictures
from kgen.data.image_data import ImageData, Split, hold_out
from kgen.errors import KgenError


def read_folder(folder: Path, size: tuple[int, int] | None, grayscale: bool) -> ImageData:
    """The PNG, JPEG and WebP files of a folder, in sorted order; every tenth is held out.

    Sub-folders are labels, numbered in sorted order; files count at any depth inside them. Other
    files are ignored, and so are names that begin with a dot. `size` and `grayscale` are as
    in `kgen.data.load`.

    Raises KgenError for a folder of fewer than two images, images beside sub-folders with images, a
    damaged image, images of different kinds without `grayscale`, or of different sizes
    without `size`.
    """
    paths = _image_paths(folder)
    labels, label_names = _labels(folder, paths)
    _check_kinds(paths, grayscale)
    train, test = hold_out(Split(_read(paths, size, grayscale), labels), str(folder))
    return ImageData(
        name=folder.resolve().name,
        train=train,
        test=test,
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


def _check_kinds(paths: list[Path], grayscale: bool) -> None:
    """Looks at every header, so that most mistakes show before any image is decoded."""
    example: dict[str, Path] = {}
    for path in paths:
        example.setdefault(pictures.kind(path), path)
    if len(example) > 1 and not grayscale:
        received = ", ".join(f"{kind} ({path})" for kind, path in example.items())
        raise KgenError(
            f"expected images of one mode, received {received}: convert them, or add"
            " grayscale=True, which makes all of them grey (transparent ones on white)"
        )


def _read(paths: list[Path], size: tuple[int, int] | None, grayscale: bool) -> np.ndarray:
    first = pictures.adapted(pictures.read(paths[0]), size, grayscale)
    images = np.empty((len(paths), *first.shape), np.uint8)
    for place, path in zip(images, paths, strict=True):
        image = pictures.adapted(pictures.read(path), size, grayscale)
        if image.shape != first.shape:
            raise KgenError(
                f"expected images of one size, received {first.shape[:2]} in {paths[0]} and"
                f" {image.shape[:2]} in {path}: add size=, for example size={min(first.shape[:2])}"
            )
        place[...] = image
    return images
