"""Text to image by GANs: their losses, mismatched captions, and conditioning augmentation."""

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

import kgen
from kgen import backend, fit, sample
from kgen.data import Split
from kgen.models.gans.matching import matching_loss, rows_of_other_words
from kgen.spaces import Tokens
from kgen.testing.comparing import array

WORDS = Tokens(4, ("a", "white", "black", "square", "on", "the", "left", "right"))
TEXTS = ["a white square", "a black square", "the left", "the right", "on the left", "right"]
COUNT = len(TEXTS)
NOISE = 5


def given(count=COUNT, side=8):
    images = np.random.default_rng(0).integers(0, 17, (count, side, side, 1)).astype("uint8")
    return images, WORDS.encode((TEXTS * count)[:count])


def fixed(model):
    """The model with noise that depends on its shape alone, and no weight of zero."""
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        noise = 0.1 * random.normal(size=variable.shape)
        variable.assign((array(variable) + noise).astype("float32"))

    def draw(name):
        def drawn(shape):
            generator = np.random.default_rng(NOISE)
            return ops.convert_to_tensor(
                getattr(generator, name)(tuple(map(int, shape)), "float32")
            )

        return drawn

    model.normal, model.uniform = draw("standard_normal"), draw("random")
    return model


def gan(**settings):
    small = {"base_channels": 4, "text_size": 8, "latent_size": 4} | settings
    shape = {"words": WORDS.words, "length": WORDS.length}
    return fixed(kgen.TextToImageGAN((8, 8, 1), 17, **shape, **small))


def stackgan(**settings):
    small = {"base_channels": 4, "text_size": 8, "latent_size": 9, "condition_size": 3} | settings
    shape = {"words": WORDS.words, "length": WORDS.length}
    return fixed(kgen.StackGAN((16, 16, 1), 17, **shape, **small))


def softplus(x):
    return np.logaddexp(0.0, x).mean()


def noise_of(model, count=COUNT):
    return np.random.default_rng(NOISE).standard_normal((count, model.latent_size), "float32")


def matching_of(model):
    """The loss of matching the images and captions of `given`."""
    images, captions = given(side=model.image_shape[0])
    vectors = model.image_encoder(model.scale(ops.convert_to_tensor(images)), training=True)
    return float(array(matching_loss(vectors, model.text_of(captions), captions)))


def loss_of(model, name, images, captions):
    loss, terms = getattr(model, name)(ops.convert_to_tensor(images), captions)
    return float(array(loss)), {key: float(array(value)) for key, value in terms.items()}


def logits(model, images, text):
    return [array(part) for part in model.discriminate(images, text, training=True)]


def seen(model):
    """(logits of real images with their captions, with others', of generated ones), and text."""
    images, captions = given(side=model.image_shape[0])
    text = model.text_of(captions)
    rows, exists = model.with_other_words(captions)
    assert array(exists).all()
    real = model.scale(ops.convert_to_tensor(images))
    fakes, _ = model.generated(ops.convert_to_tensor(noise_of(model)), text, training=True)
    mismatched = ops.convert_to_tensor(array(text)[array(rows)])
    return logits(model, real, text), logits(model, real, mismatched), logits(model, fakes, text)


# === Mismatched captions ===


def test_mismatched_captions_have_other_words_and_any_of_them():
    texts = ["a white square", "white a square", "a white square", "a black square", "the left"]
    captions, random = WORDS.encode(texts), np.random.default_rng(0)
    found = [set() for _ in texts]
    for _ in range(100):
        rows, exists = rows_of_other_words(captions, random.random((5, 5), "float32"))
        assert array(exists).all()
        for row, chosen in enumerate(array(rows).tolist()):
            found[row].add(chosen)
    assert found == [{3, 4}, {3, 4}, {3, 4}, {0, 1, 2, 4}, {0, 1, 2, 3}]


