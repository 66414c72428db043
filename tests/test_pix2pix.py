"""pix2pix: its patches, losses and gradients against closed forms, its U-Net, its translations."""

import functools

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy import special

import kgen
from kgen.errors import KgenError

DIGITS = kgen.data.load("digits:edges")
PATCHES = (16, 34, 70)
MARGIN = 20  # pixels beside a patch


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def model_of(image_shape=(12, 9, 1), source_shape=(12, 9, 2), **settings):
    """Of odd sides, other channels and other levels than its sources."""
    kgen.set_seed(0)
    settings = {"levels": 17, "source_levels": 5, "base_channels": 2, "patch": 16, **settings}
    return kgen.Pix2Pix(image_shape, source_shape=source_shape, **settings)


def pairs_of(model, count=4):
    """Targets and sources, whole numbers."""
    draw = np.random.default_rng(0).integers
    shapes = (model.image_shape, model.levels), (model.source_shape, model.source_levels)
    return [draw(levels, size=(count, *shape)).astype("uint8") for shape, levels in shapes]


def scaled(targets, sources):
    """In [-1, 1], float32."""
    return [(part / most * 2 - 1).astype("float32") for part, most in ((targets, 16), (sources, 4))]


def losses_of(model, targets, sources):
    """(D's loss, its terms, G's loss, its terms) in NumPy, from the networks' outputs."""
    b, a = scaled(targets, sources)
    fakes = numpy(model.generator(a))
    real, fake = (numpy(model.discriminator([a, x])) for x in (b, fakes))
    sigmoid = special.expit
    return (
        -0.5 * (np.mean(np.log(sigmoid(real))) + np.mean(np.log(1 - sigmoid(fake)))),
        {"real_accuracy": np.mean(real > 0), "fake_accuracy": np.mean(fake < 0)},
        -np.mean(np.log(sigmoid(fake))) + 100 * np.mean(np.abs(b - fakes)),
        {"l1": np.mean(np.abs(b - fakes))},
    )


# === Networks ===


@functools.cache
def without_normalisation(patch):
    """D without the layers that let every pixel of an image matter a little, nor biases."""
    shape = (patch + MARGIN, patch + MARGIN, 1)
    model = model_of(shape, shape, patch=patch)

    def plain(layer):
        if isinstance(layer, layers.GroupNormalization):
            return layers.Identity()
        return layer.__class__.from_config(layer.get_config())

    network = keras.models.clone_model(model.discriminator, clone_function=plain)
    for variable in network.trainable_variables:
        variable.assign(np.full(variable.shape, float(len(variable.shape) == 4)))
    return network


@pytest.mark.parametrize("patch", PATCHES)
def test_a_logit_sees_a_patch_of_the_target_and_of_the_source(patch):
    """Of every pixel in turn, by rows and columns: which change the logit in the middle."""
    network = without_normalisation(patch)
    size, middle = patch + MARGIN, (network.output_shape[1] - 1) // 2
    lines = np.zeros((size, size, size, 1), "float32")
    lines[np.arange(size), np.arange(size)] = 1.0  # image i: row i is bright
    for changed in ([lines, 0 * lines], [0 * lines, lines]):
        for images in (changed, [part.swapaxes(1, 2) for part in changed]):
            logits = numpy(network(images))[:, middle, middle, 0]
            assert np.count_nonzero(logits) == patch


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (9, 13, 3), (64, 8, 3)], ids=str)
def test_the_generator_makes_targets_of_every_size(shape):
    model = model_of(shape, (*shape[:2], 2))
    sources = pairs_of(model, 2)[1]
    made = model.sample(condition=sources)
    assert (made.shape, made.dtype) == ((2, *shape), np.uint8)
    halved = [layer.output.shape[1:3] for layer in model.generator.layers]
    assert min(map(min, halved)) == 2


def test_every_resolution_is_passed_on_to_the_decoder():
    """The skips: with all that the bottom gives the decoder at 0, sources still matter."""
    model = model_of((16, 16, 1), (16, 16, 1))
    joined = [layer for layer in model.generator.layers if isinstance(layer, layers.Concatenate)]
    assert [layer.output.shape[1:3] for layer in joined] == [(4, 4), (8, 8)]
    lowest = next(x for x in model.generator.layers if type(x).__name__ == "UpsampleConv")
    lowest.kernel.assign(np.zeros(lowest.kernel.shape))
    outputs = numpy(model.generator(np.random.default_rng(0).normal(size=(2, 16, 16, 1))))
    assert not np.allclose(outputs[0], outputs[1], atol=1e-6)


