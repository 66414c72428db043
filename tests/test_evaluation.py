"""The evaluation of a model: on toy models whose samples are known, with an encoder in NumPy."""

import csv
import dataclasses
import json
import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from test_cli import SMALL as SHORT_RUN
from test_cli import run

import kgen
from kgen import evaluate as verb
from kgen import fit, metrics
from kgen.data import Dataset, Split
from kgen.encoders import classifier
from kgen.errors import KgenError
from kgen.evaluation import Reference, evaluate, likelihood, summary
from kgen.evaluation.exports import escaped, write_csv, write_latex
from kgen.evaluation.page import write_page
from kgen.evaluation.tables import as_text, likelihood_in_words
from kgen.spaces import Labels, Pixels

COUNT = 200


def images_of(seed, count=COUNT):
    """Images whose pixels are their class, 0..3, times 4, and noise 0..3."""
    random = np.random.default_rng(seed)
    labels = random.integers(4, size=count)
    noise = random.integers(4, size=(count, 4, 4, 1))
    return (4 * labels[:, None, None, None] + noise).astype("uint8"), labels


@pytest.fixture(scope="module")
def data():
    splits = [Split(*images_of(seed)) for seed in (0, 1)]
    space = Pixels(splits[0].x.shape[1:], levels=17)
    return Dataset("toy", *splits, space, source="made up", licence="none")


def pixels(images):
    """An encoder: half of the pixels as they are."""
    return images.reshape(len(images), -1)[:, ::2].astype("float32")


class Toy:
    """A "trained model" that samples by a given function of (count, seed, condition)."""

    space, condition_space = Pixels((4, 4, 1), levels=17), None
    can_sample, likelihood, sampling = True, None, "direct"
    likelihood_images, likelihood_samples = None, 10
    has_normal_posterior = False
    trainable_weights = ()

    def __init__(self, draw):
        self.draw = draw

    def sample(self, count=None, condition=None, seed=None):
        return self.draw(count, seed, condition)

    def sampling_arguments(self):
        return {}


def perfect(count, seed, condition):
    return images_of(seed, count)[0]


def measured(draw, data, **kwargs):
    return evaluate(Toy(draw), data, encoder=pixels, **kwargs)


def test_a_perfect_sampler_is_at_the_floor(data):
    rows = measured(perfect, data).rows
    samples, ceiling = rows["samples"], rows["noise (ceiling)"]
    assert samples["frechet_distance"] < ceiling["frechet_distance"] / 50
    assert samples["precision"] > 0.9
    assert samples["coverage"] > 0.9


def test_the_ceiling_is_far_above_the_floor(data):
    rows = measured(perfect, data).rows
    floor, ceiling = rows["real images (floor)"], rows["noise (ceiling)"]
    assert ceiling["frechet_distance"] > 20 * floor["frechet_distance"]
    assert ceiling["kernel_distance"] > 10 * abs(floor["kernel_distance"])


def test_a_sampler_of_one_class_has_precision_without_coverage(data):
    def one_class(count, seed, condition):
        images, found = images_of(seed, 8 * count)
        return images[found == 1][:count]

    samples = measured(one_class, data).rows["samples"]
    assert samples["precision"] > 0.8
    assert samples["coverage"] < 0.5


def test_copies_of_training_images_are_found_and_shown(data):
    found = measured(lambda count, seed, condition: data.train.images[:count], data)
    assert found.rows["samples"]["memorized"] > 0.5
    np.testing.assert_array_equal(*found.copies.swapaxes(0, 1))


def test_figures_are_those_of_the_metrics(data):
    samples = measured(lambda *_: np.repeat(data.test.images[:1], COUNT, axis=0), data)
    expected = metrics.frechet_distance(
        pixels(data.test.images), pixels(np.repeat(data.test.images[:1], COUNT, axis=0))
    )
    assert samples.rows["samples"]["frechet_distance"] == pytest.approx(expected)