def test_a_caption_that_all_images_share_has_no_mismatch():
    captions = WORDS.encode(["a white square"] * 3)
    _, exists = rows_of_other_words(captions, np.zeros((3, 3), "float32"))
    assert not array(exists).any()
    model, images = gan(), given(3)[0]
    loss, terms = loss_of(model, "discriminator_loss", images, captions)
    text, fakes = model.text_of(captions), noise_of(model, 3)
    fakes, _ = model.generated(ops.convert_to_tensor(fakes), text, training=True)
    real = logits(model, model.scale(ops.convert_to_tensor(images)), text)[0]
    fake = logits(model, fakes, text)[0]
    assert terms["matching_loss"] == pytest.approx(0.0, abs=1e-6)
    assert loss == pytest.approx(softplus(-real) + softplus(fake), rel=1e-4)
    assert terms["mismatch_accuracy"] == terms["fake_accuracy"]


# === Losses ===


def test_the_losses_of_the_gan_are_the_papers():
    model = gan(interpolation=0.0)
    (real,), (wrong,), (fake,) = seen(model)
    loss, terms = loss_of(model, "discriminator_loss", *given())
    expected = softplus(-real) + 0.5 * (softplus(wrong) + softplus(fake)) + matching_of(model)
    assert loss == pytest.approx(expected, rel=1e-4)
    assert terms["mismatch_accuracy"] == pytest.approx((wrong < 0).mean())
    assert terms["real_accuracy"] == pytest.approx((real > 0).mean())
    assert loss_of(model, "generator_loss", *given())[0] == pytest.approx(softplus(-fake), rel=1e-4)


def test_interpolated_captions_lie_halfway_between_two():
    model, (images, captions) = gan(interpolation=0.5), given()
    text = array(model.text_of(captions))
    rows, _ = model.with_other_words(captions)
    middle = ops.convert_to_tensor(0.5 * (text + text[array(rows)]))
    between, _ = model.generated(ops.convert_to_tensor(noise_of(model)), middle, training=True)
    expected = softplus(-seen(model)[2][0]) + 0.5 * softplus(-logits(model, between, middle)[0])
    assert loss_of(model, "generator_loss", images, captions)[0] == pytest.approx(
        expected, rel=1e-4
    )


def test_the_losses_of_stage_two_are_those_of_two_logits():
    model = stackgan()
    real, wrong, fake = seen(model)
    loss, _ = loss_of(model, "discriminator_loss", *given(side=16))
    for_real = (softplus(-real[0]) + softplus(-real[1])) / 2
    for_fake = (softplus(wrong[0]) + softplus(fake[0]) + softplus(fake[1])) / 3
    assert loss == pytest.approx(for_real + for_fake + matching_of(model), rel=1e-4)
    mean, log_variance = np.split(array(model.augmentation(model.text_of(given()[1]))), 2, axis=1)
    kl = 0.5 * np.mean(mean**2 + np.exp(log_variance) - log_variance - 1.0)
    expected = softplus(-fake[0]) + softplus(-fake[1]) + 2.0 * kl
    assert loss_of(model, "generator_loss", *given(side=16))[0] == pytest.approx(expected, rel=1e-4)


def test_the_loss_of_matching_is_that_of_numpy():
    random = np.random.default_rng(3)
    vectors, text = random.normal(size=(2, 5, 8)).astype("float32")
    captions = WORDS.encode(["a white square", "square a white", "the left", "right", "on"])
    text = (text - text.mean(axis=1, keepdims=True)) / text.std(axis=1, keepdims=True)
    logits = 10.0 * np.corrcoef(vectors, text)[:5, 5:]
    logits[0, 1] = logits[1, 0] = -np.inf
    log_sums = [np.log(np.exp(logits).sum(axis=axis)) for axis in (0, 1)]
    expected = (sum(log_sums) - 2 * np.diag(logits)).mean()
    loss = matching_loss(*map(ops.convert_to_tensor, (vectors, text)), captions)
    assert float(array(loss)) == pytest.approx(expected, rel=1e-4)


