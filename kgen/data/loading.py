"""`load`: read a data set from any kind of source."""

import difflib
import os

import numpy as np

from kgen.data import derived
from kgen.data.allowance import most_bytes
from kgen.data.folders import read_folder
from kgen.data.labels import warn_of_untrained
from kgen.data.named import SETS, read_named
from kgen.data.own_arrays import read_array, read_file
from kgen.data.texts import read_text_file
from kgen.data.transforms import binarized, colour_mode, height_and_width, reshaped
from kgen.errors import KgenError
from kgen.files import expanded, kind


def names():
    """The named sets, as a dict {name: one-line description}.

    Examples:
        >>> kgen.data.names()["digits"]
        '1,797 handwritten digits, 8x8 grey, 17 levels; comes with scikit-learn'
    """
    return {name: known.description for name, known in SETS.items()}


def load(
    source="digits",
    labels=None,
    *,
    binarize=None,
    size=None,
    mode=None,
    grayscale=False,
    max_memory=None,
):
    """Load images, texts or points, split for training and testing.

    Images are uint8 arrays (n, height, width, channels) with values 0..levels-1. Texts are int32
    arrays (n, length) of tokens. Points are float32 arrays (n, 2). Labels, captions, attributes or
    source images are the `condition` of a split; see `Dataset`.

    Args:
        source: one of these:
            - a name that `names()` lists (for a folder of the same name write "./name");
            - a folder of image files: PNG, JPEG, WebP, GIF, BMP, TIFF, JPEG 2000 and any other
              format that pillow reads. Folders `train` and `test` in it are the splits (or `train`
              and `val`; of all three, `val` is for validation). Sub-folders are labels, numbered in
              natural order (2 before 10); a single sub-folder that holds all images is no label.
              EXIF orientation is applied, transparent images are put on white, the first of several
              frames is read, and of 16 bits per channel the upper 8 are kept; levels is 256. Other
              files are left out, and a warning counts them. If decoding takes longer than a second,
              the array is kept in the user's cache, and memory-mapped as long as the files do not
              change;
            - a folder of images with a table of captions: `captions.csv`, `captions.jsonl`,
              `metadata.csv` or `metadata.jsonl` with the columns `file_name`, relative to the
              table, and `text` or `caption` (others are ignored); or with a table `attributes.csv`:
              `file_name` and columns of numbers from 0 to 1. Sub-folders are then no labels;
            - a folder of two sub-folders, `source` and `target`, with files of equal names: the
              images in `target` are the items, those in `source` their conditions;
            - an `.npz` file. Its arrays are `x_train`, `y_train`, `x_test`, `y_test`, `x_val`,
              `y_val` (validation images), of which `x_train` is required; or `images`, `labels`, of
              which `images` is required;
            - an `.npy` file of images;
            - a `.txt` file of texts in UTF-8, one per line;
            - a uint8 array (n, height, width, channels) or (n, height, width).
            Arrays have 1 or 3 channels. Their levels is 2 if all values are 0 and 1, else 256.
            Without test images, every tenth item is held out for testing. The vocabulary is the
            words of the training texts.
            A colon and further words may follow a name or path: "edges", "gray", "small" or
            "hidden" give each image such a source image (`Dataset.pairs`), "static" and "dynamic"
            binarise (see `binarize`), and some sets have words of their own (see `names()`).
            Examples: "mnist:edges", "my/photos:gray", "placed_digits:64:attributes".
        labels: (n,), only for an array in memory: integers from 0 on, or names. Names are numbered
            in natural order.
        binarize: "static": each pixel is drawn once, with P(1) = grey / (levels - 1).
            "dynamic": the training images become a `DynamicallyBinarized`, drawn again every epoch;
            the test images are the fixed draw of "static". Both are seeded, and the training images
            of "static" are epoch 0 of "dynamic". levels becomes 2.
        size: the side of a square, or (height, width). Images of another aspect ratio are cropped
            about their centre. Then all are resized (bicubic, antialiased). Source images are made
            afterwards.
        mode: "rgb" or "gray": convert all images to colour, or to grey (ITU-R 601 luma), also if a
            folder mixes grey, colour and transparent files. None: no conversion; all images must be
            of one kind.
        grayscale: True is mode="gray".
        max_memory: GB (10^9 bytes) that loading may take; None: half of the machine's memory. Data
            that need more are refused before they are read.

    A warning is logged if no training image has one of the labels 0..classes-1, and if the values
    of all images lie in the lower half of their range (as 12-bit values in 16 bits do).

    Returns:
        A `Dataset`.

    Raises:
        KgenError: for an unknown name or path, files that cannot be found or downloaded, damaged
            files (those of a folder are listed together), images of an unusable kind, dtype or
            shape, data that need too much memory, a table that does not describe its images, an
            argument out of its range, or an image argument for texts or points.

    Examples:
        >>> data = kgen.data.load("digits")
        >>> data.train.images.shape, data.train.images.dtype, data.levels
        ((1438, 8, 8, 1), dtype('uint8'), 17)
        >>> kgen.data.load("digits", binarize="static", size=16).image_shape
        (16, 16, 1)
        >>> own = np.zeros((20, 8, 8), "uint8")
        >>> kgen.data.load(own).image_shape
        (8, 8, 1)
        >>> kgen.data.load(own, ["dog", "cat"] * 10).label_names
        ('cat', 'dog')
        >>> kgen.data.load("digits:hidden").condition_space
        Pixels(shape=(8, 8, 1), levels=17)
        >>> kgen.data.load("rings").space
        Vectors(size=2)
    """
    if binarize not in (None, "static", "dynamic"):
        raise KgenError(
            f'Expected binarize to be "static", "dynamic" or None, received {binarize!r}: choose '
            "one."
        )
    most = most_bytes(max_memory)
    data = _read(source, labels, height_and_width(size), colour_mode(mode, grayscale), most)
    if data.train.labels is not None:
        warn_of_untrained(data.name, data.train.labels, range(data.classes), data.label_names)
    return data if binarize is None else binarized(data, binarize)


