"""Read folders of image files."""

import logging
import time
from collections import Counter

import numpy as np

from kgen.data import image_files
from kgen.data.allowance import most_bytes
from kgen.data.cache import CachedImages
from kgen.data.columns import NAMES, read_tables
from kgen.data.dataset import Dataset, warn_of_range
from kgen.data.decoding import decode
from kgen.data.layout import layout
from kgen.data.splits import Split
from kgen.errors import KgenError
from kgen.files import expanded, kind
from kgen.spaces import Pixels

SECONDS_WORTH_KEEPING = 1.0
_NAMED = 3  # suffixes of other files that a warning names

logger = logging.getLogger("kgen")


def read_folder(folder, size, mode, most):
    """The set of a folder's image files, in natural order, with splits and conditions.

    With a table beside the images, conditions are captions or attributes (`kgen.data.columns`). If
    all images lie in two sub-folders `source` and `target`, conditions are the source images. Else
    sub-folders are labels (`layout`).

    Files at any depth count, except names that begin with a dot. Files that pillow cannot read as
    pixels are left out with a warning.

    Memory holds the images once, 1 or 3 bytes per pixel. During decoding it also holds about 1 KB
    per file and the images of at most 8 threads (`kgen.data.decoding`). If decoding takes longer
    than a second, the array is cached and memory-mapped the next time. The system then reads it on
    use and may drop it when memory is short, also during `fit`.

    Args:
        folder: a path.
        size, mode: as in `kgen.data.load`; `size` is (height, width) or None.
        most: largest memory, in bytes.

    Returns:
        A `Dataset`.

    Raises:
        KgenError: for fewer than two images; images beside sub-folders with images; splits that do
            not fit together. For damaged images, which are listed together. For images of different
            kinds without `mode`, or of different sizes without `size`. For a table that does not
            describe the images; source images without their target. For a need of more than `most`
            bytes.
    """
    paths, others = _files(folder)
    sides = _sides(folder, paths)
    tables = [] if sides else sorted(path for path in others if path.name.lower() in NAMES)
    others = [path for path in others if path not in tables]
    if others:
        logger.warning(
            "kgen: left out of %s: %s. Convert what is an image to PNG.",
            *(folder, _described(folder, others)),
        )
    if sides:
        found, everything, space = _pairs(*sides, paths, size, mode, most)
    else:
        found = layout(folder, paths, labelled=not tables)
        space, given = None, found.labels
        if tables:
            said = read_tables(folder, tables, found.paths, most)
            space, given = said.arrays(found.counts[0], most, str(folder))
        everything = Split(_images(folder, found.paths, size, mode, most), given)
    note = f"; other files left out: {len(others)}" if others else ""
    ends = np.cumsum(found.counts)
    splits = [
        everything.take(slice(end - n, end)) for n, end in zip(found.counts, ends, strict=True)
    ]
    return Dataset(
        name=folder.resolve().name,
        train=splits[0],
        test=splits[1],
        validation=splits[2] if len(splits) == 3 else None,
        space=Pixels(everything.x.shape[1:]),
        source=f"the folder {folder}, {found.note}{note}",
        licence="unknown: the user's own images",
        condition_space=space,
        label_names=found.label_names,
    )


def read_images(path, size=None, mode=None):
    """The images of a file, or of a folder.

    Args:
        path: of an image file, or a folder of image files at any depth.
        size: (height, width) to crop and resize to; None keeps the size.
        mode: "rgb" or "gray"; None keeps the colours, and all images must be of one kind.

    Returns:
        uint8 (n, height, width, 1 or 3), in the order of the paths.

    Raises:
        KgenError: if there are no images, damaged ones, images of different kinds without `mode`
            or of different sizes without `size`, or more than half of the machine's memory holds.

    Examples:
        >>> data = kgen.data.load("digits")
        >>> kgen.pictures.save_grid("grid.png", data.test.images[:20], data.levels)
        >>> kgen.data.read_images("grid.png", size=(32, 64)).shape
        (1, 32, 64, 1)
    """
    path = expanded(path)
    found = kind(path)
    if found is None:
        raise KgenError(f"Expected an image or a folder of images, received {path}: name one.")
    paths = sorted(_files(path)[0]) if found == "folder" else [path]
    if not paths:
        raise KgenError(f"Expected images in {path}, received none: name another folder.")
    return decode(path, paths, size, mode, most_bytes(None))[0]


