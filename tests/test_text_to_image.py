"""Text to image by a GAN: mismatched captions, its losses, and what it learns."""

import keras
import numpy as np
import pytest
from keras import ops

import kgen
from kgen import backend
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


# === Learning ===


@pytest.fixture(scope="module")
def squares():
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
    settings = {"words": WORDS.words, "length": WORDS.length, "base_channels": 16, "text_size": 16}
    model = kgen.TextToImageGAN((8, 8, 1), 17, **settings)
    optimizers = {player: keras.optimizers.Adam(1e-3, beta_1=0.5) for player in model.players}
    model.compile(optimizers, jit_compile=True)
    split = Split(images, captions)
    return model, model.fit(split, batch_size=64, epochs=25, verbose=0).history


def test_mismatched_captions_are_told_from_right_ones(squares):
    _, history = squares
    assert history["mismatch_accuracy"][-1] > 0.9
    assert history["real_accuracy"][-1] > 0.6


def test_swapping_captions_swaps_what_is_shown(squares):
    """Of equal noise."""
    model, _ = squares
    wanted = [f"{a} on the {b}" for a in ("black", "white") for b in ("left", "right")]
    noise = np.random.default_rng(0).standard_normal((25, model.latent_size), "float32")
    found = []
    for text in wanted:
        samples = model.decode(noise, WORDS.encode([text] * 25)).astype(float)
        halves = samples[:, 2:6, :, 0].reshape(25, 4, 2, 4).mean(axis=(1, 3)) - 8.0
        side = np.abs(halves).argmax(axis=1)
        colour = halves[np.arange(25), side] > 0
        found.append(2 * colour + side)
    assert (np.transpose(found) == np.arange(4)).mean() > 0.9
