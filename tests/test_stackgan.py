"""StackGAN: the losses of its two stages, conditioning augmentation, and their training in turn."""

import logging
import shlex

import numpy as np
import pytest
from keras import ops
from PIL import Image
from test_text_to_image import WORDS, fixed, given, loss_of, matching_of, seen, softplus

import kgen
from kgen import fit, sample
from kgen.runs.trained_models import load_models
from kgen.testing.comparing import array


def stackgan(**settings):
    small = {"base_channels": 4, "text_size": 8, "latent_size": 9, "condition_size": 3} | settings
    shape = {"words": WORDS.words, "length": WORDS.length}
    return fixed(kgen.StackGAN((16, 16, 1), 17, **shape, **small))


def kl_of(model):
    """KL( q(c|t) || N(0, I) ) of the captions of `given`, the mean over images and dimensions."""
    mean, log_variance = np.split(array(model.augmentation(model.text_of(given()[1]))), 2, axis=1)
    return 0.5 * np.mean(mean**2 + np.exp(log_variance) - log_variance - 1.0)


# === Losses ===


def test_the_losses_of_stage_one_are_those_of_one_logit():
    model = fixed(stackgan(conditioning_weight=3.0).first)
    (real,), (wrong,), (fake,) = seen(model)
    loss, _ = loss_of(model, "discriminator_loss", *given())
    expected = softplus(-real) + 0.5 * (softplus(wrong) + softplus(fake)) + matching_of(model)
    assert loss == pytest.approx(expected, rel=1e-4)
    expected = softplus(-fake) + 3.0 * kl_of(model)
    assert loss_of(model, "generator_loss", *given())[0] == pytest.approx(expected, rel=1e-4)


def test_the_losses_of_stage_two_are_those_of_two_logits():
    model = stackgan()
    real, wrong, fake = seen(model)
    loss, _ = loss_of(model, "discriminator_loss", *given(side=16))
    for_real = (softplus(-real[0]) + softplus(-real[1])) / 2
    for_fake = (softplus(wrong[0]) + softplus(fake[0]) + softplus(fake[1])) / 3
    assert loss == pytest.approx(for_real + for_fake + matching_of(model), rel=1e-4)
    expected = softplus(-fake[0]) + softplus(-fake[1]) + 2.0 * kl_of(model)
    assert loss_of(model, "generator_loss", *given(side=16))[0] == pytest.approx(expected, rel=1e-4)


# === Conditioning augmentation ===


def test_the_augmentations_kl_is_that_of_its_closed_form_by_quadrature():
    model = stackgan(conditioning_weight=1.0)
    text = ops.convert_to_tensor(np.random.default_rng(1).normal(size=(4, 8)).astype("float32"))
    _, penalty = model.augmented(text, ops.zeros((4, 3)))
    mean, log_variance = np.split(array(model.augmentation(text)).astype("float64"), 2, axis=1)
    points, weights = np.polynomial.hermite_e.hermegauss(40)
    draws = mean[..., None] + np.exp(0.5 * log_variance)[..., None] * points
    log_ratio = 0.5 * (draws**2 - points**2 - log_variance[..., None])  # log q / p
    kl = (log_ratio * weights).sum(axis=-1) / weights.sum()
    assert float(array(penalty)) == pytest.approx(kl.mean(), rel=1e-4)


def test_draws_of_the_augmentation_have_its_mean_and_variance():
    model, random = stackgan(), np.random.default_rng(2)
    text = np.tile(random.normal(size=(1, 8)).astype("float32"), (20_000, 1))
    noise = ops.convert_to_tensor(random.standard_normal((20_000, 3), "float32"))
    draws, _ = model.augmented(ops.convert_to_tensor(text), noise)
    mean, log_variance = np.split(array(model.augmentation(text[:1])), 2, axis=1)
    deviations = (array(draws) - mean) / np.exp(0.5 * log_variance)
    np.testing.assert_allclose(deviations.mean(axis=0), 0.0, atol=0.03)
    np.testing.assert_allclose(deviations.var(axis=0), 1.0, rtol=0.05)


# === Two stages ===