def test_a_conditional_model_is_asked_for_the_labels_of_the_real_images(data):
    asked = []

    def draw(count, seed, condition):
        asked.extend(condition)
        return perfect(count, seed, condition)

    model = Toy(draw)
    model.condition_space = Labels(4)
    evaluate(model, data, encoder=pixels)
    assert asked == list(data.test.labels)


@pytest.mark.parametrize("split", ["test", "train", "validation"])
def test_the_split_is_what_samples_are_compared_with(data, split):
    data = data.with_validation(0.5)
    found = measured(
        lambda count, seed, condition: data.splits[split].limit(count).images, data, split=split
    )
    assert found.rows["samples"]["frechet_distance"] == pytest.approx(0, abs=1e-6)
    assert found.rows["real images (floor)"]["frechet_distance"] > 1e-3
    assert found.used["split"] == split


def test_equal_seeds_give_equal_figures(data):
    assert measured(perfect, data, seed=3).rows == measured(perfect, data, seed=3).rows


def test_another_seed_gives_other_samples(data):
    first, second = (measured(perfect, data, seed=seed).samples for seed in (3, 4))
    assert not np.array_equal(first, second)


def test_no_more_samples_than_asked_for(data):
    found = measured(perfect, data, samples=50)
    assert found.used["images"] == 50
    assert len(found.samples) == 50


def test_a_reference_is_used_again(data):
    first = measured(perfect, data)
    calls = []

    def counted(images):
        calls.append(len(images))
        return pixels(images)

    first.reference.encoder = counted
    second = evaluate(Toy(perfect), data, reference=first.reference)
    assert calls == [COUNT]  # only the samples
    assert second.rows == first.rows


def test_a_model_that_cannot_sample_has_no_rows(data):
    model = Toy(None)
    model.can_sample = False
    found = evaluate(model, data, encoder=pixels)
    assert found.rows == {}
    assert found.samples is None


def test_without_an_encoder_the_reason_is_given(data):
    unlabelled = data.changed(
        "without labels", train=Split(data.train.images), test=Split(data.test.images)
    )
    found = evaluate(Toy(perfect), unlabelled)
    assert found.rows == {}
    assert "sub-folder" in found.used["encoder"]
    assert "sub-folder" in as_text({"run": found})


def test_images_of_another_kind_are_refused(data):
    model = Toy(perfect)
    model.space = Pixels((4, 4, 1), levels=2)
    with pytest.raises(KgenError, match=r"with 2 levels.*received toy.*17 levels"):
        evaluate(model, data, encoder=pixels)


class Conditional(Toy):
    """Knows four classes; computes nothing."""

    likelihood, condition_space = "exact", Labels(4)

    def __init__(self):
        super().__init__(lambda *_: 1 / 0)

    def log_prob(self, images, condition):
        raise ZeroDivisionError


def test_a_conditional_model_is_refused_on_other_labels_before_anything_is_computed(data):
    def encoder(images):
        raise ZeroDivisionError

    unlabelled = data.changed("no labels", test=Split(data.test.images))
    with pytest.raises(KgenError, match=r"Expected images with labels, .* sub-folder"):
        evaluate(Conditional(), unlabelled, encoder=encoder)
    others = data.changed("more", test=Split(data.test.images, data.test.labels + 1))
    with pytest.raises(KgenError, match=r"Expected labels 0..3 .* received 1 to 4"):
        evaluate(Conditional(), others, encoder=encoder)


@pytest.mark.parametrize(
    "wrong",
    [
        {"samples": 1},
        {"samples": 8.5},
        {"bound_samples": 0},
        {"likelihood_images": 1},
        {"seed": -1},
        {"split": "all"},
    ],
)
def test_numbers_out_of_their_bounds_are_refused_before_anything_is_computed(wrong, data):
    with pytest.raises(KgenError, match=next(iter(wrong))):
        evaluate(Conditional(), data, encoder=lambda images: 1 / 0, **wrong)


def test_one_image_is_nothing_to_compare_with(data):
    one = data.changed("one", test=data.test.limit(1))
    with pytest.raises(KgenError, match="at least 2 training and 2 test images"):
        evaluate(Toy(perfect), one, encoder=lambda images: 1 / 0)


