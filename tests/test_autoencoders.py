"""What the relatives of the VAE change, and that they change nothing else."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops
from test_vae import IMAGES, numpy, randomise

import kgen
from kgen import KgenError

LABELS = np.arange(16) % 3
ALL = {"image_shape": (2, 2, 1), "levels": 2, "latent_size": 1, "hidden": (6,)}


def model_of(name, **settings):
    """A model of binary 2x2 images with one latent, and weights of a size that matters."""
    model = kgen.models.create(name, **ALL, **settings)
    randomise(model.encoder, 3, 0.1)
    randomise(model.decoder, 4, 1.0)
    return model


def terms_of(model, labels=None, seed=0):
    """The objective on all 16 images, its noise from NumPy: {term: float}."""
    generator = np.random.default_rng(seed)
    model.normal = lambda shape: ops.convert_to_tensor(
        generator.standard_normal(tuple(map(int, shape)), "float32")
    )
    labels = None if labels is None else ops.convert_to_tensor(labels)
    loss, terms = model.objective(ops.convert_to_tensor(IMAGES), labels, training=True)
    return {name: float(numpy(value)) for name, value in {"loss": loss, **terms}.items()}


# === beta-VAE ===


@pytest.mark.parametrize("beta", [0.5, 1.0, 4.0])
def test_beta_weighs_the_kl_of_the_vae(beta):
    vae, beta_vae = terms_of(model_of("vae")), terms_of(model_of("beta_vae", beta=beta))
    assert beta_vae["reconstruction"] == vae["reconstruction"]
    assert beta_vae["kl"] == vae["kl"]
    assert beta_vae["loss"] == pytest.approx(vae["reconstruction"] + beta * vae["kl"], rel=1e-6)


def test_beta_leaves_the_bound_of_the_model():
    found = (model_of(n).log_prob(IMAGES, samples=3, seed=0) for n in ("vae", "beta_vae"))
    assert np.array_equal(*found)


@pytest.mark.parametrize("beta", [0.0, -1.0])
def test_beta_must_be_positive(beta):
    with pytest.raises(KgenError, match="above 0"):
        kgen.models.create("beta_vae", beta=beta)


# === IWAE ===


@pytest.mark.parametrize("samples", [1, 2, 5])
def test_the_loss_is_the_importance_weighted_bound(samples):
    """`log_prob`, which tests/test_vae.py holds against the true p(x), on the same noise."""
    model = model_of("iwae", samples=samples)
    bound = model.log_prob(IMAGES, samples=samples, seed=0).mean()
    assert terms_of(model)["loss"] == pytest.approx(-bound, rel=1e-5)


def test_one_sample_is_the_elbo():
    terms = terms_of(model_of("iwae", samples=1))
    assert terms["loss"] == pytest.approx(terms["negative_elbo"], rel=1e-6)


def test_more_samples_are_a_tighter_bound():
    losses = [
        np.mean([terms_of(model_of("iwae", samples=k), seed=s)["loss"] for s in range(20)])
        for k in (1, 5, 50)
    ]
    assert losses[0] > losses[1] > losses[2]


def test_iwae_needs_a_sample():
    with pytest.raises(KgenError, match="samples to be a whole number from 1 to 1,000"):
        kgen.models.create("iwae", samples=0)


# === Conditional VAE ===


def conditional():
    model = model_of("cvae", classes=3)
    randomise(model.label_picture, 5, 1.0)
    return model


@pytest.mark.parametrize("label", [0, 1, 2])
def test_probabilities_given_a_label_sum_to_one(label):
    bounds = conditional().log_prob(IMAGES, condition=[label] * 16, samples=3000, seed=0)
    assert np.exp(bounds).sum() == pytest.approx(1, abs=0.02)


def test_the_label_reaches_encoder_and_decoder():
    model = conditional()
    means = [model.encode(IMAGES[:1], condition=[label])[0].item() for label in range(3)]
    assert len(set(means)) == 3
    parameters = [numpy(model.apply_decoder(np.zeros((1, 1), "float32"), [k])) for k in range(3)]
    assert not any(np.allclose(a, b) for a, b in itertools.combinations(parameters, 2))


def test_every_image_has_its_own_label():
    """One batch of mixed labels is what each label gives alone; k samples keep them apart."""
    model = conditional()
    mixed = model.log_prob(IMAGES, condition=LABELS, samples=2000, seed=0)
    alone = np.array([model.log_prob(IMAGES, [k] * 16, samples=2000, seed=1) for k in range(3)])
    np.testing.assert_allclose(mixed, alone[LABELS, np.arange(16)], atol=0.1)
    assert np.abs(alone[0] - alone[1]).max() > 0.2


def test_classes_come_from_the_data():
    data = kgen.data.load("digits")
    assert kgen.models.create("cvae", data, hidden=(4,), latent_size=2).classes == 10
    unlabelled = data.changed(
        "without labels",
        train=kgen.data.Split(data.train.images),
        test=kgen.data.Split(data.test.images),
    )
    with pytest.raises(KgenError, match="labelled"):
        kgen.models.create("cvae", unlabelled)


def test_a_trained_cvae_draws_what_its_label_says():
    """On real digits: the nearest class mean of most samples is that of their label."""
    data = kgen.data.load("digits")
    kgen.set_seed(0)
    model = kgen.models.create("cvae", data, hidden=(128,))
    model.compile()
    model.fit(data.train.images, data.train.labels, batch_size=64, epochs=40, verbose=0)
    labels = np.repeat(np.arange(10), 20)
    samples = model.sample(200, condition=labels, seed=0).astype(float).reshape(200, -1)
    train = data.train.images.astype(float).reshape(len(data.train), -1)
    means = np.array([train[data.train.labels == label].mean(0) for label in range(10)])
    nearest = np.argmin(((samples[:, None] - means) ** 2).sum(-1), axis=1)
    assert np.mean(nearest == labels) > 0.8


# === Autoencoder ===


def test_the_autoencoders_loss_is_the_nats_of_its_reconstruction():
    model = model_of("autoencoder")
    logits = numpy(model.decoder(model.encoder(IMAGES.astype("float32"))))
    expected = keras.losses.BinaryCrossentropy(from_logits=True, reduction="none")(IMAGES, logits)
    assert terms_of(model)["loss"] == pytest.approx(numpy(expected).sum() / 16, rel=1e-5)


def test_equal_images_have_equal_codes():
    model = model_of("autoencoder")
    assert np.array_equal(model.latents(IMAGES), model.encode(IMAGES))
    assert np.array_equal(model.encode(IMAGES), model.encode(IMAGES))


def test_an_autoencoder_says_why_it_cannot_sample():
    with pytest.raises(KgenError, match=r"Autoencoder cannot sample.*distribution of latents"):
        kgen.models.create("autoencoder", **ALL).sample(8)