def test_kernels_are_drawn_as_in_the_paper():
    model = model_of((32, 32, 3), (32, 32, 3), base_channels=16)
    kernels = [v for v in model.trainable_variables if len(v.shape) == 4]
    drawn = np.concatenate([numpy(kernel).ravel() for kernel in kernels])
    assert len(kernels) == 11
    assert drawn.std() == pytest.approx(0.02, rel=0.02)


# === Losses ===


def test_losses_are_the_papers():
    model = model_of()
    for variable in model.trainable_variables:  # logits that are not all near 0
        variable.assign(np.random.default_rng(1).normal(0, 0.3, variable.shape))
    targets, sources = pairs_of(model)
    pairs = model.scale(targets), model.scale_sources(sources)
    found = [*model.discriminator_loss(*pairs), *model.generator_loss(*pairs)]
    for received, expected in zip(found, losses_of(model, targets, sources), strict=True):
        received = keras.tree.map_structure(lambda x: float(numpy(x)), received)
        assert received == pytest.approx(expected, rel=1e-4)


def test_a_discriminator_that_cannot_tell_has_a_loss_of_log_2():
    model = model_of()
    for variable in model.discriminator.trainable_variables:
        variable.assign(np.zeros(variable.shape))
    pairs = [ops.convert_to_tensor(part) for part in scaled(*pairs_of(model))]
    assert float(model.discriminator_loss(*pairs)[0]) == pytest.approx(np.log(2), rel=1e-5)
    loss, terms = model.generator_loss(*pairs)
    assert float(loss) == pytest.approx(np.log(2) + 100 * float(terms["l1"]), rel=1e-5)


def test_without_adversarial_weight_the_generators_loss_is_l1():
    model = model_of(adversarial_weight=0.0, l1_weight=3.0)
    loss, terms = model.generator_loss(*map(ops.convert_to_tensor, scaled(*pairs_of(model))))
    assert float(loss) == pytest.approx(3 * float(terms["l1"]))


def test_l1_alone_learns_the_median_of_targets_that_fit_one_source():
    """Of the levels 0, 2, 2, 3, 16: neither the mean 4.6 nor the middle of the range."""
    model = model_of((8, 8, 1), (8, 8, 1), adversarial_weight=0.0, base_channels=4)
    targets = np.repeat(np.array([0, 2, 2, 3, 16], "uint8"), 64).reshape(5, 8, 8, 1)
    sources = np.zeros((5, 8, 8, 1), "uint8")
    model.compile({name: keras.optimizers.Adam(0.01) for name in model.players})
    model.fit(targets, sources, batch_size=5, epochs=150, shuffle=False, verbose=0)
    assert np.abs(model.sample(condition=sources[:1]).astype(int) - 2).max() <= 1


# === Training and translation ===


def test_it_learns_to_translate_edges_into_digits():
    """Better than the mean of all digits, which L1 would give without the sources."""
    model = kgen.models.create("pix2pix", DIGITS, base_channels=8, patch=16)
    train, test = DIGITS.train, DIGITS.test.limit(200)
    model.compile({name: keras.optimizers.Adam(0.002, beta_1=0.5) for name in model.players})
    model.fit(train.x[:640], train.condition[:640], batch_size=16, epochs=8, verbose=0)
    made = model.sample(condition=test.condition)
    mean = np.broadcast_to(np.median(train.x, axis=0), test.x.shape)
    found = kgen.metrics.pair_figures(made, test.x, 17)
    assert found["l1"] < 0.8 * kgen.metrics.pair_figures(mean, test.x, 17)["l1"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"source_shape": (12, 8, 1)}, ["one height and width", "(12, 8, 1)"]),
        ({"image_shape": (7, 9, 1), "source_shape": (7, 9, 1)}, ["from 8"]),
        ({"l1_weight": 0.0, "adversarial_weight": 0.0}, ["0 for both"]),
        ({"patch": 17}, ["16 or 34 or 70", "17"]),
        ({"l1_weight": -1.0}, ["l1_weight", "-1.0"]),
    ],
)
def test_impossible_arguments_are_refused(settings, words):
    with pytest.raises(KgenError) as refusal:
        model_of(**settings)
    assert all(word in str(refusal.value) for word in words)