@pytest.mark.parametrize(
    ("count", "measured_of_few"),
    [
        (2, set()),
        (4, {"precision", "recall"}),
        (6, {"precision", "recall", "density", "coverage"}),
        (8, {"precision", "recall", "density", "coverage"}),
        (10, {"precision", "recall", "density", "coverage", "inception_score"}),
    ],
)
def test_of_few_samples_what_can_be_measured_is(data, count, measured_of_few, tmp_path):
    class Encoder:
        def __call__(self, images):
            return pixels(images)

        def probabilities(self, images):
            return np.full((len(images), 2), 0.5)

    found = evaluate(Toy(perfect), data, samples=count, encoder=Encoder())
    always = {"frechet_distance", "kernel_distance", "kernel_distance_deviation", "memorized"}
    figures = found.rows["samples"]
    assert {name for name, figure in figures.items() if figure is not None} == (
        always | measured_of_few
    )
    assert "samples" in as_text({"run": found})
    write_page(tmp_path / "page.html", {"run": found})


def test_an_encoder_of_another_shape_is_refused(data):
    with pytest.raises(KgenError, match=r"features \(200, d\)"):
        Reference(data, lambda images: images)


def test_another_split_is_refused(data):
    with pytest.raises(KgenError, match=r"\['test', 'train'\], received 'validation'"):
        measured(perfect, data, split="validation")


class Explicit(Toy):
    """A uniform distribution over all images, but for a bound that costs 1 / k nats."""

    likelihood = "bound"

    def log_prob(self, images, condition, samples, seed):
        return -np.arange(len(images)) - 1 / samples


def test_likelihood_is_the_mean_with_its_standard_error(data):
    found = likelihood(Explicit(perfect), data.test, samples=4)
    nats = np.arange(COUNT) + 0.25
    assert found["negative_log_prob_nats"] == pytest.approx(nats.mean())
    assert found["standard_error_nats"] == pytest.approx(nats.std(ddof=1) / math.sqrt(COUNT))
    assert found["bits_per_dimension"] == pytest.approx(nats.mean() / (16 * math.log(2)))
    assert found["samples"] == 4


def test_likelihood_says_what_it_is(data):
    found = likelihood(Explicit(perfect), data.test, samples=4)
    assert likelihood_in_words(found, "images").endswith("(bound, 4 samples; 200 images)")
    assert "none" in likelihood_in_words(None, "images")


class Estimated(Toy):
    """As `Explicit`, with log Z known to lie between 7 and 9.5."""

    likelihood = "estimate"

    def log_partition(self):
        sizes = {"effective_sample_size": 31.25, "reverse_effective_sample_size": 2.0}
        return SimpleNamespace(
            lower=7.0,
            upper=9.5,
            settings={"method": "annealing", "runs": 100, "temperatures": 14_500, **sizes},
        )

    def log_prob(self, images, condition):
        return -np.arange(len(images)) - self.log_partition().upper


def test_an_estimate_has_both_sides(data, tmp_path):
    found = evaluate(Estimated(perfect), data, encoder=pixels)
    mean = np.arange(COUNT).mean()
    assert found.likelihood["negative_log_prob_nats"] == pytest.approx(mean + 9.5)
    assert found.likelihood["optimistic_negative_log_prob_nats"] == pytest.approx(mean + 7)
    words = likelihood_in_words(found.likelihood, "images")
    assert f"{mean + 9.5:.2f} +- " in words
    assert f"reverse annealing; {mean + 7:.2f} nats by annealed importance sampling" in words
    assert "100 runs of 14,500 temperatures, effective sample sizes 2.0 and 31.2" in words
    (row, *_) = (group.table()[0] for group in summary.groups({"run": found}))
    assert f"{mean + 7:.2f} to {mean + 9.5:.2f} +- " in " ".join(map(str, row[1]))
    write_csv(tmp_path / "found.csv", {"run": found})
    with open(tmp_path / "found.csv", newline="") as file:
        (line, *_) = csv.DictReader(file)
    assert float(line["optimistic_negative_log_prob_nats"]) == pytest.approx(mean + 7)


