"""Parse `--condition` of the command line to arrays of the model's condition space.

- Labels: numbers or names.
- Texts: one per argument, or a file.txt with one per line.
- Attributes: comma-separated names, each with =NUMBER unless it is 1; "none" for none.
- Images: files and folders.
- Vectors: comma-separated numbers.
- Any space: a file.npy with an array; a file.npz with one array per name for several conditions.
"""

from pathlib import Path

import numpy as np

from kgen.data import read_images
from kgen.data.texts import lines_of
from kgen.errors import KgenError
from kgen.spaces import Attributes, Labels, Pixels, Tokens, as_array


def asked_condition(space, words, label_names=None):
    """The words after `--condition` as an array of `space`, or a dict of arrays.

    Args:
        space: the model's condition space; None for an unconditional model.
        words: strings, see above.
        label_names: names of the labels, or None.

    Raises:
        KgenError: for words that do not fit the space.
    """
    if space is None:
        raise KgenError(
            "Expected no --condition for a model that is given nothing, received "
            f"{words[0][:60]!r}: leave it out."
        )
    if len(words) == 1 and words[0].endswith((".npy", ".npz")):
        return _from_numpy(Path(words[0]))
    if isinstance(space, dict):
        raise KgenError(
            f"Expected --condition file.npz with arrays {', '.join(space)}, received "
            f"{words[0][:60]!r}: save them by numpy.savez."
        )
    if isinstance(space, Labels):
        return np.asarray([_label(word, label_names) for word in words])
    if isinstance(space, Tokens):
        return space.check([text for word in words for text in _texts(word)])
    if isinstance(space, Attributes):
        return np.asarray([_attributes(word, space.names) for word in words], "float32")
    if isinstance(space, Pixels):
        return _images(words, space)
    return np.asarray([_numbers(word) for word in words], "float32")


def example_of(space, condition):
    """Words of the command line that ask for the first row of a condition.

    Args:
        space: of the condition.
        condition: an array of it.

    Returns:
        A list; empty if a model needs none, for it chooses for itself.
    """
    if isinstance(space, Tokens):
        return ["--condition", *space.decode(condition[:1])]
    return ["--condition", "IMAGE.png"] if isinstance(space, Pixels) else []


def _from_numpy(path):
    try:
        found = np.load(path, allow_pickle=False)
        return dict(found) if path.suffix == ".npz" else as_array(found)
    except (OSError, ValueError) as error:
        raise KgenError(
            f"Expected --condition to be a file of numpy.save, received {path}, which cannot be "
            f"read: {str(error)[:100]}."
        ) from error


def _label(word, names):
    if names and word in names:
        return names.index(word)
    if word.isdecimal():
        return int(word)
    known = f"one of {', '.join(names)}" if names else "a number"
    raise KgenError(f"Expected a label, {known}, received {word[:60]!r}: choose one of these.")


def _texts(word):
    """The lines of a text file, or the text itself."""
    if not word.endswith(".txt"):
        return [word]
    try:
        texts = lines_of(Path(word).read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise KgenError(
            f"Expected {word} to be a file of one text a line, which cannot be read: "
            f"{str(error)[:100]}. Name another."
        ) from error
    if not texts:
        raise KgenError(f"Expected a text in {word}, one a line, received none: add some.")
    return texts


def _attributes(word, names):
    row = np.zeros(len(names), "float32")
    for part in word.split(",") if word != "none" else ():
        name, _, value = part.strip().partition("=")
        if name not in names:
            raise KgenError(
                f"Expected an attribute, one of {', '.join(names)}, received {name[:60]!r}: write "
                '"none" for none of them.'
            )
        row[names.index(name)] = _numbers(value)[0] if value else 1.0
    return row


def _numbers(word):
    try:
        return [float(part) for part in word.split(",")]
    except ValueError as error:
        raise KgenError(
            f"Expected numbers with commas between them, received {word[:60]!r}: write 0.5,1.2."
        ) from error


def _images(words, space):
    height, width, channels = space.shape
    mode = {1: "gray", 3: "rgb"}.get(channels)
    parts = [read_images(word, (height, width), mode) for word in words]
    images = np.concatenate(parts)  # 256 levels
    return (images.astype("uint32") * (space.levels - 1) // 255).astype(space.dtype)
