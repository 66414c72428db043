"""Sets of sentences: WordNet's examples, and the user's text files."""

import gzip
import re

import numpy as np

from kgen.data import allowance
from kgen.data.dataset import Dataset
from kgen.data.sources import Source, find
from kgen.data.splits import Split, held_out
from kgen.errors import KgenError
from kgen.files import open_plain
from kgen.spaces import Tokens, split_words

_TEST_SEED, _TEST_SHARE = 0, 0.1
SHORTEST, LONGEST = 3, 15  # words and punctuation marks per sentence of WordNet
FEWEST = 5  # occurrences in the training sentences for a word to be in the vocabulary

_WORDNET = Source(
    publisher="the example sentences of WordNet 3.1, Princeton University",
    files={
        "wordnet_examples.txt.gz": (
            "da61f46601765fb36d88dd204d4a01fc65b15c4b65f7a536bb65dd1669d5a8e8"
        ),
    },
    read=lambda folder: gzip.decompress((folder / "wordnet_examples.txt.gz").read_bytes()).decode(),
)


def read_wordnet(options=()):
    """WordNet's example sentences of 3 to 15 words and marks; a random tenth is for testing.

    Words with fewer than five occurrences in the training sentences are unknown words.
    """
    source, folder = find("wordnet_examples", (_WORDNET,))
    lines = source.read(folder).splitlines()
    texts = [line for line in lines if SHORTEST <= len(split_words(line)) <= LONGEST]
    order = np.random.default_rng(_TEST_SEED).permutation(len(texts))
    for_testing = np.zeros(len(texts), bool)
    for_testing[order[: int(_TEST_SHARE * len(texts))]] = True
    return _dataset(
        "wordnet_examples",
        texts,
        for_testing,
        f"{source.publisher}, those of {SHORTEST} to {LONGEST} words and marks, a random tenth for "
        "testing",
        "WordNet 3.1 licence, Princeton University",
        FEWEST,
    )


def read_text_file(path, most):
    """The sentences of a text file, one per line; every tenth is held out for testing.

    Blank lines are skipped.

    Args:
        path: of the file.
        most: largest memory, in bytes.

    Returns:
        A `Dataset`.

    Raises:
        KgenError: for a file that is no UTF-8 or has fewer than two sentences, or if its text or
            its tokens need more memory.
    """
    texts = lines_of(read_text(path, most))
    for_testing = held_out(len(texts), f"{path}, one a line", "sentences")
    needed = len(texts) * max(len(split_words(text)) for text in texts) * 4
    allowance.check(needed, most, str(path), "give shorter lines, or ", "texts")
    return _dataset(
        path.stem,
        texts,
        for_testing,
        f"the file {path}, every tenth line held out for testing",
        "unknown: the user's own texts",
        fewest=1,
    )


def lines_of(text):
    """The lines of a text without space around them, except blank ones.

    A line ends as in a text file, not at the other signs at which `str.splitlines` divides.
    """
    return [line.strip() for line in re.split(r"[\r\n]", text) if line.strip()]


def read_text(path, most):
    """The content of a UTF-8 text file, a string.

    Args:
        path: of the file.
        most: largest memory, in bytes; it is four times the file's size.

    Raises:
        KgenError: if it cannot be read, is no UTF-8, or needs more memory.
    """
    try:
        with open_plain(path, follow=True) as file:
            # 4 times the size: bytes, characters and lines.
            allowance.check(4 * path.stat().st_size, most, str(path), what="texts")
            return file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise KgenError(
            f"Expected a text in UTF-8 in {path}, received another encoding in line {line}: save "
            "it as UTF-8."
        ) from error
    except OSError as error:
        raise KgenError(
            f"Expected a file that can be read, received {path} ({error.strerror}): change its "
            "rights, or move it."
        ) from error


def _dataset(name, texts, for_testing, source, licence, fewest):
    train = [text for text, is_held in zip(texts, for_testing, strict=True) if not is_held]
    test = [text for text, is_held in zip(texts, for_testing, strict=True) if is_held]
    length = max(len(split_words(text)) for text in texts)  # what is cut has another probability
    space = Tokens.of(train, length, fewest)
    splits = (Split(space.encode(part)) for part in (train, test))
    return Dataset(name, *splits, space, source, licence)
