"""Tables of captions or attributes beside image files.

    captions.csv, captions.jsonl, metadata.csv, metadata.jsonl    file_name, and text or caption
    attributes.csv                                                file_name, and numbers from 0 to 1

`metadata` is the convention of Hugging Face's ImageFolder. File names are relative to the table's
folder. A folder of images has one table, or one in each of its sub-folders.
"""

import csv
import io
import json
import os
from dataclasses import dataclass

import numpy as np

from kgen.data import allowance
from kgen.data.texts import read_text
from kgen.errors import KgenError
from kgen.spaces import Attributes, Tokens, split_words

NAMES = frozenset(
    ("captions.csv", "captions.jsonl", "metadata.csv", "metadata.jsonl", "attributes.csv")
)
_FILE, _TEXTS = "file_name", ("text", "caption")


@dataclass(frozen=True)
class Given:
    """The captions or attributes of images, in the order of the images.

    Attributes:
        names: names of the attributes; None for captions.
        values: a caption (str) or a tuple of numbers per image.
    """

    names: tuple[str, ...] | None
    values: list

    def arrays(self, training, most, where):
        """(space, array with one row per image); the first `training` captions give the words.

        Args:
            training: number of training images.
            most: largest size of the array, in bytes.
            where: the folder, for the message.

        Raises:
            KgenError: if the array takes more.
        """
        if self.names:
            return Attributes(self.names), np.array(self.values, np.float32)
        longest = max(len(split_words(text)) for text in self.values)
        allowance.check(4 * longest * len(self.values), most, where, what="captions")
        space = Tokens.of(self.values[:training], longest)
        return space, space.encode(self.values)


def read_tables(folder, tables, paths, most):
    """The captions or attributes in some tables.

    Args:
        folder: contains tables and images.
        tables, paths: of the tables and of the images, at any depth.
        most: largest size of a table in memory, in bytes.

    Returns:
        A `Given`.

    Raises:
        KgenError: for tables of two kinds, two tables in one folder, a file that is no table or
            lacks columns, and for images without a row, with two rows, or that do not exist.
    """
    _check_places(folder, tables)
    known = {os.path.normpath(path) for path in paths}
    found, names = {}, set()
    for table in tables:
        columns, rows = _read(table, most)
        names.add(columns)
        for line, file, value in rows:
            path = os.path.normpath(table.parent / file)
            if path in found:
                received = f"a second one of {file!r}"
                raise _wrong(table, line, "one row per image", received, "remove one")
            if path not in known:
                remedy = "correct the name, or remove the row"
                received = f"{file!r}, which is none"
                raise _wrong(table, line, "the name of an image", received, remedy)
            found[path] = value
    if len(names) > 1:
        first, second = (", ".join(columns or _TEXTS[1:]) for columns in list(names)[:2])
        raise KgenError(
            f"Expected tables of equal columns in {folder}, received {first} and {second}: give "
            "all tables the same ones."
        )
    missing = [path for path in paths if os.path.normpath(path) not in found]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise KgenError(
            f"Expected a row for every image of {folder}, received none for "
            f"{missing[0].relative_to(folder)}{more}: add rows to {tables[0].relative_to(folder)}, "
            "or move these images elsewhere."
        )
    return Given(names.pop(), [found[os.path.normpath(path)] for path in paths])


def _check_places(folder, tables):
    found = {}
    for table in tables:
        other = found.setdefault(table.parent, table)
        if other != table:
            raise KgenError(
                f"Expected one table per folder in {folder}, received {other.relative_to(folder)} "
                f"and {table.relative_to(folder)}: remove one of them."
            )


def _read(table, most):
    """(names of the attributes or None, (line, file, caption or numbers) of each row)."""
    text = read_text(table, most)
    is_json = table.suffix.lower() == ".jsonl"
    header, rows = _lines_of_json(table, text) if is_json else _lines_of_csv(table, text)
    if table.stem.lower() == "attributes":
        names = tuple(name for name in header if name != _FILE)
        _check_columns(table, header, bool(names), "columns of numbers")
        return names, ((line, row[_FILE], _numbers(table, line, row, names)) for line, row in rows)
    columns = [name for name in header if name in _TEXTS]
    _check_columns(table, header, len(columns) == 1, f"either {' or '.join(_TEXTS)}")
    return None, ((line, row[_FILE], _caption(table, line, row[columns[0]])) for line, row in rows)


def _check_columns(table, header, is_complete, others):
    if _FILE not in header or not is_complete or len({"", *header}) <= len(header):
        raise KgenError(
            f"Expected the columns {_FILE} and {others}, each once, in {table}, received "
            f"{', '.join(map(repr, header)) or 'none'}: name them so, or rename the file if it "
            "does not describe images."
        )


def _lines_of_csv(table, text):
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)

    def lines():
        try:
            yield from filter(None, reader)
        except csv.Error as error:
            raise _wrong(table, reader.line_num, "CSV", f"a line that is none ({error})") from error

    def rows():
        for values in content:
            if len(values) != len(header):
                raise KgenError(
                    f"Expected {len(header)} values a line in {table}, received {len(values)} in "
                    f'line {reader.line_num}: put texts with commas in quotation marks, "...".'
                )
            yield reader.line_num, dict(zip(header, values, strict=True))

    content = lines()
    header = [name.strip() for name in next(content, [])]
    return header, rows()


def _lines_of_json(table, text):
    numbered = enumerate(text.split("\n"), start=1)
    objects = [(line, _object(table, line, part)) for line, part in numbered if part.strip()]
    header = list(objects[0][1]) if objects else []

    def rows():
        wanted = [name for name in header if name in (_FILE, *_TEXTS)]
        for line, row in objects:
            for name in wanted:
                if not isinstance(row.get(name), str):
                    raise _wrong(table, line, f"a text for {name}", repr(row.get(name)))
            yield line, row

    return header, rows()


def _object(table, line, text):
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _wrong(table, line, "a JSON object", f"none ({error})") from error
    if not isinstance(value, dict):
        raise _wrong(table, line, "a JSON object", f"a {type(value).__name__}")
    return value


def _caption(table, line, text):
    if not split_words(text):
        raise _wrong(table, line, "a caption of words", repr(text))
    return text


def _numbers(table, line, row, names):
    numbers = []
    for name in names:
        try:
            numbers.append(float(row[name]))
        except ValueError as error:
            raise _wrong(table, line, f"a number for {name}", repr(row[name])) from error
        if not 0 <= numbers[-1] <= 1:
            remedy = "scale it, 0 for no and 1 for yes"
            raise _wrong(table, line, f"a number from 0 to 1 for {name}", repr(row[name]), remedy)
    return tuple(numbers)


def _wrong(table, line, expected, received, remedy="correct it"):
    place = f"line {line} of {table}"
    return KgenError(f"Expected {expected} in {place}, received {received}: {remedy}.")
