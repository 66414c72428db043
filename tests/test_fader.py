"""The Fader network: its losses against NumPy, its ramp, and what enters which network."""

import numpy as np
import pytest
from keras import ops
from scipy import special

import kgen
from kgen.testing.comparing import array, refused

COUNT = 6
NAMES = ("red", "large", "round")


def model_of(**settings):
    kgen.set_seed(0)
    settings = settings if "attributes" in settings else {"classes": 10, **settings}
    sizes = {"halvings": 2, "base_channels": 4, "latent_channels": 2, "critic_units": (8,)}
    return kgen.Fader((8, 8, 1), levels=17, **{**sizes, **settings})


def batch(model):
    images = np.random.default_rng(1).integers(0, 17, (COUNT, 8, 8, 1)).astype("uint8")
    condition = np.arange(COUNT, dtype="int32") % 10
    if model.attributes:
        condition = np.random.default_rng(2).integers(0, 2, (COUNT, 3)).astype("float32")
    return images, condition


def tensors(model):
    return [ops.convert_to_tensor(part) for part in batch(model)]


# === Losses ===


def test_the_critics_loss_is_a_cross_entropy_of_labels():
    model, labels = model_of(), np.array([3, 0, 9, 1])
    logits = np.random.default_rng(0).standard_normal((4, 10)).astype("float32")
    expected = -special.log_softmax(logits, axis=1)[np.arange(4), labels].mean()
    assert float(array(model.cross_entropy(logits, model.targets(labels)))) == pytest.approx(
        expected, rel=1e-5
    )


def test_of_attributes_it_is_the_mean_of_their_cross_entropies():
    model, (_, given) = model_of(attributes=NAMES), batch(model_of(attributes=NAMES))
    logits = np.random.default_rng(0).standard_normal((COUNT, 3)).astype("float32")
    log_probs = np.where(given == 1, special.log_expit(logits), special.log_expit(-logits))
    found = float(array(model.cross_entropy(*map(ops.convert_to_tensor, (logits, given)))))
    assert found == pytest.approx(-log_probs.mean(), rel=1e-5)


def test_other_labels_are_all_the_others_alike():
    found = array(model_of().others(np.array([3, 0], "int32")))
    expected = np.full((2, 10), 1 / 9)
    expected[[0, 1], [3, 0]] = 0.0
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_other_attributes_are_the_opposites():
    model = model_of(attributes=NAMES)
    assert np.array_equal(array(model.others(np.float32([[0, 1, 1]]))), [[1, 0, 0]])


@pytest.mark.parametrize("settings", [{}, {"attributes": NAMES}])
def test_the_autoencoder_is_paid_for_what_the_critic_takes_for_others(settings):
    """Along the ramp; without a weight the loss is that of reconstruction."""
    model = model_of(**settings, adversarial_weight=0.5, ramp_steps=8)
    model.compile()
    images, condition = tensors(model)
    _, terms = model.autoencoder_loss(images, condition, False)
    error = float(array(terms["reconstruction"]))
    codes = ops.convert_to_tensor(model.latents(array(images)))
    rebuilt = array(model.decoder([codes, model.given(condition)]))
    assert error == pytest.approx(np.mean((rebuilt - (array(images) / 8 - 1)) ** 2), rel=1e-4)
    entropy = model.cross_entropy(model.critic(codes), model.others(condition))
    for steps, weight in ((0, 0.0625), (3, 0.25), (7, 0.5), (80, 0.5)):
        model.optimizer["autoencoder"].iterations.assign(steps)
        loss, _ = model.autoencoder_loss(images, condition, False)
        assert float(array(loss)) == pytest.approx(error + weight * float(array(entropy)), rel=1e-4)
    model.adversarial_weight = 0.0
    assert float(array(model.autoencoder_loss(images, condition, False)[0])) == pytest.approx(error)


def test_the_critic_learns_by_codes_as_they_are_encoded():
    """With moving statistics, which only the autoencoder's updates change."""
    model = model_of(halvings=3, critic_units=())
    images, labels = tensors(model)
    loss, terms = model.critic_loss(images, labels, True)
    logits = array(model.critic(model.latents(array(images))))
    expected = float(array(model.cross_entropy(logits, model.targets(labels))))
    assert float(array(loss)) == pytest.approx(expected, rel=1e-4)
    right = np.mean(logits.argmax(axis=1) == array(labels))
    assert float(array(terms["critic_accuracy"])) == pytest.approx(right)


# === Translation ===


@pytest.mark.parametrize("settings", [{}, {"attributes": NAMES}])
def test_the_decoder_is_given_attributes_and_the_encoder_is_not(settings):
    model = model_of(**settings)
    images, condition = batch(model)
    codes = model.encode(images)
    assert np.array_equal(codes, model.encode(images, condition))
    assert np.array_equal(model.translate(images, condition), model.reconstruct(images, condition))
    for variable in model.decoder.trainable_variables:
        if variable.name == "kernel":
            variable.assign(10 * array(variable.value))
    others = 1.0 - condition if model.attributes else (condition + 1) % 10
    translated = model.translate(images, others)
    assert np.array_equal(translated, model.decode(codes, others))
    assert not np.array_equal(translated, model.translate(images, condition))


def test_attributes_enter_every_layer_of_the_decoder():
    model = model_of(attributes=NAMES, halvings=3)
    kernels = [v for v in model.decoder.trainable_variables if v.name == "kernel"]
    assert [kernel.shape[-1] for kernel in kernels] == [2 + 6, 8 + 6, 4 + 6]


def test_codes_are_probed_without_the_condition():
    data = kgen.data.load("digits").limit(200)
    found = kgen.probe.linear_probe(model_of(), data.train, data.test)
    assert found.accuracy > 0.2


@pytest.mark.parametrize(
    "settings",
    [{"classes": 0, "attributes": ()}, {"classes": 1}, {"classes": 3, "attributes": NAMES}],
)
def test_either_labels_or_attributes(settings):
    with refused("attributes", "classes"):
        kgen.Fader(**settings)


@pytest.mark.slow
def test_translated_digits_are_those_that_were_asked_for_and_codes_hold_no_digit():
    from sklearn.svm import SVC

    data = kgen.data.load("digits")
    kgen.set_seed(0)
    sizes = {"halvings": 3, "base_channels": 32, "latent_channels": 16, "critic_units": (128, 128)}
    model = kgen.models.create("fader", data, **sizes, ramp_steps=500)
    model.compile()
    model.fit(data.train.images, data.train.labels, batch_size=64, epochs=50, verbose=0)
    classifier = SVC().fit(data.train.images.reshape(-1, 64), data.train.labels)
    labels = (data.test.labels + 1 + np.arange(len(data.test.labels)) % 9) % 10
    translated = model.translate(data.test.images, labels)
    assert classifier.score(translated.reshape(-1, 64), labels) > 0.85
    assert kgen.probe.linear_probe(model, data.train, data.test).accuracy < 0.35
