"""Named sets of others than images with labels: icons with captions, sentences, points."""

import dataclasses
import gzip
import hashlib
import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image
from test_data import error_line, real

from kgen.data import emoji, load, points, texts
from kgen.spaces import Labels, Pixels, Tokens, Vectors

# === Points ===


def test_rings_lie_around_the_origin():
    data = load("rings")
    assert (data.space, data.condition_space) == (Vectors(2), Labels(3))
    assert (len(data.train), len(data.test), data.train.x.dtype) == (10_000, 2_000, np.float32)
    radii = np.linalg.norm(data.train.x, axis=1)
    for label, radius in enumerate(points.RADII):
        own = data.train.x[data.train.labels == label]
        assert 3000 < len(own) < 3700
        assert np.abs(own.mean(axis=0)).max() < 0.1
        assert abs(radii[data.train.labels == label].mean() - radius) < 0.02
    assert abs((radii - np.array(points.RADII)[data.train.labels]).std() - points.RING_NOISE) < 0.01


def test_moons_are_two_half_circles_apart():
    data = load("moons")
    assert (data.space, data.condition_space) == (Vectors(2), Labels(2))
    for label, (centre, side) in enumerate([((0, 0), 1), ((1, 0.5), -1)]):
        own = data.train.x[data.train.labels == label] - np.array(centre)
        assert abs(np.linalg.norm(own, axis=1).mean() - 1) < 0.02
        assert abs(own[:, 1].mean() * side - 2 / np.pi) < 0.02
        assert abs(own[:, 0].mean()) < 0.05


@pytest.mark.parametrize("name", ["rings", "moons"])
def test_points_are_the_same_each_time_and_never_in_both_splits(name):
    data = load(name)
    assert data.checksum == load(name).checksum
    assert {*map(tuple, data.train.x.tolist())}.isdisjoint(map(tuple, data.test.x.tolist()))
    assert len(data.limit(5).train.labels) == 5


@pytest.mark.parametrize(
    ("argument", "value"), [("size", 8), ("mode", "gray"), ("binarize", "static")]
)
@pytest.mark.parametrize(("name", "what"), [("rings", "vectors"), ("wordnet_examples", "texts")])
def test_what_only_images_can_be_made_is_refused(sentences, argument, value, name, what):
    message = error_line(name, **{argument: value})
    assert message.startswith(f"Expected images for {argument}, received the {what} of {name}: ")


# === Files made here, and the real ones ===


