"""What the documentation's own check of links finds in a built site, and that README's first
picture and its table are those of the records; none needs a backend."""

import importlib.util
import json
import shlex
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from benchmarks import table
from benchmarks.commands import starts_of, without_folders
from kgen import fit
from kgen.runs.options import parser, with_defaults

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


def test_the_table_of_models_is_that_of_the_records():
    """After records were made anew: python -m benchmarks.table"""
    _, _, rest = table.README.read_text(encoding="utf-8").partition(table.FIRST)
    assert rest.partition(table.LAST)[0] == table.table()


def record(**changes):
    """One of a run without likelihood or samples."""
    data = {"name": "binarized_mnist", "levels": 2, "source": "x"}
    outcome = {"status": "finished", "seconds": 30.0, "epochs": 9, "last_epoch": {"g_loss": 1.0}}
    return {"model": "vae", "data": data, **outcome, **changes}


def estimate(kind, nats, images=10_000, **further):
    error = {"standard_error_nats": 0.25, "images": images}
    return (
        {"likelihood": kind, "negative_log_prob_nats": nats, "bits_per_dimension": 2.0}
        | error
        | further
    )


NO_LEVELS = {"evaluation": {"used": {"levels": None}}}


def test_a_figure_says_what_it_is():
    bounds = [estimate("bound", 100.0, samples=1), estimate("bound", 96.0, samples=500)]
    assert table.measured(record(test={"estimates": bounds})) == "≤ 96.00 ± 0.25 (k = 500)"
    exact = {"estimates": [estimate("exact", 100.0, images=50)]}
    assert table.measured(record(test=exact)) == "100.00 ± 0.25 (50 images)"
    grey = {"name": "mnist", "levels": 256, "source": "x"}
    assert table.measured(record(test=exact, data=grey)) == "2.000 ± 0.005 (50 images)"
    sides = estimate("estimate", 90.0, optimistic_negative_log_prob_nats=88.0)
    assert table.measured(record(test={"estimates": [sides]})) == "88.00 to 90.00 ± 0.25"
    texts = estimate("bound", 36.0, images=4834, samples=100, perplexity=61.24)
    found = table.measured(record(test={"estimates": [texts]}, data={"name": "words"}, **NO_LEVELS))
    assert found == "≤ 36.00 ± 0.25 nats a text, perplexity ≤ 61.2 (k = 100)"
    told = {"kl": 5.58, "mutual_information": 5.5, "active_units": 15, "units": 16}
    evaluation = NO_LEVELS["evaluation"] | {"latents": told}
    found = table.measured(record(test={"estimates": [texts]}, evaluation=evaluation))
    assert found.endswith("; KL 5.6, mutual information 5.5, 15 of 16 latents active")


def test_what_studies_found_is_a_figure():
    shares = dict.fromkeys(table.SAID, 0.5) | {"digit": 0.935, "all": 0.4, "all, held out": 0.3}
    study = {"cases": [shares], "sampling": {"guidance": 3.0}}
    found = table.measured(record(captions=study))
    assert found.startswith("as captions say (guidance 3): digit 94%, colour 50%")
    assert found.endswith("background 50%, all 40%; of new pairs all 30%")
    case = {"asked": 0.875, "probe": 0.1, "reconstruction": 0.0123}
    found = table.measured(record(translation=case))
    assert found == "translated as asked 88%, class told from codes 10%, squared error 0.0123"
    case = {"asked": 0.34, "reconstruction": 0.0123, "place": 0.998, "colour": 0.93}
    found = table.measured(record(translation=case))
    assert found == "translated as asked: digit 34%, colour 93%, place 100%, squared error 0.0123"
    known, new = ({"named": named, "copies": 0.5} for named in (0.75, 0.0))
    found = table.measured(record(nearest={"cases": [known, new], "sampling": {}}))
    assert "nearest to the image of that caption 75%, copies 50%; copies for new" in found
    study = {"cases": [{}, {}], "median": {"accuracy": 0.75}, "best": {"accuracy": 0.96}}
    found = table.measured(record(codes=study))
    assert found == "codes match the classes 75% (median of 2 seeds, best 96%)"


def test_distances_of_other_classifiers_are_left_out():
    rows = {"samples": {"frechet_distance": 4.07}}
    ours = table.FROZEN[0].identity.sha256
    for encoder, expected in ((ours, "Frechet distance 4.1"), ("0" * 64, None)):
        evaluation = {"rows": rows, "used": {"encoder_sha256": encoder}}
        assert table.measured(record(evaluation=evaluation)) == expected


def test_a_distance_says_how_its_samples_were_drawn_if_not_as_the_pictures():
    used = {
        "encoder_sha256": table.FROZEN[0].identity.sha256,
        "sampling": {"steps": 18, "churn": 40},
    }
    evaluation = {"rows": {"samples": {"frechet_distance": 4.07}}, "used": used}
    for churn, expected in ((0, "Frechet distance 4.1 (churn 40)"), (40, "Frechet distance 4.1")):
        pictures = {"steps": 18, "churn": churn}
        assert table.measured(record(evaluation=evaluation, pictures=pictures)) == expected


def test_every_model_has_a_row_and_published_figures_are_of_its_data():
    dynamic = {"options": {"data": "mnist:dynamic"}, "last_epoch": {"val_loss": 90.0}}
    found = {"a": record(last_epoch={"val_loss": 95.0}), "b": record(**dynamic)}
    rows = list(table.rows(found))
    assert {row[0] for row in rows} == {f"`{model}`" for model in table.REGISTRY}
    assert sum(table.NONE in row for row in rows) == len(table.REGISTRY) - 1
    published = {row[2]: row[4] for row in rows if row[0] == "`vae`"}
    assert published["`binarized_mnist`"].startswith("89.78")
    assert published["`mnist:dynamic`"].startswith("86.77")


def test_a_run_that_stopped_early_says_its_best_epoch():
    stopped = record(trained_epochs=7, best_epoch=4, options={"limit": 2000})
    assert table.training(stopped) == "7 epochs of 2,000 images (best: 4), 30 s"


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


def test_commands_of_records_name_no_folder_of_who_ran_them():
    assert without_folders("python fit --out their/run") == "python fit --out runs/run"
    assert without_folders("python fit --resume their/run") == "python fit --resume runs/run"
    assert without_folders("python fit --resume=their/run") == "python fit --resume=runs/run"
    assert without_folders("python study /their/a.npz") == "python study a.npz"
    quoted = "python fit --set 'hidden=(4, 4)'"  # as a shell takes it
    assert without_folders(quoted) == quoted
    for path in sorted(Path("benchmarks/records").glob("*.json")):
        record = json.loads(path.read_text())
        for start in starts_of(record) if isinstance(record, dict) else []:
            command = start.get("command", "")
            assert without_folders(command) == command, path


def test_commands_of_records_are_those_of_today():
    """Their arguments are taken: a reader who repeats a record gets its model."""
    for path in sorted(Path("benchmarks/records").glob("*.json")):
        record = json.loads(path.read_text())
        for start in starts_of(record) if isinstance(record, dict) else []:
            words = shlex.split(start.get("command", ""))
            if words[1:3] == ["-m", "kgen.fit"]:
                options = with_defaults(parser().parse_args(words[3:]))
                if options.resume:  # the run of the command before it
                    assert Path(options.resume).name == path.stem
                else:
                    assert fit.settings_of(options).keys() <= record["settings"].keys(), path