def test_likelihood_of_one_image_is_refused(data):
    with pytest.raises(KgenError, match="at least 2"):
        likelihood(Explicit(perfect), data.test.limit(1), samples=4)


def test_progress_counts_samples_and_likelihoods(data):
    counts = []
    evaluate(Explicit(perfect), data, encoder=pixels, progress=counts.append)
    assert sum(counts) == 2 * COUNT


class Slow(Explicit):
    """Wants its likelihood of 20 images, by 3 draws 2 nats apart."""

    likelihood_images, likelihood_samples, sampling = 20, 3, "iterative"

    def log_prob(self, images, condition, draws, seed):
        return self.log_prob_draws(images, condition, draws, seed).mean(axis=0)

    def log_prob_draws(self, images, condition, draws, seed):
        offsets = 2.0 * np.arange(draws) - draws + 1
        return offsets[:, None] - np.arange(len(images))


def test_a_slow_likelihood_is_that_of_the_images_the_model_asks_for(data, tmp_path):
    counts = []
    found = evaluate(Slow(perfect), data, encoder=pixels, progress=counts.append)
    assert (found.used["images"], found.likelihood["images"]) == (COUNT, 20)
    assert sum(counts) == COUNT + 20
    assert max(counts) < COUNT  # progress within the samples and within the likelihood
    assert likelihood_in_words(found.likelihood, "images").endswith(
        "(bound, mean of 3 draws that deviate by 2.00 nats; 20 images)"
    )
    ((_, cells), *_) = summary.groups({"run": found})[0].table()
    marked = dict(zip(summary.COLUMNS, cells, strict=True))
    assert (marked["nats per item"].letters, marked["Frechet distance"].letters) == ("n", "")
    assert "n: likelihood of 20 images only" in as_text({"run": found})
    write_csv(tmp_path / "figures.csv", {"run": found})
    row, *_ = csv.DictReader((tmp_path / "figures.csv").open())
    assert (row["images"], row["likelihood_images"]) == (str(COUNT), "20")


def test_a_slow_likelihood_is_that_of_the_images_asked_for(data):
    found = evaluate(Slow(perfect), data, encoder=pixels, likelihood_images=30, bound_samples=1)
    assert found.likelihood["images"] == 30
    assert "draw_deviation_nats" not in found.likelihood


# === Side by side ===


class Encoder:
    """`pixels`, and what a classifier says of itself."""

    name, sha256 = "a classifier", "ab" * 32

    def __init__(self, test_accuracy):
        self.identity = dataclasses.make_dataclass("Identity", ["test_accuracy"])(test_accuracy)

    def __call__(self, images):
        return pixels(images)


def garbage(count, seed, condition):
    """White images, which are farther from the real ones than noise is."""
    return np.full((count, 4, 4, 1), 16, "uint8")


def test_all_runs_are_in_one_table_with_floor_and_ceiling_once(data):
    found = {f"run-{number}": measured(perfect, data, seed=number) for number in range(3)}
    (group,) = summary.groups(found)
    assert [row for row, _ in group.table()] == [*found, summary.FLOOR, summary.CEILING]
    text = as_text(found)
    table = text[: text.index("parameters: trainable ones")]
    lines = [line for line in table.splitlines() if line.startswith(("run-", "real", "noise"))]
    assert len(lines) == 5
    distance = found["run-1"].rows["samples"]["frechet_distance"]
    assert f" {distance:.2f} " in lines[1]
    assert text.index("Frechet distance") < text.index("seconds: ")


def test_a_row_has_parameters_times_and_likelihood(data):
    found = evaluate(
        kgen.VAE((4, 4, 1), levels=17, latent_size=2, hidden=(8,)), data, encoder=pixels
    )
    found.seconds |= {"training": 90.0, "sampling": 0.5}
    ((_, cells), *_) = summary.groups({"run": found})[0].table()
    texts = dict(zip(summary.COLUMNS, map(str, cells), strict=True))
    # 16 pixels -> 8 units -> 2 means and 2 variances; 2 latents -> 8 -> 16 pixels of 2 numbers
    parameters = (16 * 8 + 8) + (8 * 4 + 4) + (2 * 8 + 8) + (8 * 32 + 32)
    assert texts["parameters"] == str(parameters)
    assert texts["training"] == "90 s"
    assert texts["ms per sample"] == "2.5"
    nats = found.likelihood["negative_log_prob_nats"]
    assert re.fullmatch(rf"<= {nats:.2f} \+- [0-9.]+", texts["nats per item"])


