"""L1, PSNR and SSIM of pairs of images, and where they are reported and pictured."""

import math

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

import kgen
import kgen.evaluate
import kgen.fit
from kgen.evaluation import tables
from kgen.metrics import image_pairs, pair_figures
from kgen.spaces import Pixels

DATA = kgen.data.load("digits:edges").limit(60)


def some_pairs(shape=(6, 20, 13, 3), levels=256):
    """Smooth images, and the same with noise."""
    generator = np.random.default_rng(0)
    images = gaussian_filter(generator.normal(size=shape), (0, 3, 3, 0), mode="wrap")
    images = (images - images.min()) / np.ptp(images) * (levels - 1)
    noisy = np.clip(images + generator.normal(0, levels / 20, shape), 0, levels - 1)
    return images.round().astype("uint8"), noisy.round().astype("uint8")


def ssim_of(image, target):
    """Of one channel (height, width) in 0..1, as Wang et al. 2004 write it, window by window."""

    def mean(values):  # scipy's windows of 11x11; those that reach out of the image are left out
        return gaussian_filter(values, 1.5, radius=5)[5:-5, 5:-5]

    means = mean(image), mean(target)
    variances = [
        mean(part**2) - centre**2 for part, centre in zip((image, target), means, strict=True)
    ]
    covariance = mean(image * target) - means[0] * means[1]
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * means[0] * means[1] + c1) * (2 * covariance + c2)
    return np.mean(similarity / ((means[0] ** 2 + means[1] ** 2 + c1) * (sum(variances) + c2)))


def test_ssim_is_that_of_the_paper():
    images, targets = some_pairs()
    expected = [
        ssim_of(image[..., channel] / 255, target[..., channel] / 255)
        for image, target in zip(images, targets, strict=True)
        for channel in range(3)
    ]
    assert 0.2 < np.mean(expected) < 0.9
    assert pair_figures(images, targets, 256)["ssim"] == pytest.approx(np.mean(expected), rel=1e-9)


def test_figures_of_a_constant_difference_are_closed_forms():
    """Flat images of 0.25 and of 0.75 of the range: no structure, and 0.5 of difference."""
    images, targets = (np.full((2, 12, 12, 1), level, "uint8") for level in (4, 12))
    luminance = (2 * 0.25 * 0.75 + 1e-4) / (0.25**2 + 0.75**2 + 1e-4)
    expected = {"l1": 0.5, "psnr": 10 * math.log10(4), "ssim": luminance}
    assert pair_figures(images, targets, 17) == pytest.approx(expected)


def test_figures_are_means_over_images_also_in_parts(monkeypatch):
    images, noisy = some_pairs()
    noisy[0] = images[0]  # whose own PSNR is infinite
    monkeypatch.setattr(image_pairs, "IMAGES_AT_A_TIME", 4)
    singly = [pair_figures(images[i : i + 1], noisy[i : i + 1], 256) for i in range(6)]
    whole = pair_figures(images, noisy, 256)
    for name in ("l1", "ssim"):
        assert whole[name] == pytest.approx(np.mean([one[name] for one in singly]))
    squared = np.mean([10 ** (-one["psnr"] / 10) for one in singly])
    assert whole["psnr"] == pytest.approx(-10 * np.log10(squared))


def test_figures_are_worse_for_other_images():
    images, noisy = some_pairs()
    whole, other = (pair_figures(part, noisy, 256) for part in (images, images[::-1]))
    assert other["l1"] > whole["l1"]
    assert other["psnr"] < whole["psnr"]
    assert other["ssim"] < whole["ssim"]


def test_images_that_are_no_pairs_are_refused():
    images, targets = some_pairs()
    with pytest.raises(kgen.KgenError, match="pairs of images of one shape"):
        pair_figures(images[:5], targets, 256)


def test_images_are_converted_to_another_space():
    """Black and white, grey and small ones in the size, the levels and the colours of others."""
    source = np.array([[[[0], [1]], [[1], [0]]]], "uint8")  # 2x2
    converted = Pixels((2, 2, 1), 2).converted(source, Pixels((4, 2, 3), 256))
    assert (converted.shape, converted.dtype) == ((1, 4, 2, 3), np.uint8)
    assert converted[0, :, 0, 2].tolist() == [0, 0, 255, 255]
    colours = np.array([[[[3, 6, 9]]]], "uint8")
    assert Pixels((1, 1, 3), 17).converted(colours, Pixels((1, 1, 1), 9)).tolist() == [[[[3]]]]


