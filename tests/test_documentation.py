"""What the documentation's own check of links finds in a built site, and whose samples the README's
first picture shows; neither needs a backend."""

import importlib.util
from pathlib import Path

import pytest
from PIL import Image, ImageChops

SOURCES = Path(__file__).parent.parent / "docs" / "generate"


def loaded(name):
    specification = importlib.util.spec_from_file_location(name, SOURCES / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def links():
    return loaded("links")


def test_the_first_picture_is_that_of_the_records():
    """After records were made anew: python docs/generate/first_picture.py"""
    first_picture = loaded("first_picture")
    shown = Image.open(first_picture.PICTURE)
    assert ImageChops.difference(shown, first_picture.picture()).getbbox() is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('<a href="b.html">', None),
        ('<a href="b.html#here">', None),
        ('<a href="https://arxiv.org/abs/1312.6114">', None),
        ('<a href="c.html">', "a.html links to c.html: no such file"),
        ('<a href="b.html#there">', "a.html links to b.html#there: no such anchor"),
        ('<a href="#there">', "a.html links to #there: no such anchor"),
        ('<img src="c.png">', "a.html links to c.png: no such file"),
        ('<script src="https://x.org/s.js">', "a.html takes https://x.org/s.js from the network"),
    ],
)
def test_broken_links_are_found(links, tmp_path, text, expected):
    (tmp_path / "a.html").write_text(text)
    (tmp_path / "b.html").write_text('<p id="here">')
    assert list(links.problems(tmp_path)) == ([expected] if expected else [])
