"""The native baselines of the benchmarks compute what kgen computes: the losses and the steps."""

import functools
import itertools

import keras
import numpy as np
import pytest

import kgen
from benchmarks.native import MODELS, VARIANTS, create, weights_of

BACKEND = keras.backend.backend()
STEPS, BATCH_SIZE = 4, 16
TOLERANCE = 2e-5  # relative; rounding leaves 5e-6, another epsilon in a Glow's Adam 6e-5
SMALL_VAE = {"latent_size": 4, "hidden": (16, 8)}
SMALL_UNET = {"base_channels": 4, "multipliers": (1, 2, 3), "blocks": 2, "attention": 2}
CASES = {  # (model, its settings)
    "vae binary": ("vae", {"image_shape": (8, 8, 1), "levels": 2, **SMALL_VAE}),
    "vae": ("vae", {"image_shape": (8, 8, 3), "levels": 17, **SMALL_VAE}),
    "dcgan": (
        "dcgan",
        {"image_shape": (14, 10, 1), "levels": 17, "latent_size": 4, "base_channels": 4},
    ),
    "pixelcnn": ("pixelcnn", {"image_shape": (8, 8, 1), "levels": 17, "features": 8, "blocks": 1}),
    "pixelcnn binary": (
        "pixelcnn",
        {"image_shape": (8, 8, 1), "levels": 2, "features": 8, "blocks": 1},
    ),
    "glow": (
        "glow",
        {"image_shape": (8, 8, 3), "levels": 17, "scales": 2, "depth": 1, "base_channels": 4},
    ),
    "edm": ("edm", {"image_shape": (7, 10, 3), "levels": 17, **SMALL_UNET}),
}
NORMAL, UNIFORM = "standard_normal", "random"


def noise_of(name, settings):
    """What a model draws in a step, in order: [(shape, kind)]."""
    latents = BATCH_SIZE, settings.get("latent_size")
    images = BATCH_SIZE, *settings["image_shape"]
    return {
        "vae": [(latents, NORMAL)],
        "dcgan": [(latents, NORMAL)] * 2,
        "pixelcnn": [],
        "glow": [(images, UNIFORM)],
        "edm": [(images, UNIFORM), ((1,), UNIFORM), (images, NORMAL)],
    }[name]


def digits(image_shape, levels):
    """Batches (STEPS, BATCH_SIZE, *image_shape) of 8x8 digits, enlarged and coloured to fit."""
    images = kgen.data.load("digits").train.images  # (n, 8, 8, 1) of 17 levels
    height, width, channels = image_shape
    images = images.repeat(-(-height // 8), axis=1).repeat(-(-width // 8), axis=2)
    images = images[:, :height, :width]
    images = images if levels == 17 else (images > 8).astype("uint8")
    images = np.concatenate(
        [np.roll(images, colour, axis=0) for colour in range(channels)], axis=-1
    )
    return images[: STEPS * BATCH_SIZE].reshape(STEPS, BATCH_SIZE, *image_shape)


class Noise:
    """A model's noise, drawn by NumPy before each step.

    It lies in variables of the model: compiled steps know no other arrays that change.

    Args:
        model: draws from here what it would draw itself.
        draws: see `noise_of`.
    """

    def __init__(self, model, draws):
        generator = np.random.default_rng(1)
        self.kinds = [getattr(generator, kind) for _, kind in draws]
        self.variables = [
            keras.Variable(np.zeros(shape, "float32"), trainable=False) for shape, _ in draws
        ]
        model.noise = self.variables  # tracked
        ahead = itertools.cycle(self.variables)
        model.normal = model.uniform = lambda shape: keras.ops.convert_to_tensor(next(ahead))

    def next(self):
        """New noise for the next step."""
        kinds = zip(self.kinds, self.variables, strict=True)
        drawn = [draw(tuple(variable.shape), "float32") for draw, variable in kinds]
        for variable, values in zip(self.variables, drawn, strict=True):
            variable.assign(values)
        return drawn


def scatter(model):
    """Random weights from NumPy: layers that start at zero hide what stands before them."""
    generator = np.random.default_rng(0)
    for variable in model.trainable_variables:
        shape = tuple(variable.shape)
        fan_in = np.prod(shape[:-1]) if len(shape) > 1 else 100
        start = variable.numpy() if len(shape) == 1 else 0.0
        drawn = generator.standard_normal(shape) / np.sqrt(fan_in)
        variable.assign((start + drawn).astype("float32"))


@functools.cache
def trained(case, **arguments):
    """A baseline, the weights it started from, and losses {term: [before each step]} of kgen and
    of the baseline, from equal weights on equal images and noise."""
    name, settings = CASES[case]
    kgen.set_seed(0)  # for a Glow's rotations
    model = kgen.models.create(name, **settings)
    scatter(model)
    noise = Noise(model, noise_of(name, settings))
    model.compile()
    weights = weights_of(model)
    baseline = create(name, BACKEND, **settings, **arguments)
    baseline.load(weights)
    ours, theirs = [], []
    for images in digits(settings["image_shape"], settings["levels"]):
        drawn = noise.next()
        model.reset_metrics()
        ours.append(model.train_on_batch(images, return_dict=True))
        theirs.append(baseline.step(images, *drawn))
    losses = [
        {term: np.array([float(step[term]) for step in steps]) for term in theirs[0]}
        for steps in (ours, theirs)
    ]
    return baseline, weights, *losses


every_case = pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[pytest.mark.slow] if "binary" in case else []) for case in CASES],
)


@every_case
def test_the_losses_of_equal_weights_are_equal(case):
    *_, ours, theirs = trained(case)
    for term in theirs:
        np.testing.assert_allclose(theirs[term][0], ours[term][0], rtol=TOLERANCE, err_msg=term)


@every_case
def test_the_losses_after_each_step_are_equal(case):
    *_, ours, theirs = trained(case)
    for term in theirs:
        np.testing.assert_allclose(theirs[term], ours[term], rtol=TOLERANCE, err_msg=term)


@pytest.mark.slow
@every_case
@pytest.mark.parametrize("variant", list(VARIANTS[BACKEND])[1:])
def test_compiled_baselines_compute_the_same(case, variant):
    *_, ours, theirs = trained(case, **VARIANTS[BACKEND][variant])
    for term in theirs:
        np.testing.assert_allclose(theirs[term], ours[term], rtol=TOLERANCE, err_msg=term)


@pytest.mark.parametrize("case", ["vae", "dcgan", "glow", "edm"])
def test_every_step_draws_noise_anew(case):
    baseline, weights, *_ = trained(case)
    settings = CASES[case][1]
    images = digits(settings["image_shape"], settings["levels"])[0]
    first, second = {}, {}
    for losses in (first, second):
        baseline.load(weights)
        losses.update({term: float(value) for term, value in baseline.step(images).items()})
    constant = {"kl"}  # of the weights only
    assert all(first[term] != second[term] for term in set(first) - constant)


def test_every_model_with_a_baseline_has_a_case():
    assert {name for name, _ in CASES.values()} == set(MODELS)
