"""The user's own folders with captions, attributes or source images: how they are read, and what
is said of every mistake in them."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_data import error_line
from test_data_layout import values, write

from kgen.data import load
from kgen.errors import KgenError
from kgen.spaces import Attributes, Pixels, Tokens

NAMES = [f"{number:02}.png" for number in range(20)]


@pytest.fixture
def folder(tmp_path):
    """Twenty grey images of one pixel, whose value is 128 and their number."""
    write(tmp_path / "own", **{name.removesuffix(".png"): 128 + n for n, name in enumerate(NAMES)})
    return tmp_path / "own"


def csv(*rows, header="file_name,text"):
    return "\n".join([header, *rows]) + "\n"


def jsonl(*rows):
    return "\n".join(json.dumps(row) for row in rows)


def captioned(rows=range(20)):
    return [f"{NAMES[number]},image {number}" for number in rows]


def captions(data, split="train"):
    return data.condition_space.decode(getattr(data, split).condition)


def error(folder, name, content):
    """The line that `load` says of a folder with such a table; it must name the table."""
    write_table(folder / name, content)
    message = error_line(folder)
    assert str(folder) in message
    assert name in message
    return message


def write_table(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


QUOTED = [f'3,"image {n}",./{name}' for n, name in enumerate(NAMES)]
OBJECTS = [{"file_name": name, "text": f"image {n}"} for n, name in enumerate(NAMES)]
OTHERS = [{"caption": f"Image {n}", "n": n, "file_name": name} for n, name in enumerate(NAMES)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("captions.csv", csv(*captioned())),
        ("metadata.csv", csv(*captioned(reversed(range(20))), header="file_name,caption")),
        ("Metadata.CSV", "\ufeff" + csv(*captioned()).replace("\n", "\r\n\r\n")),
        ("captions.csv", csv(*QUOTED, header="x,text,file_name")),
        ("captions.jsonl", jsonl(*OBJECTS)),
        ("metadata.jsonl", jsonl(*OTHERS) + "\n\n"),
    ],
    ids=["csv", "other order", "marks of Windows", "quoted", "jsonl", "other columns"],
)
def test_captions_are_those_of_their_images(folder, name, content, caplog):
    write_table(folder / name, content)
    data = load(folder)
    assert (values(data.test), len(data.train)) == ([128, 138], 18)
    assert captions(data) == [f"image {value - 128}" for value in values(data.train)]
    assert captions(data, "test") == ["image <unknown>"] * 2
    assert (data.label_names, data.classes) == (None, 0)
    assert caplog.records == []


def test_attributes_are_numbers_by_name(folder):
    rows = (f"{name},{n / 20},1" for n, name in enumerate(NAMES))
    write_table(folder / "attributes.csv", csv(*rows, header="file_name, bright,grey"))
    data = load(folder, size=2)
    assert data.condition_space == Attributes(("bright", "grey"))
    assert np.allclose(data.train.condition[:, 0] * 20, data.train.x[:, 0, 0, 0] - 128.0)
    assert (data.test.condition[:, 1] == 1).all()
    assert data.train.condition.dtype == np.float32


def test_folders_below_are_no_labels_where_there_are_captions(tmp_path):
    write(tmp_path / "a", x=1, y=2)
    write(tmp_path / "b", x=3, y=4)
    rows = ["a/x.png,one", "b/y.png,four", "a/y.png,two", "b/x.png,three"]
    write_table(tmp_path / "captions.csv", csv(*rows))
    data = load(tmp_path)
    assert (values(data.train), captions(data)) == ([2, 3, 4], ["two", "three", "four"])
    assert (data.train.labels, data.label_names) == (None, None)
    write(tmp_path, loose=5)
    write_table(tmp_path / "captions.csv", csv(*rows, "loose.png,five"))
    assert captions(load(tmp_path)) == ["two", "three", "four", "five"]


def test_every_split_may_have_its_own_table(tmp_path):
    write(tmp_path / "train", a=1, b=2)
    write(tmp_path / "test", a=3)
    write_table(tmp_path / "train" / "metadata.csv", csv("a.png,one", "b.png,two"))
    write_table(tmp_path / "test" / "metadata.jsonl", jsonl({"file_name": "a.png", "text": "one"}))
    data = load(tmp_path)
    assert (values(data.train), captions(data)) == ([1, 2], ["one", "two"])
    assert (values(data.test), captions(data, "test")) == ([3], ["one"])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (captioned(range(19)), "received none for 19.png: add rows to captions.csv, or move"),
        (captioned(range(1, 6)), "and 14 more: add rows to captions.csv"),
        ([*captioned(), "07.png,again"], "Expected one row per image in line 22 of "),
        ([*captioned(), "20.png,none"], "Expected the name of an image in line 22 of "),
        (["../own,x"], "received '../own', which is none: correct the name"),
        (["00.png,a,b"], "received 3 in line 2: put texts with commas in quotation marks"),
        (["00.png"], "received 1 in line 2: put texts with commas"),
        (["00.png,..  ", "01.png, "], "Expected a caption of words in line 3 of "),
        (['00.png,"open'], "received a line that is none (unexpected end of data): correct"),
        ([], "and 19 more"),
    ],
)
def test_mistakes_in_rows_are_named(folder, rows, words):
    assert words in error(folder, "captions.csv", csv(*rows))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "the columns file_name and either text or caption, each once, in "),
        (csv(header="file,text"), "received 'file', 'text': name them so"),
        (csv(header="file_name;text"), "received 'file_name;text'"),
        (csv(header="file_name,label"), "or rename the file if it does not describe images"),
        (csv(header="file_name,text,caption"), "either text or caption"),
        (csv(header="file_name,text,text"), "each once"),
        ("file_name,text\n00.png,sch\u00f6n".encode("latin-1"), "line 2: save it as UTF-8"),
    ],
)
def test_mistakes_in_captions_are_named(folder, content, words):
    assert words in error(folder, "metadata.csv", content)


@pytest.mark.parametrize(
    ("header", "row", "words"),
    [
        ("file_name", "00.png", "file_name and columns of numbers"),
        ("file_name,red,", "00.png,1,1", "received 'file_name', 'red', ''"),
        ("file_name,red", "00.png,yes", "Expected a number for red in line 2 of "),
        ("file_name,red", "00.png,1.5", "received '1.5': scale it, 0 for no"),
        ("file_name,red", "00.png,nan", "Expected a number from 0 to 1 for red in line 2 of "),
    ],
)
def test_mistakes_in_attributes_are_named(folder, header, row, words):
    assert words in error(folder, "attributes.csv", csv(row, header=header))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "Expected a JSON object in line 1 of "),
        ("[" * 100_000, "Expected a JSON object in line 1 of "),
        ("\n[1]", "received a list: correct it."),
        (jsonl({"text": "x"}), "received 'text': name them so"),
        (jsonl(OBJECTS[0], {"file_name": NAMES[1]}), "Expected a text for text in line 2 of "),
        (jsonl({"file_name": 3, "text": "x"}), "received 3: correct it."),
    ],
    ids=range(6),
)
def test_mistakes_in_lines_of_json_are_named(folder, content, words):
    assert words in error(folder, "captions.jsonl", content)


def test_two_tables_in_one_folder_are_an_error(folder):
    write_table(folder / "captions.csv", csv(*captioned()))
    message = error(folder, "metadata.csv", csv(*captioned()))
    assert f"table per folder in {folder}, received captions.csv and metadata.csv:" in message


def test_tables_of_two_kinds_are_an_error(tmp_path):
    write(tmp_path / "train", a=1, b=2)
    write(tmp_path / "test", a=3)
    write_table(tmp_path / "train" / "captions.csv", csv("a.png,one", "b.png,two"))
    write_table(tmp_path / "test" / "attributes.csv", csv("a.png,1", header="file_name,red"))
    message = error_line(tmp_path)
    assert f"Expected tables of equal columns in {tmp_path}, received" in message
    assert "red" in message
    assert "caption" in message


def test_a_table_that_cannot_be_read_is_an_error(folder, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    write_table(folder / "captions.csv", csv(*captioned()))
    monkeypatch.setattr("kgen.data.texts.open_plain", refuse)
    message = error_line(folder)
    path = folder / "captions.csv"
    assert f"Expected a file that can be read, received {path} (Permission denied)" in message


def test_captions_too_long_for_the_memory_are_an_error(folder):
    rows = [*captioned(range(19)), f"{NAMES[19]},{'word ' * 20_000}"]
    write_table(folder / "captions.csv", csv(*rows))
    assert "Expected captions that take at most 0.001 GB" in error_line(folder, max_memory=0.001)


TABLES = {
    "captions.csv": csv(*QUOTED, header="x,text,file_name"),
    "captions.jsonl": jsonl(*OTHERS),
    "attributes.csv": csv(*(f"{name},1,0.5" for name in NAMES), header="file_name,red,large"),
}


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from(sorted(TABLES)),
    at=st.integers(0, 400),
    cut=st.integers(0, 30),
    put=st.binary(max_size=8),
)
def test_a_damaged_table_is_read_or_refused_in_one_line(folder, name, at, cut, put):
    whole, said = TABLES[name].encode(), ""
    write_table(folder / name, whole[:at] + put + whole[at + cut :])
    try:
        assert len(load(folder).train) == 18
    except KgenError as error:
        said = str(error)
    (folder / name).unlink()
    assert "\n" not in said


# === Source and target ===


def write_pairs(folder, train="", n=20):
    for side, base in (("source", 100), ("target", 0)):
        write(folder / side / train, **{f"{number:02}": base + number for number in range(n)})


def test_files_of_equal_names_are_pairs(tmp_path):
    write_pairs(tmp_path)
    data = load(tmp_path)
    assert (values(data.test), data.space) == ([0, 10], Pixels((1, 1, 1)))
    assert data.train.condition.ravel().tolist() == [100 + value for value in values(data.train)]
    assert (data.condition_space, data.label_names) == (Pixels((1, 1, 1)), None)


def test_pairs_may_have_splits_and_any_size(tmp_path):
    write_pairs(tmp_path, "train", 3)
    write_pairs(tmp_path, "test", 1)
    data = load(tmp_path, size=4, mode="rgb")
    assert (values(data.train)[::48], values(data.test)[0]) == ([0, 1, 2], 0)
    assert data.condition_space == Pixels((4, 4, 3))
    assert (data.test.condition == 100).all()


def test_images_without_a_partner_are_an_error(tmp_path):
    write_pairs(tmp_path)
    (tmp_path / "source" / "03.png").unlink()
    (tmp_path / "target" / "05.png").rename(tmp_path / "target" / "new.png")
    message = error_line(tmp_path)
    assert f"Expected files of equal names in source and target of {tmp_path}, received" in message
    assert "received 03.png and 2 more in target only: add its partner" in message


def test_source_beside_other_folders_is_a_label(tmp_path):
    write_pairs(tmp_path)
    write(tmp_path / "other", x=1)
    assert load(tmp_path).label_names == ("other", "source", "target")


def test_a_folder_with_captions_can_be_derived(folder):
    write_table(folder / "captions.csv", csv(*captioned()))
    assert isinstance(load(folder).condition_space, Tokens)
    assert load(f"{folder}:hidden").condition_space == Pixels((1, 1, 1))
