"""The verbs on what is no image with a label: points, sentences, attributes, and images given."""

import numpy as np
import pytest
from PIL import Image

from kgen import evaluate, fit, sample
from kgen.errors import KgenError

SHORT = ["--epochs", "1", "--batch-size", "16", "--out", "run"]
SENTENCES = [f"a {word} one sees {number}" for word in ("red", "blue") for number in "12345" * 4]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trained(model, data, *further):
    fit.main(["--model", model, "--data", data, *SHORT, *further])
    return ["run", *(["--model", model] if ":" in model else [])]


def test_points_are_fitted_drawn_and_evaluated_as_points(here, capsys):
    run = trained("toys_of_spaces:Normal", "moons", "--limit", "64")
    sample.main([*run, "-n", "9", "--out", "points.npy"])
    assert np.load("points.npy").shape == (9, 2)
    sample.main(run)
    assert Image.open("run/samples.png").format == "PNG"
    with pytest.raises(KgenError, match=r"\.png or \.npy for vectors"):
        sample.main([*run, "--out", "points.txt"])
    evaluate.main(run)
    printed = capsys.readouterr().out
    assert "nats per vector" in printed
    assert "vectors of moons" in printed
    assert "images of" not in printed


def test_sentences_are_fitted_and_drawn_as_lines(here):
    (here / "own.txt").write_text("\n".join(SENTENCES))
    run = trained("toys_of_spaces:Bigrams", "own.txt")
    sample.main([*run, "-n", "5", "--seed", "0", "--out", "lines.txt"])
    lines = (here / "lines.txt").read_text().splitlines()
    assert len(lines) == 5
    assert set(" ".join(lines).split()) <= {*" ".join(SENTENCES).split(), "<unknown>"}
    assert (here / "run/samples/epoch-001.txt").exists()


def test_labels_are_asked_for_by_number_and_repeated():
    run = trained("cvae", "digits", "--limit", "64", "--set", "hidden=(8,)")
    asked = [*run, "--seed", "0", "--sampling", "mode=median", "--out", "a.npy"]
    sample.main([*asked, "--condition", "7", "3", "-n", "4"])
    images = np.load("a.npy")
    sample.main([*asked, "--condition", "7", "3", "7", "3"])
    np.testing.assert_array_equal(np.load("a.npy"), images)
    with pytest.raises(KgenError, match=r"one of 0, 1, 2, .* received 'ten'"):
        sample.main([*run, "--condition", "ten"])


def test_images_are_asked_for_by_a_folder(here):
    run = trained(
        "pix2pix", "digits:edges", "--limit", "32", "--set", "base_channels=4", "patch=16"
    )
    (here / "sources").mkdir()
    for number in range(3):
        Image.new("L", (8, 8), 100 * number).save(here / f"sources/{number}.png")
    sample.main([*run, "--condition", "sources", "--out", "made.npy"])
    assert np.load("made.npy").shape == (3, 8, 8, 1)
    with pytest.raises(KgenError, match="Expected images to sample for, received none"):
        sample.main(run)
