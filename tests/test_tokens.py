"""Strings as tokens: what a word is, and what is no text of a space."""

import logging
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kgen
from kgen.bounds import Names, Words, checked
from kgen.runs.asked import asked_condition
from kgen.spaces import Tokens, split_words

SPACE = Tokens(length=4, words=("a", "red", "seven"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's a RED seven, isn't it?", "it's a red seven , isn't it ?"),
        ("मुझे हिन्दी पसंद है", "मुझे हिन्दी पसंद है"),  # vowel signs
        ("naïve Café", "naïve café"),
        ("İstanbul", "i̇stanbul"),
        ("क्\u200dष", "क्\u200dष"),  # a joiner without width
        ("<unk> < 3", "<unk> < 3"),
    ],
)
def test_words_are_those_of_the_language(text, words):
    for form in ("NFC", "NFD"):
        assert " ".join(split_words(unicodedata.normalize(form, text))) == words


@given(st.lists(st.text(st.characters(categories=["L", "M", "P", "Zs"]), max_size=6), max_size=5))
def test_words_of_decoded_texts_are_the_same(texts):
    space = Tokens.of(texts, length=20)
    tokens = space.encode(texts)
    np.testing.assert_array_equal(space.encode(space.decode(tokens)), tokens)


def test_the_unknown_word_is_read_as_it_is_written(caplog):
    with caplog.at_level(logging.WARNING, "kgen"):
        assert SPACE.check(["a <unknown> seven", "<unk>"])[:, :2].tolist() == [[2, 1], [1, 0]]
    assert caplog.records == []
    assert Tokens.of(["a <unknown> b <unk>"]).words == ("a", "b")


def test_words_beyond_the_length_are_left_out_with_one_warning(caplog):
    with caplog.at_level(logging.WARNING, "kgen"):
        tokens = SPACE.check(["a red seven a red", "a red seven a"])
    assert tokens.tolist() == [[2, 3, 4, 2], [2, 3, 4, 2]]
    (record,) = caplog.records
    assert "1 text(s) of more than 4 words and marks; those behind" in record.getMessage()


def test_equal_words_are_refused():
    with pytest.raises(kgen.KgenError, match=r"each word once, received 'red' several times"):
        kgen.LanguageModel(words=("a", "red", "red"), length=4)


def test_zeros_before_words_are_refused():
    texts, message = np.int32([[2, 3, 0, 0], [0, 0, 2, 3]]), r"received \[0, 0, 2, 3\]: put the"
    model = kgen.LanguageModel(SPACE.words, SPACE.length, features=8)
    model.compile()
    for use in (SPACE.check, model.log_prob, model.fit):
        with pytest.raises(kgen.KgenError, match=message):
            use(texts)


def test_a_wrong_number_of_captions_is_told_the_right_one():
    with pytest.raises(kgen.KgenError, match=r"int32 of shape \(1, 4\): pass 3, one a row\."):
        SPACE.check(["a red seven"], 3)


@pytest.mark.parametrize("annotation", [Words, Names])
def test_what_words_are_is_told_by_words(annotation):
    with pytest.raises(kgen.KgenError, match=r"a tuple such as \('red', 'blue'\), each entry a"):
        checked("words", "red blue", annotation)


def test_test_sentences_are_whole(tmp_path):
    lines = ["a red seven and a red seven"] + ["a red seven"] * 9
    (tmp_path / "own.txt").write_text("\n".join(lines))
    data = kgen.data.load(tmp_path / "own.txt")
    assert np.count_nonzero(data.test.x, axis=1).tolist() == [7]


# === Where strings are given ===


def test_a_batch_of_two_strings_is_no_pair():
    model = kgen.LanguageModel(SPACE.words, SPACE.length, features=8)
    model.compile()
    losses = [
        model.evaluate(batches, verbose=0, return_dict=True)["loss"]
        for batches in (["a", "red seven"], (part for part in (["a", "red seven"],)))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    history = model.fit(["a", "red"], validation_data=["a", "seven"], batch_size=2, verbose=0)
    assert "val_loss" in history.history


def test_one_string_is_one_text():
    assert SPACE.encode("a red seven").tolist() == [[2, 3, 4, 0]]
    assert Tokens.of("a red seven").words == ("a", "red", "seven")


def test_text_files_are_utf8_with_or_without_a_mark(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.txt").write_bytes("\ufeffcafé seven\r\n\r\na\u2028red\r\n".encode())
    space = Tokens(4, ("café", "seven", "a", "red"))
    tokens = asked_condition(space, ["own.txt"])
    assert tokens.tolist() == [[2, 3, 0, 0], [4, 5, 0, 0]]
    kgen.pictures.save_items("texts.txt", tokens, space)
    assert (tmp_path / "texts.txt").read_bytes() == "café seven\na red\n".encode()
    (tmp_path / "blank.txt").write_text("\n \n")
    with pytest.raises(kgen.KgenError, match=r"a text in blank\.txt, one a line, received none"):
        asked_condition(space, ["blank.txt"])


def test_models_of_images_refuse_sets_of_texts(tmp_path):
    (tmp_path / "own.txt").write_text("a red seven\n" * 20)
    data = kgen.data.load(tmp_path / "own.txt")
    for name in ("cvae", "edm", "text_to_image_gan"):
        with pytest.raises(kgen.KgenError, match=r"^Expected images for .*received texts in own"):
            kgen.models.create(name, data)


def test_an_interpolation_is_given_one_caption():
    model = kgen.CVAE(
        (8, 8, 1), 17, words=SPACE.words, length=4, classes=0, hidden=(8,), latent_size=2
    )
    ends = np.random.default_rng(0).standard_normal((2, 1, 2)).astype("float32")
    rows = [
        kgen.latent.interpolate(model, *ends, steps=3, condition=given)
        for given in ("a red seven", SPACE.encode(["a red seven"]))
    ]
    np.testing.assert_array_equal(*rows)