def pixels(images):
    """An encoder."""
    return images.reshape(len(images), -1) / 16


def small_model():
    model = kgen.models.create("pix2pix", DATA, base_channels=2, patch=16)
    model.compile()
    return model


def test_an_evaluation_has_the_pairs_of_samples_and_of_sources():
    model = small_model()
    found = kgen.evaluation.evaluate(model, DATA, encoder=pixels)
    test = DATA.test.limit(found.used["images"])
    samples = model.sample(condition=test.condition)
    identity = DATA.condition_space.converted(test.condition, DATA.space)
    for row, images in (("samples", samples), ("sources (identity)", identity)):
        expected = pair_figures(images, test.x, 17)
        assert {name: found.rows[row][name] for name in expected} == pytest.approx(expected)
    distance = kgen.metrics.frechet_distance(pixels(test.x), pixels(identity))
    assert found.rows["sources (identity)"]["frechet_distance"] == pytest.approx(distance)
    text = tables.as_text({"run": found})
    assert f"PSNR {found.rows['samples']['psnr']:.2f} dB" in text
    assert "sources (identity) beside their targets" in text


def test_samples_of_a_model_that_is_given_no_sources_belong_to_no_target():
    model = kgen.models.create("vae", DATA, latent_size=2)
    found = kgen.evaluation.evaluate(model, DATA, encoder=pixels)
    assert "l1" in found.rows["sources (identity)"]
    assert "l1" not in found.rows["samples"]
    unpaired = kgen.data.load("digits").limit(60)
    found = kgen.evaluation.evaluate(model, unpaired, encoder=pixels)
    assert list(found.rows) == ["samples", "real images (floor)", "noise (ceiling)"]


def test_a_picture_shows_source_sample_and_target(tmp_path):
    """Four triples in a row: black sources, grey samples, white targets, of 14 pixels each."""
    images = [np.full((5, 14, 14, 1), level, "uint8") for level in (0, 8, 16)]
    path = tmp_path / "triples.png"
    spaces = Pixels((14, 14, 1), 17), Pixels((14, 14, 1), 17)
    kgen.pictures.save_triples(path, *images, *spaces)
    picture = np.asarray(Image.open(path))
    side = (picture.shape[1] - 2) // 12
    middles = picture[side // 2, side // 2 :: side][:12]
    assert middles.tolist() == [0, 128, 255] * 4
    assert picture.shape[0] == 2 * side + 2


def test_a_run_has_pictures_of_triples(tmp_path):
    """Of validation pairs, in turn: the left third is the sources, the right one the targets."""
    arguments = (
        "--model pix2pix --data digits:edges --limit 64 --epochs 1 --set base_channels=2 patch=16"
    )
    kgen.fit.main([*arguments.split(), "--out", str(tmp_path / "run")])
    data = kgen.data.load("digits:edges").with_validation().limit(64)
    rows = np.arange(64) % len(data.validation)
    condition = data.validation.condition[rows]
    sources = data.condition_space.converted(condition, data.space)
    model = kgen.load(tmp_path / "run" / "model")
    samples = model.sample(condition=condition)
    triples = np.stack([sources, samples, data.validation.x[rows]], 1).reshape(-1, 8, 8, 1)
    with Image.open(tmp_path / "run" / "samples" / "epoch-001.png") as picture:
        expected = kgen.pictures.grid(triples, 17, columns=12)
        assert np.array_equal(np.asarray(picture), np.asarray(expected))


def test_a_run_on_pairs_is_continued_without_naming_them_again(tmp_path):
    run = tmp_path / "run"
    arguments = (
        "--model pix2pix --data digits:edges --limit 64 --epochs 1 --set base_channels=2 patch=16"
    )
    kgen.fit.main([*arguments.split(), "--out", str(run)])
    kgen.fit.main(["--resume", str(run), "--epochs", "2"])
    assert len((run / "history.csv").read_text().splitlines()) == 3
    options = kgen.evaluate.parser().parse_args([str(run)])
    assert kgen.evaluate.images_of(run, options)["source"] == "digits:edges"
