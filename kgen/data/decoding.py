"""Decode many image files into one array, in a few threads."""

import contextlib
import os
import sys
import threading
import warnings
from collections import Counter
from functools import partial
from multiprocessing.pool import ThreadPool

import numpy as np

from kgen.data import allowance, image_files
from kgen.errors import KgenError

THREADS = min(8, os.cpu_count() or 1)  # pillow releases Python's lock while it decodes
_FILES_A_TASK = 16
_NAMED = 10  # damaged files that an error names; it counts the others


def decode(folder, paths, size, mode, most):
    """Decode image files into one array.

    Every thread decodes into its rows of one array. Memory holds this array, about 1 KB per file,
    and one image for each of at most 8 threads, at most 20 bytes per decoded pixel. Only one large
    image is decoded at a time. After two seconds a progress bar is shown.

    Args:
        folder: contains the files, for messages.
        paths: of n files.
        size: (height, width), or None for the images' own, which must be equal.
        mode: "rgb" or "gray"; None for the images' own kind, which must be one.
        most: largest memory, in bytes.

    Returns:
        The images, uint8 (n, height, width, 1 or 3), and the largest values in files of 8 and of
        16 bits per channel, a pair; -1 if there are none.

    Raises:
        KgenError: for damaged files (listed together), for images of different kinds without
            `mode` or of different sizes without `size`, and, before any image is decoded, if more
            than `most` bytes were needed.
    """
    read = partial(image_files.read, size=size, mode=mode)
    reach = image_files.NO_REACH
    damage = {}
    alone = threading.Lock()
    with _without_warnings(), ThreadPool(THREADS) as pool:
        headers = _headers(paths, size, pool)
        if mode is None:
            _check_kinds(paths, headers)
        _check_memory(folder, headers, size, mode, most)
        example, shape = _first_readable(paths, read)
        images = _allocated(folder, (len(paths), *shape))

        def place(row):
            """Read one image into its row; return its reach, and what is wrong or None."""
            is_large = headers[row] is not None and headers[row].pixels > image_files.LARGE
            try:
                with alone if is_large else contextlib.nullcontext():
                    image, found = read(paths[row])
            except image_files.DamagedImageError as error:
                return image_files.NO_REACH, str(error)
            if image.shape != shape:
                raise KgenError(_different_sizes(example, shape, paths[row], image.shape))
            images[row] = image
            return found, None

        placed = _with_progress(pool.imap(place, range(len(paths)), _FILES_A_TASK), len(paths))
        for path, (found, wrong) in zip(paths, placed, strict=True):
            reach = tuple(map(max, reach, found))
            if wrong:
                damage[path] = wrong
    if damage:
        raise KgenError(_damaged(folder, damage))
    return images, reach


@contextlib.contextmanager
def _without_warnings():
    """Context manager: silence pillow's warnings about metadata, which kgen does not use.

    Also those about large images, whose memory is bounded here.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def _headers(paths, size, pool):
    """The header of every file; None for a damaged one, which is reported after decoding."""

    def header(path):
        with contextlib.suppress(image_files.DamagedImageError):
            return image_files.header(path, size)

    return list(pool.imap(header, paths, _FILES_A_TASK))


def _check_memory(folder, headers, size, mode, most):
    """Raise KgenError if the array and the images being decoded take more than `most` bytes.

    The latter are one large image, and one other image per thread.
    """
    known = [header for header in headers if header]
    if not known:
        return
    height, width = size or (known[0].height, known[0].width)
    channels = image_files.channels(mode, 1 if known[0].kind.startswith("grey") else 3)
    small = max((h.bytes for h in known if h.pixels <= image_files.LARGE), default=0)
    large = max((h.bytes for h in known if h.pixels > image_files.LARGE), default=0)
    threads = min(THREADS, len(known))
    needed = len(headers) * height * width * channels + large + threads * small
    smaller = "" if size and max(size) <= 64 else "add size=, for example 64, or "
    allowance.check(needed, most, str(folder), smaller)


def _check_kinds(paths, headers):
    """Raise KgenError for images of different kinds, before any image is decoded."""
    examples = {}
    numbers = Counter()
    for path, header in zip(paths, headers, strict=True):
        if header:
            examples.setdefault(header.kind, path)
            numbers[header.kind] += 1
    if len(examples) > 1:
        received = ", ".join(f"{n} {kind} ({examples[kind]})" for kind, n in numbers.items())
        raise KgenError(
            f'Expected images of one kind, received {received}: add mode="rgb" (--color rgb), '
            'which makes all of them colour, or mode="gray" (--color gray); transparent ones are '
            "put on white."
        )


def _first_readable(paths, read):
    """The first readable file, and the shape of its image, which all must have."""
    for path in paths:
        with contextlib.suppress(image_files.DamagedImageError):
            return path, read(path)[0].shape
    return paths[0], (1, 1, 1)  # no readable image: every file will be listed as damaged


def _allocated(folder, shape):
    try:
        return np.empty(shape, np.uint8)
    except MemoryError as error:
        raise KgenError(
            f"Expected images in {folder} that fit into memory, received {shape[0]} of shape "
            f"{shape[1:]}, {np.prod(shape, dtype=float) / 1e9:.1f} GB: add size=, for example 64."
        ) from error


def _with_progress(done, total):
    import tqdm

    often = 0.2 if sys.stderr.isatty() else 10
    return tqdm.tqdm(done, "decoding", total, unit="image", delay=2, mininterval=often)


def _different_sizes(example, shape, path, other):
    return (
        f"Expected images of one size, received {shape[:2]} in {example} and {other[:2]} in "
        f"{path}: add size=, for example size={min(shape[:2] + other[:2])}."
    )


def _damaged(folder, damage):
    listed = [f"{path.relative_to(folder)} ({damage[path]})" for path in sorted(damage)]
    others = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return (
        f"Expected readable images in {folder}, received {len(listed)} damaged "
        f"{'file' if len(listed) == 1 else 'files'}: {', '.join(listed[:_NAMED])}{others}: repair, "
        "convert or remove what is damaged."
    )