@pytest.mark.parametrize(
    ("seconds", "words"), [(45, "45 s"), (99.4, "99 s"), (600, "10.0 min"), (9000, "2.5 h")]
)
def test_seconds_in_words(seconds, words):
    assert summary.duration(seconds) == words


def test_figures_that_give_no_reason_are_not_doubted(data):
    found = measured(perfect, data)
    assert summary.groups({"run": found})[0].legend() == {}
    assert found.as_json()["doubts"] == []


def test_a_distance_above_the_ceiling_says_so_beside_it(data):
    found = {"good": measured(perfect, data), "bad": measured(garbage, data)}
    (group,) = summary.groups(found)
    rows = {row: dict(zip(summary.COLUMNS, cells, strict=True)) for row, cells in group.table()}
    assert rows["bad"]["Frechet distance"].letters == "a"
    assert rows["bad"]["precision"].letters == ""
    assert rows["good"]["Frechet distance"].letters == ""
    assert "above the ceiling" in group.legend()["a"]
    assert re.search(r"bad .* [0-9.]+ a ", as_text(found))


@pytest.mark.parametrize(("accuracy", "doubted"), [(0.84, True), (0.85, False), (1.0, False)])
def test_an_encoder_that_classifies_badly_is_named_beside_every_figure(data, accuracy, doubted):
    found = evaluate(Explicit(perfect), data, encoder=Encoder(accuracy))
    (group,) = summary.groups({"run": found})
    for row, cells in group.table():
        marks = dict(zip(summary.COLUMNS, (cell.letters for cell in cells), strict=True))
        expected = "e" if doubted else ""
        assert marks["Frechet distance"] == marks["coverage"] == expected, row
        assert marks["nats per item"] == ""
    assert ("84.0% of its test images" in group.legend().get("e", "")) is doubted


@pytest.mark.parametrize(("images", "doubted"), [(79, True), (80, False)])  # of 8 features
def test_few_samples_are_named_beside_every_figure(data, images, doubted):
    found = measured(perfect, data, samples=images)
    (group,) = summary.groups({"run": found})
    (_, cells), *_ = group.table()
    assert (cells[list(summary.COLUMNS).index("precision")].letters == "f") is doubted
    assert ("79, fewer than 10 for each of the 8" in group.legend().get("f", "")) is doubted


def test_a_run_without_samples_stands_beside_those_of_its_images(data):
    model = Explicit(None)
    model.can_sample = False
    found = {"likely": evaluate(model, data), "sampled": measured(perfect, data)}
    (group,) = summary.groups(found)
    assert [row for row, _ in group.table()][:2] == ["likely", "sampled"]
    (alone,) = summary.groups({"likely": found["likely"]})
    assert len(alone.table()) == 1


def test_figures_of_two_encoders_are_in_tables_of_their_own(data):
    found = {
        "a": measured(perfect, data),
        "b": evaluate(Toy(perfect), data, encoder=Encoder(0.9)),
        "c": measured(perfect, data),
    }
    assert [list(group.evaluations) for group in summary.groups(found)] == [["a", "c"], ["b"]]


def test_csv_holds_every_figure_in_full(data, tmp_path):
    found = {
        "a, b": evaluate(Explicit(perfect), data, encoder=pixels),
        "bad": measured(garbage, data),
    }
    write_csv(tmp_path / "a.csv", found)
    with open(tmp_path / "a.csv", newline="") as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["a, b", "bad", summary.FLOOR, summary.CEILING]
    for name in ("frechet_distance", "recall", "memorized"):
        assert float(rows["a, b"][name]) == found["a, b"].rows["samples"][name]
    nats = found["a, b"].likelihood["negative_log_prob_nats"]
    assert float(rows["a, b"]["negative_log_prob_nats"]) == nats
    assert rows["bad"]["negative_log_prob_nats"] == ""
    assert rows["bad"]["doubts"].startswith("above the ceiling")
    assert {row["data"] for row in rows.values()} == {"toy"}