def publish(folder, monkeypatch, module, attribute, files):
    """Puts files into a folder of KGEN_DATA_DIR, and their checksums into what kgen knows."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    source = dataclasses.replace(getattr(module, attribute), files=sums)
    monkeypatch.setattr(module, attribute, source)
    monkeypatch.setenv("KGEN_DATA_DIR", str(folder.parent))


SENTENCES = [f"the {word} is here" for word in ("cat", "dog", "owl", "cow")] * 10
TOO_SHORT, TOO_LONG = "a cat", " ".join(["very"] * 16)


@pytest.fixture
def sentences(tmp_path, monkeypatch):
    content = gzip.compress("\n".join([*SENTENCES, TOO_SHORT, TOO_LONG, "a rare word"]).encode())
    files = {"wordnet_examples.txt.gz": content}
    publish(tmp_path / "wordnet_examples", monkeypatch, texts, "_WORDNET", files)


def test_sentences_become_the_tokens_of_frequent_words(sentences):
    data = load("wordnet_examples")
    assert (len(data.train), len(data.test), data.condition_space) == (37, 4, None)
    assert data.space.length == 4
    assert set(data.space.words) == {"the", "is", "here", "cat", "dog", "owl", "cow"}
    said = [*data.space.decode(data.train.x), *data.space.decode(data.test.x)]
    assert sorted(said) == sorted([*SENTENCES, "<unknown> <unknown> <unknown>"])
    assert data.checksum == load("wordnet_examples").checksum
    assert set(data.test.limit(2).x[:, 0]) <= {1, 2, 3, 4}


ICONS = 20


def icon(number):
    """A square of a shade of its own, in the middle of a transparent icon."""
    content = io.BytesIO()
    picture = Image.new("RGBA", (6, 6), (0, 0, 0, 0))
    picture.paste((number, 0, 0, 255), (2, 2, 4, 4))
    picture.save(content, "PNG")
    return content.getvalue()


@pytest.fixture
def icons(tmp_path, monkeypatch):
    archive, lines = io.BytesIO(), []
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for number in reversed(range(ICONS)):
            member = tarfile.TarInfo(f"png72/{number}.png")
            content = icon(number)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    for number in range(ICONS):
        said = {"caption": f"icon number {number}", "category": ["b", "a"][number % 2]}
        lines.append(json.dumps({"file": f"png72/{number}.png", **said}))
    files = {"captions.jsonl": "\n".join(lines).encode(), "png72.tar": archive.getvalue()}
    publish(tmp_path / "emoji_captions", monkeypatch, emoji, "_EMOJI", files)


def test_icons_lie_on_white_beside_their_captions(icons):
    data = load("emoji")
    assert (data.space, len(data.train), len(data.test)) == (Pixels((6, 6, 3)), 18, 2)
    assert (data.train.x[:, 0, 0] == 255).all()
    assert data.test.x[:, 2, 2].tolist() == [[0, 0, 0], [10, 0, 0]]
    captions = data.condition_space.decode(data.train.condition)
    assert captions == [f"icon number {red}" for red in data.train.x[:, 2, 2, 0]]
    assert data.condition_space.decode(data.test.condition) == ["icon number <unknown>"] * 2


def test_icons_have_categories(icons):
    data = load("emoji:labels")
    assert (data.label_names, data.condition_space) == (("a", "b"), Labels(2))
    assert np.array_equal(data.train.labels, 1 - data.train.x[:, 2, 2, 0] % 2)


@pytest.mark.parametrize(("name", "file"), [("emoji", "png72.tar"), ("wordnet_examples", ".gz")])
def test_files_that_nobody_publishes_are_named(name, file, tmp_path, monkeypatch):
    monkeypatch.setenv("KGEN_DATA_DIR", str(tmp_path))
    message = error_line(name)
    assert file in message
    assert str(tmp_path) in message
    assert "cannot be downloaded" in message
    monkeypatch.delenv("KGEN_DATA_DIR")
    assert "KGEN_DATA_DIR (which is not set)" in error_line(name)


def test_real_emoji_have_their_published_number():
    data = real("emoji_captions", load_as="emoji")
    assert (len(data.train), len(data.test)) == (1440, 161)
    assert data.condition_space.decode(data.train.condition[:1]) == ["grinning face with big eyes"]
    assert data.train.x[:, 0, 0].min() == 255
    assert len(load("emoji:labels").label_names) == 8


def test_real_sentences_are_english():
    data = real("wordnet_examples")
    assert data.checksum[:16] == "8bc315045626dfa5"  # runs record it
    assert (len(data.train), len(data.test)) == (37_982, 4_220)
    assert data.space.words[:3] == ("the", "a", "of")
    assert 0.1 < np.mean(data.test.x[data.test.x > 0] == 1) < 0.2


# === Text files of the user's own ===


def test_a_text_file_is_read_line_by_line(tmp_path):
    path = tmp_path / "own.TXT"
    lines = [f"Line {number} is here." for number in range(20)]
    path.write_text("\ufeff" + "\r\n\n".join(lines) + "\n")
    data = load(path)
    assert (data.name, len(data.train), len(data.test)) == ("own", 18, 2)
    assert isinstance(data.space, Tokens)
    assert data.space.decode(data.train.x[:1]) == ["line 1 is here ."]
    assert data.space.decode(data.test.x) == ["line <unknown> is here ."] * 2
    assert "every tenth line held out" in data.source


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "as every tenth is held out for testing, received 0"),
        (b"one\n\n", "received 1: add sentences"),
        (b"one\nsch\xf6n\nthree", "another encoding in line 2: save it as UTF-8"),
        (b"\xff\xfeo\x00n\x00", "another encoding in line 1"),
        (b"\n...\n \n!!\n", None),
    ],
)
def test_texts_that_cannot_be_read_are_an_error(tmp_path, content, words):
    path = tmp_path / "own.txt"
    path.write_bytes(content)
    if words is None:
        assert load(path).space.words == ("!",)
    else:
        assert f"in {path}, " in error_line(path)
        assert words in error_line(path)


def test_texts_too_long_for_the_memory_are_an_error(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("word " * 20_000 + "\none\n" * 20_000)
    message = error_line(path, max_memory=1)
    assert "give shorter lines, or allow more, max_memory=2" in message


def test_labels_of_a_text_file_are_an_error(tmp_path):
    (tmp_path / "own.txt").write_text("one\ntwo\n")
    assert "labels for an array in memory only" in error_line(tmp_path / "own.txt", [0, 1])