def _sides(folder, paths):
    """The folders (source, target) if all images lie in these two; else None."""
    names = {path.relative_to(folder).parts[0] for path in paths}
    sides = sorted(names, key=str.casefold)
    if [name.casefold() for name in sides] != ["source", "target"]:
        return None
    return folder / sides[0], folder / sides[1]


def _pairs(source, target, paths, size, mode, most):
    """(the layout, the split of target and source images, the space of the source images)."""
    sources, targets = (
        {path.relative_to(side): path for path in paths if path.is_relative_to(side)}
        for side in (source, target)
    )
    alone = sorted(sources.keys() ^ targets.keys())
    if alone:
        more = f" and {len(alone) - 1} more" if len(alone) > 1 else ""
        side = source if alone[0] in sources else target
        raise KgenError(
            f"Expected files of equal names in {source.name} and {target.name} of {source.parent}, "
            f"received {alone[0]}{more} in {side.name} only: add its partner, or remove it."
        )
    found = layout(target, list(targets.values()), labelled=False)
    images = _images(target, found.paths, size, mode, most)
    partners = [sources[path.relative_to(target)] for path in found.paths]
    given = _images(source, partners, size, mode, most - images.nbytes)
    return found, Split(images, given), Pixels(given.shape[1:])


def _files(folder):
    """(image files, other files), without hidden ones; links to folders are followed."""
    readable = image_files.suffixes()
    paths, others = [], []
    for path in _walk(folder, ()):
        (paths if path.suffix.lower() in readable else others).append(path)
    if not paths:
        but = f" but {_described(folder, others)}" if others else ""
        raise KgenError(
            f"Expected image files in {folder}, received none{but}: check the path, or convert "
            "them to PNG."
        )
    return paths, others


def _walk(folder, above):
    """Yield the files at any depth in `folder`; links to an enclosing folder are not followed."""
    here = (*above, folder.resolve())
    try:
        inside = list(folder.iterdir())
    except OSError as error:
        raise KgenError(
            f"Expected a folder that can be read, received {folder} ({error.strerror}): change its "
            "rights, or move it."
        ) from error
    for path in inside:
        if path.name.startswith("."):
            continue
        found = kind(path)
        if found == "folder":
            if not path.is_symlink() or path.resolve() not in here:
                yield from _walk(path, here)
        elif found == "file":
            yield path


def _described(folder, others):
    """Other files in words: their number, the most frequent suffixes, and an example."""
    counts = Counter(sorted(path.suffix.lower() for path in others)).most_common(_NAMED)
    suffixes = ", ".join(f"{n} {suffix or 'without a suffix'}" for suffix, n in counts)
    example = min(path for path in others if path.suffix.lower() == counts[0][0])
    files = "file" if len(others) == 1 else "files"
    return f"{len(others)} other {files} ({suffixes}), such as {example.relative_to(folder)}"


def _images(folder, paths, size, mode, most):
    """The images at `paths`, decoded, or from the cache if decoding took long the last time."""
    cached = CachedImages(folder, paths, size, mode)
    found = cached.read()
    if found is None:
        started = time.monotonic()
        found = decode(folder, paths, size, mode, most)
        if time.monotonic() - started >= SECONDS_WORTH_KEEPING:
            cached.write(*found)
    images, (of_8_bits, of_16_bits) = found
    warn_of_range(f"the 8-bit files of {folder}", of_8_bits, 8)
    warn_of_range(f"the 16-bit files of {folder}", of_16_bits, 16)
    return images