def test_latex_is_one_table_whose_rows_are_whole(data, tmp_path):
    write_latex(
        tmp_path / "a.tex", {"runs/a_b": measured(perfect, data), "c&d": measured(garbage, data)}
    )
    lines = (tmp_path / "a.tex").read_text().splitlines()
    rows = [line for line in lines if line.endswith(r"\\")]
    assert len(rows) == 4
    for row in rows:
        assert len(re.findall(r"(?<!\\)&", row)) == len(summary.COLUMNS)
    assert rows[0].startswith(r"runs/a\_b & ")
    assert rows[1].startswith(r"c\&d & ")
    assert "$^{\\mathrm{a}}$" in rows[1]
    assert any(line.startswith(r"\par a: above the ceiling") for line in lines)


def test_what_latex_reads_as_commands_is_escaped():
    assert escaped("<= 3 +- 1% _ \\ {~}") == (
        r"$\leq$ 3 $\pm$ 1\% \_ \textbackslash{} \{\textasciitilde{}\}"
    )


def test_runs_that_were_measured_are_shown_if_a_later_one_fails(monkeypatch, data, capsys):
    def measured_in_turn(sources, options):
        yield "first", measured(perfect, data)
        raise KgenError("the second is damaged")

    monkeypatch.setattr(verb, "evaluate_all", measured_in_turn)
    monkeypatch.setattr(verb, "images_of", lambda *_: {})
    monkeypatch.setattr(verb.run_folder, "check", lambda _: None)
    with pytest.raises(KgenError, match="damaged"):
        verb.main(["first", "second"])
    assert "first" in capsys.readouterr().out


def test_the_time_of_training_is_that_of_the_record(tmp_path):
    for content, expected in (
        ({"seconds": 12.5}, {"training": 12.5}),
        ({}, {}),
        ({"seconds": None}, {}),
    ):
        (tmp_path / "run.json").write_text(json.dumps(content))
        assert verb.training_time(tmp_path) == expected


# === The page, and the verb ===


def test_the_page_begins_with_the_table(data, tmp_path):
    found = {f"run-{number}": measured(perfect, data) for number in range(2)}
    write_page(tmp_path / "page.html", found)
    page = (tmp_path / "page.html").read_text()
    first = page[: page.index("</table>")]
    assert "<svg" not in first
    assert [first.count(f"<td>{row}</td>") for row in (*found, "real images (floor)")] == [1, 1, 1]


def test_a_page_needs_nothing_but_itself(data, tmp_path):
    found = evaluate(Explicit(perfect), data, encoder=pixels)
    write_page(tmp_path / "page.html", {"<first>": found, "second": found})
    page = (tmp_path / "page.html").read_text()
    assert "&lt;first&gt;" in page
    assert page.count("data:image/png;base64,") == 4
    assert page.count("<svg") == 3
    # Names of XML dialects are no links; nothing is fetched.
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", page)


def test_figures_of_two_encoders_are_in_plots_of_their_own(data, tmp_path):
    def brightness(images):
        return images.reshape(len(images), -1).mean(axis=1, keepdims=True).astype("float32")

    alike = {name: measured(perfect, data) for name in ("a", "b")}
    write_page(tmp_path / "one.html", alike)
    assert (tmp_path / "one.html").read_text().count("<svg") == 2
    write_page(
        tmp_path / "two.html", {**alike, "c": evaluate(Toy(perfect), data, encoder=brightness)}
    )
    assert (tmp_path / "two.html").read_text().count("<svg") == 4


def test_fit_refuses_to_measure_samples_of_a_model_without_any(tmp_path):
    """Before anything is trained or written."""
    arguments = ["--model", "autoencoder", "--evaluate-every", "1", "--out", str(tmp_path / "run")]
    with pytest.raises(KgenError, match="draws new images, received Autoencoder"):
        fit.main(arguments)
    assert not (tmp_path / "run").exists()