def test_the_text_encoder_learns_from_matching_alone():
    model, (images, captions) = gan(), given()
    own = model.caption_encoder.trainable_variables

    def gradients():
        def loss():
            return model.discriminator_loss(ops.convert_to_tensor(images), captions)

        return [array(g) for g in backend.value_and_grad(model, loss, own)[1]]

    before = gradients()
    for variable in model.generator.trainable_variables:
        variable.assign(-2.0 * array(variable))
    # D's last layers, behind the features that it shares with the image encoder.
    features = {id(variable) for variable in model.image_encoder.trainable_variables}
    for variable in model.discriminator.trainable_variables:
        if id(variable) not in features:
            variable.assign(-2.0 * array(variable))
    for first, second in zip(before, gradients(), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-6)
    assert max(np.abs(gradient).max() for gradient in before) > 1e-4


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
    np.testing.assert_allclose(array(draws).mean(axis=0), mean[0], atol=0.05)
    np.testing.assert_allclose(array(draws).var(axis=0), np.exp(log_variance[0]), rtol=0.05)


# === Two stages ===


def test_small_images_are_means_of_squares():
    images, _ = given(3, side=16)
    small = stackgan().small(images)
    assert (small.shape, small.dtype) == ((3, 8, 8, 1), images.dtype)
    assert small[1, 2, 3, 0] == np.rint(images[1, 4:6, 6:8, 0].mean())


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


def test_both_stages_are_trained_by_the_command_and_sampled_from_words(tmp_path, monkeypatch):
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
    first, second = (Image.open(f"run/samples/{name}-epoch-001.png") for name in ("small", "large"))
    assert second.size != first.size
    sample.main(["run", "--condition", "a white square", "a black square", "--out", "two.npy"])
    assert np.load("two.npy").shape == (2, 16, 16, 1)


# === Learning ===


def squares(epochs, **settings):
    """A model of white or black squares, left or right, the rest grey, and its history."""
    colour, side = np.random.default_rng(0).integers(0, 2, (2, 512))
    images = np.full((512, 8, 8, 1), 8, "uint8")
    for image, white, right in zip(images, colour, side, strict=True):
        image[2:6, 4 * right : 4 * right + 4] = 16 * white
    texts = [
        f"{('black', 'white')[white]} on the {('left', 'right')[right]}"
        for white, right in zip(colour, side, strict=True)
    ]
    captions = WORDS.encode(texts)
    kgen.set_seed(0)
    settings |= {"words": WORDS.words, "length": WORDS.length}
    model = kgen.TextToImageGAN((8, 8, 1), 17, base_channels=16, text_size=16, **settings)
    model.compile({player: keras.optimizers.Adam(1e-3, beta_1=0.5) for player in model.players})
    split = Split(images, captions)
    return model, model.fit(split, batch_size=64, epochs=epochs, verbose=0).history


def test_mismatched_captions_are_told_from_right_ones():
    _, history = squares(epochs=80)
    assert history["mismatch_accuracy"][-1] > 0.9
    assert history["real_accuracy"][-1] > 0.6


@pytest.mark.slow
def test_swapping_captions_swaps_what_is_shown():
    # Without the penalty D is soon right about every image, and G learns half of the captions.
    model, _ = squares(epochs=100, r1_weight=1.0)
    wanted = [f"{a} on the {b}" for a in ("black", "white") for b in ("left", "right")]
    asked = np.repeat(np.arange(4), 25)
    samples = model.sample(100, WORDS.encode([wanted[row] for row in asked]), 0).astype(float)
    halves = samples[:, 2:6, :, 0].reshape(100, 4, 2, 4).mean(axis=(1, 3)) - 8.0
    found_side = np.abs(halves).argmax(axis=1)
    found_colour = halves[np.arange(100), found_side] > 0
    assert (2 * found_colour + found_side == asked).mean() > 0.9
