"""Interpolation and traversal, on a model whose latents are its pixels, and with SciPy."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy.spatial import geometric_slerp

import kgen
from kgen import KgenError
from kgen.analysis.latent import interpolate, traverse, usage

SHAPE = (2, 2, 1)


class Pixels:
    """Latents are the four pixels themselves."""

    encodes, decodes, latent_size = True, True, 4
    can_sample, picture_arguments = False, {}

    def latents(self, images, condition=None):
        return images.reshape(-1, 4).astype("float32")

    def decode(self, latents, condition=None):
        self.decoded = latents
        return np.clip(np.round(latents), 0, 255).astype("uint8").reshape(-1, *SHAPE)


class Sampled(Pixels):
    """Samples vary by 0, 1, 10 and 100 levels from one to the next."""

    can_sample = True

    def sample(self, count, condition, seed):
        return pictures(*[[9, i % 2, 10 * (i % 2), 100 * (i % 2)] for i in range(count)])


class Conditional(Pixels):
    def latents(self, images, condition):
        self.encoded = condition
        return super().latents(images)

    def decode(self, latents, condition):
        self.decoded_for = condition
        return super().decode(latents)


def pictures(*rows):
    return np.array(rows, "uint8").reshape(-1, *SHAPE)


def test_linear_interpolation_is_the_mixture_of_both_ends():
    first, second = pictures([0, 0, 40, 8], [8, 8, 8, 8]), pictures([80, 8, 0, 8], [0, 0, 0, 0])
    images = interpolate(Pixels(), first, second, steps=5)
    assert images.shape == (2, 5, *SHAPE)
    expected = [[0, 0, 40, 8], [20, 2, 30, 8], [40, 4, 20, 8], [60, 6, 10, 8], [80, 8, 0, 8]]
    assert images[0].reshape(5, 4).tolist() == expected
    assert images[1].reshape(5, 4).tolist() == [[value] * 4 for value in (8, 6, 4, 2, 0)]


def test_spherical_interpolation_is_scipys():
    start, end = np.random.default_rng(0).normal(size=(2, 4))
    start, end = (vector / np.linalg.norm(vector) for vector in (start, end))
    model = Pixels()
    model.latents = lambda images, _: {1: start, 2: end}[int(images.ravel()[0])][None]
    ends = pictures([1] * 4), pictures([2] * 4)
    interpolate(model, *ends, steps=7, kind="spherical")
    expected = geometric_slerp(start, end, np.linspace(0, 1, 7))
    np.testing.assert_allclose(model.decoded, expected, atol=1e-6)


@pytest.mark.parametrize("factor", [1, 3])
def test_spherical_interpolation_of_one_direction_is_linear(factor):
    first = pictures([10, 20, 30, 40])
    images = interpolate(Pixels(), first, factor * first, steps=3, kind="spherical")
    assert images[0, 1].ravel().tolist() == (first.ravel() * (1 + factor) // 2).tolist()


def test_spherical_interpolation_from_zero_is_finite():
    images = interpolate(Pixels(), pictures([0] * 4), pictures([8] * 4), 3, "spherical")
    assert images[0, 1].ravel().tolist()[0] in range(4, 7)


def test_traversing_one_dimension_leaves_the_others():
    images = traverse(Pixels(), pictures([9, 8, 7, 6])[0], 2, values=[0, 50, 100])
    assert images.reshape(-1, 4).tolist() == [[9, 8, 0, 6], [9, 8, 50, 6], [9, 8, 100, 6]]
    assert images.shape == (1, 3, *SHAPE)


def test_traversing_two_dimensions_makes_rows_and_columns():
    images = traverse(Pixels(), None, (3, 0), values=[1, 2])
    assert images.shape == (2, 2, *SHAPE)
    assert images.reshape(2, 2, 4)[..., 3].tolist() == [[1, 1], [2, 2]]  # rows: dimension 3
    assert images.reshape(2, 2, 4)[..., 0].tolist() == [[1, 2], [1, 2]]
    assert not images.reshape(2, 2, 4)[..., 1:3].any()


def test_usage_is_the_variance_over_images():
    images = pictures([0, 5, 1, 0], [0, 5, 3, 8], [0, 5, 5, 4])
    assert usage(Pixels(), images) == pytest.approx([0, 0, 8 / 3, 32 / 3])


def test_usage_of_a_vae_is_the_activity_of_burda_and_others():
    """The variance of the posterior mean; exactly 0 where the posterior knows nothing of x."""
    model = kgen.VAE((8, 8, 1), levels=17, latent_size=3, hidden=(8,))
    last = model.encoder.layers[-1]
    _, bias = last.get_weights()
    kernel = np.random.default_rng(0).normal(size=(8, 6))  # 3 means, 3 log variances
    kernel[:, 1] = 0
    last.set_weights([kernel, bias])
    images = kgen.data.load("digits").test.images[:100]
    used = usage(model, images)
    mean, _ = model.encode(images)
    np.testing.assert_allclose(used, mean.var(axis=0), rtol=1e-4, atol=1e-10)
    assert used[1] < 1e-10
    assert used[0] > 0.01
    assert used[2] > 0.01
    grid = traverse(model, images[0])  # not by dimension 1
    medians = model.sample(500, seed=0, mode="median")
    expected = traverse(model, images[0], usage(model, medians).argsort()[:0:-1])
    np.testing.assert_array_equal(grid, expected)


def test_the_two_most_used_dimensions_are_turned_by_default():
    images = traverse(Sampled(), pictures([9, 8, 7, 6])[0], values=[1, 2])
    expected = traverse(Sampled(), pictures([9, 8, 7, 6])[0], (3, 2), values=[1, 2])
    assert images.tolist() == expected.tolist()
    assert images.reshape(2, 2, 4)[0, 1].tolist() == [9, 8, 2, 1]


def test_the_condition_is_that_of_the_samples_whose_use_is_measured():
    model = kgen.CVAE(image_shape=(8, 8, 1), levels=17, latent_size=3, hidden=(8,), classes=4)
    image = kgen.data.load("digits").test.images[0]
    own = np.full(500, 2)
    samples = model.sample(500, own, seed=0, mode="median")
    dimensions = usage(model, samples, own).argsort()[::-1][:2]
    np.testing.assert_array_equal(
        traverse(model, image, condition=[2]), traverse(model, image, dimensions, condition=[2])
    )


def test_of_one_dimension_that_one_is_turned():
    model = kgen.VAE((8, 8, 1), levels=17, latent_size=1, hidden=(8,))
    assert traverse(model, None).shape == (1, 9, 8, 8, 1)


def test_a_model_that_cannot_sample_is_told_its_dimensions():
    model = kgen.Autoencoder((8, 8, 1), levels=17, latent_size=3, hidden=(8,))
    with pytest.raises(KgenError, match=r"cannot sample.*dimensions=kgen\.latent\.usage"):
        traverse(model, None)


def test_conditions_follow_their_rows():
    model = Conditional()
    interpolate(model, pictures([1] * 4, [2] * 4), pictures([3] * 4, [4] * 4), 3, condition=[7, 5])
    assert list(model.encoded) == [7, 5]
    assert list(model.decoded_for) == [7, 7, 7, 5, 5, 5]
    traverse(model, pictures([1] * 4)[0], (0, 1), values=[1, 2], condition=[4])
    assert list(model.decoded_for) == [4, 4, 4, 4]
    parts = {"red": np.array([1.0, 0.0]), "size": np.array([3, 4])}
    interpolate(model, pictures([1] * 4, [2] * 4), pictures([3] * 4, [4] * 4), 2, condition=parts)
    assert {name: list(part) for name, part in model.decoded_for.items()} == {
        "red": [1, 1, 0, 0],
        "size": [3, 3, 4, 4],
    }


def test_latents_of_a_model_that_only_decodes_are_interpolated():
    model = Pixels()
    model.encodes = False
    images = interpolate(model, np.float32([[0, 2, 4, 6]]), np.float32([[8, 2, 0, 6]]), steps=3)
    assert images[0].reshape(3, 4).tolist() == [[0, 2, 4, 6], [4, 2, 2, 6], [8, 2, 0, 6]]
    with pytest.raises(KgenError, match="with latents"):
        interpolate(model, pictures([1] * 4), pictures([2] * 4))
    model.can_sample = True
    with pytest.raises(KgenError, match=r"cannot encode.*dimensions=\(0, 1\)"):
        traverse(model, None)


def test_rows_become_a_picture(tmp_path):
    rows = traverse(Pixels(), None, (0, 1), values=range(0, 250, 50))
    kgen.pictures.save_grid(tmp_path / "grid.png", rows[:2], levels=256)
    width, height = Image.open(tmp_path / "grid.png").size
    assert width // height == 2  # two rows of five


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        ("'spherical'", lambda: interpolate(Pixels(), pictures(*[[1] * 4]), None, kind="slow")),
        ("2 steps", lambda: interpolate(Pixels(), pictures([1] * 4), pictures([1] * 4), steps=1)),
        ("1 and 2", lambda: interpolate(Pixels(), pictures([1] * 4), pictures([1] * 4, [2] * 4))),
        ("0..3", lambda: traverse(Pixels(), None, 4)),
        ("0..3", lambda: traverse(Pixels(), None, (0, -1))),
        ("different", lambda: traverse(Pixels(), None, (1, 1))),
        ("0..3", lambda: traverse(Pixels(), None, (0, 1, 2))),
        ("0..3", lambda: traverse(Pixels(), None, 0.5)),
    ],
)
def test_mistakes_are_named(words, mistake):
    with pytest.raises(KgenError, match=words):
        mistake()


def test_a_model_without_latents_is_refused():
    blind = SimpleNamespace(encodes=False, decodes=False, latent_size=4)
    with pytest.raises(KgenError, match="decodes latents"):
        interpolate(blind, pictures([1] * 4), pictures([1] * 4))
    with pytest.raises(KgenError, match="decodes latents"):
        traverse(blind, None, 0)
    with pytest.raises(KgenError, match="decodes latents"):
        traverse(blind, None)
    with pytest.raises(KgenError, match="with latents"):
        usage(blind, pictures([1] * 4))