def test_fit_measures_and_evaluate_prints_a_table_and_writes_json_and_a_page(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(classifier, "fit", None)  # the classifier of the digits comes with kgen
    fit.main([*SHORT_RUN, "--evaluate-every", "2"])
    header, first, second = Path("runs/vae-digits/history.csv").read_text().splitlines()
    column = header.split(",").index("frechet_distance")
    assert [row.split(",")[column] == "nan" for row in (first, second)] == [True, False]
    files = ("--json", "a.json", "--csv", "a.csv", "--latex", "a.tex", "--html", "a.html")
    verb.main(["runs/vae-digits", "--samples", "100", *files])
    output, errors = capsys.readouterr()
    for words in (
        "FID",
        "samples",
        "real images (floor)",
        "noise (ceiling)",
        "(bound, 10 samples; 100 images)",
    ):
        assert words in output
    assert "100%" in errors
    found = json.loads(Path("a.json").read_text())["runs/vae-digits"]
    assert set(found) == {"rows", "likelihood", "latents", "used", "seconds", "doubts"}
    assert found["seconds"]["training"] > 0
    assert re.fullmatch("[0-9a-f]{64}", found["used"]["encoder_sha256"])
    assert Path("a.html").read_text().startswith("<!DOCTYPE html>")
    assert "runs/vae-digits,digits,test,100," in Path("a.csv").read_text()
    assert r"\begin{tabular}" in Path("a.tex").read_text()
    verb.main(["runs/vae-digits", "--split", "validation", "--samples", "100", "--json", "v.json"])
    used = json.loads(Path("v.json").read_text())["runs/vae-digits"]["used"]
    assert (used["split"], used["images"]) == ("validation", 100)
    assert used["encoder_sha256"] == found["used"]["encoder_sha256"]  # the named set's


def test_evaluate_measures_by_the_encoder_that_is_named(tmp_path, monkeypatch, capsys):
    def brightness(images):
        return images.mean(axis=(1, 2)).astype("float32")

    brightness.name = "brightness"
    asked = []
    monkeypatch.chdir(tmp_path)
    fit.main(SHORT_RUN)
    monkeypatch.setattr(
        "kgen.encoders.for_data", lambda data, name: asked.append(name) or brightness
    )
    run = "runs/vae-digits"
    verb.main([run, run, "--encoder", "inception", "--samples", "100", "--json", "a.json"])
    assert asked == ["inception"]  # once for all runs on the same images
    assert json.loads(Path("a.json").read_text())[run]["used"]["encoder"] == "brightness"


def test_evaluate_refuses_what_is_no_run(tmp_path):
    status, _, errors, _ = run("kgen.evaluate", "nowhere", folder=tmp_path)
    assert status == 2
    assert errors.startswith("kgen: Expected nowhere to be a run of kgen.fit")
    assert errors.count("\n") == 1


@pytest.fixture(scope="module")
def logs(data):
    """{every: history} of a tiny model trained equally; measured never for 0."""
    histories = {}
    for every in (0, 2):
        kgen.set_seed(0)
        model = kgen.VAE((4, 4, 1), levels=17, latent_size=2, hidden=(8,))
        model.compile()
        callbacks = [kgen.evaluation.SampleQuality(data, every, encoder=pixels)] if every else []
        fitted = model.fit(
            data.train.images, batch_size=50, epochs=4, verbose=0, callbacks=callbacks
        )
        histories[every] = fitted.history
    return histories


def test_sample_quality_does_not_disturb_training(logs):
    assert logs[0]["loss"] == logs[2]["loss"]


def test_sample_quality_is_logged_every_so_many_epochs(logs):
    distances = np.isfinite(logs[2]["frechet_distance"]).tolist()
    assert distances == [False, True, False, True]
    assert np.isfinite(logs[2]["kernel_distance"]).tolist() == distances


def test_sample_quality_is_not_logged_without_the_callback(logs):
    assert "frechet_distance" not in logs[0]