def test_small_images_are_means_of_squares():
    images, _ = given(3, side=16)
    small = stackgan().small(images)
    assert (small.shape, small.dtype) == ((3, 8, 8, 1), images.dtype)
    assert small[1, 2, 3, 0] == np.rint(images[1, 4:6, 6:8, 0].mean())
    for wrong in (images[0], images / 4.0, small):
        with pytest.raises(kgen.KgenError, match=r"^Expected .*images.* \(n, 16, 16, 1\)"):
            stackgan().small(wrong)


def test_the_training_of_stage_one_changes_all_its_weights_and_none_of_stage_two():
    model, (images, captions) = stackgan(), given(8, side=16)
    before = [array(weight) for weight in model.weights]
    model.first.compile()
    model.first.fit(model.small(images), captions, batch_size=8, verbose=0)
    pairs = zip(before, model.weights, strict=True)
    changed = {id(weight) for old, weight in pairs if (old != array(weight)).any()}
    assert changed == {id(weight) for weight in model.first.weights}
    assert len(changed) < len(model.weights)


def test_stage_two_leaves_stage_one_and_shows_both():
    model, (images, captions) = stackgan(), given(8, side=16)
    model.first.compile()
    model.first.fit(model.small(images), captions, batch_size=8, verbose=0)
    before = [array(weight) for weight in model.first.weights]
    model.compile()
    model.fit(images, captions, batch_size=8, epochs=2, verbose=0)
    for old, new in zip(before, model.first.weights, strict=True):
        np.testing.assert_array_equal(old, array(new))
    both = model.sample_in_stages(4, captions[:4], seed=0)
    np.testing.assert_array_equal(both[:, 1], model.sample(4, captions[:4], seed=0))
    noise = np.random.default_rng(0).standard_normal((4, 9), "float32")
    small = model.first.decode(noise[:, 3:], captions[:4])
    np.testing.assert_array_equal(both[:, 0, ::2, ::2], small)


def test_without_a_seed_both_stages_have_the_same_noise(monkeypatch):
    model, (_, captions) = stackgan(), given(4, side=16)
    model.compile()
    noise = []
    for name in ("_decode", "_small"):
        monkeypatch.setattr(model, name, recorded(getattr(model, name), noise))
    model.sample_in_stages(4, captions)
    np.testing.assert_array_equal(*noise)


def recorded(function, noise):
    def called(latents, condition):
        noise.append(latents)
        return function(latents, condition)

    return called


def test_both_stages_are_trained_by_the_command_and_sampled_from_words(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    lines = ["file_name,text"]
    for number in range(20):
        word, level = (("white", 255), ("black", 0))[number % 2]
        Image.new("L", (16, 16), level).save(f"data/{number}.png")
        lines.append(f"{number}.png,a {word} square")
    (tmp_path / "data/captions.csv").write_text("\n".join(lines))
    small = ["base_channels=4", "text_size=8", "latent_size=9", "condition_size=3"]
    options = ["--epochs", "1", "--batch-size", "9", "--out", "run", "--set", *small]
    fit.main(["--model", "stackgan", "--data", "data", *options])
    following = capsys.readouterr().out.splitlines()[-1]
    asked = "--condition 'a white square' --out run/grid.png"
    assert following == f"next: python -m kgen.sample run -n 64 {asked}"
    sample.main(shlex.split(following)[4:])
    plain = ["--model", "pca", "--set", "latent_size=2", "--out", "plain"]
    fit.main([*plain, "--data", "data", "--batch-size", "9"])
    assert "--condition" not in capsys.readouterr().out
    first, second = (Image.open(f"run/samples/{name}-epoch-001.png") for name in ("small", "large"))
    assert second.size != first.size
    sample.main(["run", "--condition", "a white square", "a black square", "--out", "two.npy"])
    assert np.load("two.npy").shape == (2, 16, 16, 1)


def test_a_run_that_was_stopped_in_stage_one_is_told_to_be_untrained(monkeypatch, caplog):
    stopped = {"one": ("model", "one: 2 epochs", 0), "two": ("model", "two: 2 epochs", 1)}
    monkeypatch.setattr("kgen.runs.trained_models.trained_model", stopped.get)
    monkeypatch.setattr(kgen, "load", lambda path: stackgan())
    with caplog.at_level(logging.WARNING, "kgen"):
        assert list(load_models(["one", "two"], [])) == ["one", "two"]
    (record,) = caplog.records
    assert "one was stopped in an earlier stage of its training: large is" in record.getMessage()