def is_named(source):
    """Whether `load` would read a named set.

    Args:
        source: an argument of `load`.

    Returns:
        True for a string that is the name of a set, with or without known words after a colon.

    Examples:
        >>> kgen.data.is_named("mnist:edges"), kgen.data.is_named("./photos:edges")
        (True, False)
    """
    name, *words = source.split(":") if isinstance(source, str) else [None]
    return name in SETS and set(words) <= {*SETS[name].options, *derived.DERIVATIONS}


def _read(source, labels, size, mode, most):
    if isinstance(source, np.ndarray):
        return reshaped(read_array(source, labels), size, mode, most)
    if not isinstance(source, str | os.PathLike):
        received = type(source).__name__
        raise KgenError(
            f"Expected a name, a path or a numpy array to load, received {received}: if it holds "
            "images, give numpy.asarray(...)."
        )
    if labels is not None:
        raise KgenError(
            f"Expected labels for an array in memory only, received them for {source}: those of a "
            "folder are its sub-folders, those of an .npz file its arrays y_train, y_test."
        )
    sets = SETS if isinstance(source, str) else {}  # a pathlib.Path is never the name of a set
    whole, words = _parted(os.fspath(source), sets)
    options = sets[whole].options if whole in sets else ()
    derived.check(words, options, str(source))
    if whole in sets:
        chosen = tuple(word for word in words if word in options)
        data = reshaped(read_named(whole, chosen), size, mode, most)
    else:
        data = _read_path(expanded(whole), size, mode, most)
    return derived.derive(data, tuple(word for word in words if word not in options))


def _parted(source, sets):
    """(the longest prefix that is one of `sets` or a path, the words after its colons)."""
    whole, words = source, ()
    while whole not in sets and not kind(expanded(whole)):
        whole, _, word = whole.rpartition(":")
        words = (word, *words)
        if not whole:
            raise KgenError(_unknown(source))
    return whole, words


def _read_path(path, size, mode, most):
    found = kind(path)
    if found == "folder":
        return read_folder(path, size, mode, most)
    if found == "file" and path.suffix.lower() == ".txt":
        return reshaped(read_text_file(path, most), size, mode, most)
    if found == "file":
        return reshaped(read_file(path, most), size, mode, most)
    raise KgenError(
        f"Expected a folder of images, or an .npz, .npy or .txt file, received {path}, a pipe or a "
        "device: save what it gives to a file."
    )


def _unknown(source):
    nearest = difflib.get_close_matches(source.partition(":")[0].lower(), SETS, n=1)
    name = f"did you mean {nearest[0]!r}? Name" if nearest else "name"
    return (
        f"Expected a known set or an existing path, received {source!r}: {name} one of "
        f"{', '.join(SETS)}, a folder of images, or an .npz, .npy or .txt file."
    )
