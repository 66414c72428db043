"""Models in Keras' own formats: files, exports, and what is found in a new process."""

import importlib
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers, ops

import kgen
from kgen import backend, registration
from kgen.testing.comparing import array, assert_same, refused, same, state_of

SETTINGS = {"image_shape": (8, 8, 1), "levels": 17, "latent_size": 2}
CLASSES = 4


def vae(seed=0):
    kgen.set_seed(seed)
    return kgen.VAE(**SETTINGS, hidden=(8,))


def cgan():
    kgen.set_seed(0)
    units = {"generator_units": (8,), "discriminator_units": (8,)}
    return kgen.CGAN(**SETTINGS, classes=CLASSES, ema=0.9, **units)


# === In a new process ===


def test_files_are_read_in_a_process_that_has_imported_kgen_only(tmp_path):
    """Before Keras or after it: neither has imported the classes that the files name."""
    model, game = vae(), kgen.DCGAN(**SETTINGS, base_channels=4, spectral_normalization=True)
    model.compile()
    game.compile()
    saved = {"vae": model, "dcgan": game, "g": game.generator, "d": game.discriminator}
    for name, each in saved.items():
        each.save(tmp_path / f"{name}.keras")
    program = (
        "import sys, kgen, keras\n"
        "assert not [finder for finder in sys.meta_path if 'kgen' in type(finder).__module__]\n"
        f"for name in {list(saved)}:\n"
        "    print(type(keras.saving.load_model(name + '.keras')).__name__)\n"
        "print(keras.saving.load_model('vae.keras').seed)"
    )
    root = str(Path(kgen.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": root}
    for text in (program, program.replace("kgen, keras", "keras, kgen")):
        command = [sys.executable, "-c", text]
        run = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
        found = subprocess.run(command, **run)
        expected = ["VAE", "DCGAN", "Sequential", "Sequential", str(model.seed)]
        assert found.stdout.split() == expected, found.stderr


def test_every_class_that_kgen_registers_is_known_by_name():
    named = {f"kgen>{name}" for name in registration.homes()}
    for module in set(registration.homes().values()):
        importlib.import_module(module)
    registered = keras.saving.get_custom_objects()
    own = {name for name, value in registered.items() if name.startswith("kgen>")}
    assert own == named
    assert not [n for n in own if isinstance(registered[n], registration.Placeholder)]


# === Seeds ===


class Dropping(kgen.VAE):
    """With noise of a layer, too."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.drop = layers.Dropout(0.5)

    def apply_encoder(self, images, condition=None, training=False):
        return super().apply_encoder(images, condition, training) + self.drop(
            ops.ones((1, 1)), training=training
        )


def test_the_seeds_of_layers_are_kept(tmp_path):
    kgen.set_seed(0)
    model, other = (Dropping(**SETTINGS, hidden=(8,)) for _ in range(2))
    model.drop(np.ones((2, 3)), training=True)
    model.save_weights(tmp_path / "x.weights.h5")
    other.load_weights(tmp_path / "x.weights.h5")
    assert_same(state_of(other), state_of(model))
    assert sum("seed_generator" in name for name in state_of(model)) == 2


def test_a_file_without_seeds_is_read(tmp_path):
    """As earlier versions of kgen wrote them: the model keeps a seed of its own."""
    model, other = vae(), vae(seed=1)
    model.save_weights(tmp_path / "x.weights.h5")
    with h5py.File(tmp_path / "x.weights.h5", "a") as file:
        del file["vars/seeds"]
    before = other.seed
    other.load_weights(tmp_path / "x.weights.h5")
    assert other.seed == before
    assert same(array(other.weights[0].value), array(model.weights[0].value))


def test_the_seeds_of_another_model_are_refused(tmp_path):
    vae().save_weights(tmp_path / "x.weights.h5")
    with h5py.File(tmp_path / "x.weights.h5", "a") as file:
        del file["vars/seeds"]
        file["vars/seeds"] = np.zeros((3, 2), "int64")
    with pytest.raises(ValueError, match="Expected 1 seeds of 2 numbers in the file"):
        vae().load_weights(tmp_path / "x.weights.h5")


# === Optimizers ===


def as_pytorch_writes(optimizer):
    """How Keras serialises Adam there."""
    written = keras.saving.serialize_keras_object(optimizer)
    module = "keras.src.backend.torch.optimizers.torch_adam"
    return {**written, "module": module, "registered_name": "Adam"}


def test_optimizers_from_pytorch_are_those_of_the_backend():
    adam = keras.optimizers.Adam(0.25)
    for model, optimizer in (
        (vae(), keras.optimizers.Adam(0.25)),
        (cgan(), {player: keras.optimizers.Adam(0.25) for player in kgen.CGAN.players}),
    ):
        model.compile(optimizer)
        config = model.get_compile_config()
        if model.players:
            members = config["optimizer"]["config"]["members"]
            members.update({player: as_pytorch_writes(adam) for player in members})
        else:
            config["optimizer"] = as_pytorch_writes(adam)
        model.compile_from_config(config)
        for member in getattr(model.optimizer, "members", {"": model.optimizer}).values():
            assert type(member) is type(adam)
            assert float(array(member.learning_rate)) == 0.25


# === Samplers ===


def latents_and_labels():
    """Those that `sample(5, seed=0)` draws."""
    latents = np.random.default_rng(0).standard_normal((5, 2), "float32")
    return latents, (np.arange(5) % CLASSES).astype("int32")


def papers_samples(model):
    """What a sampler makes of these."""
    return model.sample(5, seed=0, **model.picture_arguments)


@pytest.mark.skipif(
    backend.name() == "torch" or find_spec("tensorflow") is None,
    reason="Keras writes a SavedModel by TensorFlow, from models on TensorFlow and JAX",
)
@pytest.mark.filterwarnings("ignore:The `native_serialization`")  # Keras' call of jax2tf
@pytest.mark.parametrize("create", [vae, cgan])
def test_a_sampler_becomes_a_saved_model(create, tmp_path):
    import tensorflow as tf

    model, (latents, labels) = create(), latents_and_labels()
    model.sampler().export(tmp_path / "exported", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "exported")
    for count in (5, 3):  # in batches of any size
        inputs = [latents[:count], labels[:count]] if model.condition_space else latents[:count]
        assert same(loaded.serve(inputs).numpy(), papers_samples(model)[:count])


@pytest.mark.skipif(backend.name() != "torch", reason="torch.export is PyTorch's")
@pytest.mark.parametrize("create", [vae, cgan])
def test_a_sampler_is_exported_by_torch(create, tmp_path):
    import torch

    model, inputs = create(), [torch.tensor(part) for part in latents_and_labels()]
    arguments = (inputs,) if model.condition_space else (inputs[0],)
    torch.export.save(torch.export.export(model.sampler(), arguments), tmp_path / "sampler.pt2")
    program = torch.export.load(tmp_path / "sampler.pt2").module()
    assert same(program(*arguments).numpy(), papers_samples(model))


def test_a_sampler_has_the_averaged_weights():
    model = cgan()
    for average in model.averages.values:
        average.assign(disturbed(array(average.value)))
    inputs = list(latents_and_labels())
    received = array(model.sampler()(inputs))
    last = array(model.to_levels(model.generator(inputs, training=False)))
    for weight in model.generator.weights:
        weight.assign(array(model.averages.of(weight).value))
    expected = array(model.to_levels(model.generator(inputs, training=False)))
    assert same(received, expected)
    assert not same(last, expected)


# === Dtype policies and scaled losses ===


def disturbed(weight):
    """Kernels moved a little, or the couplings of a flow would be the identity in any precision."""
    noise = np.random.default_rng(weight.size).normal(0.0, 0.05, weight.shape)
    return (weight + noise).astype("float32") if weight.ndim > 1 else weight


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("vae", {"latent_size": 2, "hidden": (8,)}),
        ("vae", {"latent_size": 2, "architecture": "conv", "base_channels": 4}),
        ("pixelcnn", {"features": 8, "blocks": 1}),
        ("glow", {"scales": 2, "depth": 1, "base_channels": 4}),
    ],
)
def test_losses_in_mixed_precision_are_near_those_in_float32(name, settings, policy):
    images = kgen.data.load("digits").train.images[:32]
    losses, weights = [], None
    for dtype in ("float32", "mixed_bfloat16"):
        policy(dtype)
        kgen.set_seed(0)
        model = kgen.models.create(name, image_shape=(8, 8, 1), levels=17, **settings)
        weights = weights or [disturbed(weight) for weight in model.get_weights()]
        model.set_weights(weights)
        loss, _ = model.objective(ops.convert_to_tensor(images), None, False)
        losses.append(float(array(loss)))
    assert losses[1] == pytest.approx(losses[0], rel=0.01)
    assert losses[1] != losses[0]


def test_a_configuration_of_another_policy_is_refused():
    config = {**vae().get_config(), "dtype": "float16"}
    with refused("float32 or mixed_bfloat16", "'float16'"):
        kgen.VAE.from_config(config)


SCALED = {
    "LossScaleOptimizer": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()),
    "loss_scale_factor": lambda: keras.optimizers.Adam(loss_scale_factor=128.0),
}


@pytest.mark.parametrize("name", SCALED)
def test_a_scaled_loss_is_refused_when_it_is_set(name):
    with refused("without loss scaling", name):
        vae().compile(SCALED[name]())
    with refused("without loss scaling", name):
        cgan().compile({"discriminator": "adam", "generator": SCALED[name]()})
