"""The evaluation of a model: on toy models whose samples are known, with an encoder in NumPy."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from test_cli import SMALL as SHORT_RUN
from test_cli import run

import kgen
from kgen import evaluate as verb
from kgen import fit, metrics
from kgen.data.image_data import ImageData, Split
from kgen.encoders import classifier
from kgen.errors import KgenError
from kgen.evaluation import Reference, evaluate, likelihood
from kgen.evaluation.page import write_page
from kgen.evaluation.tables import as_text, likelihood_in_words

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
    return ImageData("toy", *splits, levels=17, source="made up", licence="none")


def pixels(images):
    """An encoder: half of the pixels as they are."""
    return images.reshape(len(images), -1)[:, ::2].astype("float32")


class Toy:
    """A "trained model" that samples by a given function of (count, seed, labels)."""

    image_shape, levels = (4, 4, 1), 17
    can_sample, likelihood, classes = True, None, 0

    def __init__(self, draw):
        self.draw = draw

    def sample(self, count, seed=None, labels=None):
        return self.draw(count, seed, labels)


def perfect(count, seed, labels):
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
    def one_class(count, seed, labels):
        images, found = images_of(seed, 8 * count)
        return images[found == 1][:count]

    samples = measured(one_class, data).rows["samples"]
    assert samples["precision"] > 0.8
    assert samples["coverage"] < 0.5


def test_copies_of_training_images_are_found_and_shown(data):
    found = measured(lambda count, seed, labels: data.train.images[:count], data)
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

    def draw(count, seed, labels):
        asked.extend(labels)
        return perfect(count, seed, labels)

    model = Toy(draw)
    model.classes = 4
    evaluate(model, data, encoder=pixels)
    assert asked == list(data.test.labels)


@pytest.mark.parametrize("split", ["test", "train"])
def test_the_split_is_what_samples_are_compared_with(data, split):
    found = measured(
        lambda count, seed, labels: getattr(data, split).images[:count], data, split=split
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
    assert "sub-folder" in as_text("run", found)


def test_images_of_another_kind_are_refused(data):
    model = Toy(perfect)
    model.levels = 2
    with pytest.raises(KgenError, match=r"with 2 levels.*received toy.*17 levels"):
        evaluate(model, data, encoder=pixels)


def test_an_encoder_of_another_shape_is_refused(data):
    with pytest.raises(KgenError, match=r"features \(200, d\)"):
        Reference(data, lambda images: images)


def test_another_split_is_refused(data):
    with pytest.raises(KgenError, match="'test' or 'train'"):
        measured(perfect, data, split="validation")


class Explicit(Toy):
    """A uniform distribution over all images, but for a bound that costs 1 / k nats."""

    likelihood = "bound"

    def log_prob(self, images, samples, seed):
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
    assert likelihood_in_words(found).endswith("(bound, 4 samples)")
    assert "none" in likelihood_in_words(None)


def test_likelihood_of_one_image_is_refused(data):
    with pytest.raises(KgenError, match="at least 2"):
        likelihood(Explicit(perfect), data.test.limit(1), samples=4)


def test_progress_counts_samples_and_likelihoods(data):
    counts = []
    evaluate(Explicit(perfect), data, encoder=pixels, progress=counts.append)
    assert sum(counts) == 2 * COUNT


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
    monkeypatch.setattr(classifier, "cache_folder", lambda: tmp_path / "data")
    monkeypatch.setattr(classifier, "FEWEST_STEPS", 30)
    monkeypatch.setattr(classifier, "MOST_STEPS", 30)
    fit.main([*SHORT_RUN, "--evaluate-every", "2"])
    header, first, second = Path("runs/vae-digits/history.csv").read_text().splitlines()
    column = header.split(",").index("frechet_distance")
    assert [row.split(",")[column] == "nan" for row in (first, second)] == [True, False]
    arguments = ["runs/vae-digits", "--samples", "100", "--json", "a.json", "--html", "a.html"]
    verb.main(arguments)
    output, errors = capsys.readouterr()
    for words in (
        "FID",
        "samples",
        "real images (floor)",
        "noise (ceiling)",
        "(bound, 10 samples)",
    ):
        assert words in output
    assert "100%" in errors
    found = json.loads(Path("a.json").read_text())["runs/vae-digits"]
    assert set(found) == {"rows", "likelihood", "used", "seconds"}
    assert re.fullmatch("[0-9a-f]{64}", found["used"]["encoder_sha256"])
    assert Path("a.html").read_text().startswith("<!DOCTYPE html>")


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
        callbacks = [kgen.callbacks.SampleQuality(data, every, encoder=pixels)] if every else []
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
