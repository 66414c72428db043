"""Images of more than 256 levels, such as the codes of a VQ-VAE: 16 bits, on every backend."""

import numpy as np
import pytest

import kgen
from kgen import KgenError, backend
from kgen.spaces import Pixels

LEVELS = 600
SIZE = {"image_shape": (4, 4, 1), "levels": LEVELS}
MODELS = {
    "vae": {"latent_size": 2, "hidden": (8,)},
    "pixelcnn": {"features": 8, "blocks": 1},
    "gated_pixelcnn": {"features": 8, "blocks": 1},
    "glow": {"scales": 1, "depth": 1, "base_channels": 4},
    "gan": {"latent_size": 2, "generator_units": (8,), "discriminator_units": (8,)},
}
# Bright ones: whatever is computed in 8 bits is darker than all of them.
IMAGES = np.random.default_rng(0).integers(500, LEVELS, (96, 4, 4, 1), "uint16")


@pytest.mark.parametrize("name", MODELS)
def test_models_train_on_all_levels_and_sample_beyond_256(name, tmp_path):
    kgen.set_seed(0)
    model = kgen.models.create(name, **SIZE, **MODELS[name])
    assert model.space == Pixels((4, 4, 1), LEVELS)
    model.compile()
    before = None if model.likelihood is None else model.log_prob(IMAGES).mean()
    history = model.fit(IMAGES, batch_size=16, epochs=3, verbose=0).history
    assert np.isfinite(list(history.values())).all()
    samples = model.sample(32, seed=0)
    # Keras on PyTorch, which computes little in uint16, makes int32 of it.
    assert samples.dtype == {"torch": "int32"}.get(backend.name(), "uint16")
    assert samples.min() >= 0
    assert 256 < samples.max() < LEVELS
    if model.likelihood is not None:
        assert model.log_prob(IMAGES).mean() > before
        assert np.isfinite(model.log_prob(samples)).all()  # its samples are images to it
    kgen.save(model, tmp_path)
    assert np.array_equal(kgen.load(tmp_path).sample(32, seed=0), samples)


def test_a_pixelcnn_learns_which_of_many_levels_there_are():
    """Ten of 600: after training nearly all that it draws is one of them."""
    kgen.set_seed(0)
    model = kgen.models.create("pixelcnn", **SIZE, **MODELS["pixelcnn"])
    model.compile()
    chosen = np.arange(300, LEVELS, 30)
    images = np.random.default_rng(1).choice(chosen, (320, 4, 4, 1)).astype("uint16")
    model.fit(images, batch_size=16, epochs=10, verbose=0)
    assert np.isin(model.sample(64, seed=0), chosen).mean() > 0.9


def test_levels_that_the_model_does_not_know_are_refused():
    model = kgen.models.create("vae", **SIZE, **MODELS["vae"])
    model.compile()
    with pytest.raises(KgenError, match=r"Expected values 0..599 .* received up to 700"):
        model.fit(IMAGES + np.uint16(700) - IMAGES.max(), verbose=0)
    with pytest.raises(KgenError, match="Expected uint16 images"):
        model.fit(IMAGES.astype("uint8"), verbose=0)
