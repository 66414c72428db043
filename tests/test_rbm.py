"""The restricted Boltzmann machine against enumeration of all its states."""

import keras
import numpy as np
import pytest
from keras import ops
from machines import log_joint, model_of, random, states
from scipy.special import expit, logsumexp
from sklearn.neural_network import BernoulliRBM

import kgen
from kgen import backend, fit
from kgen.models.energy import partition
from kgen.models.energy.rbm import RBM
from kgen.testing.comparing import array, same

DATA = kgen.data.load("digits:static")
HEIGHT, WIDTH = 3, 4  # of images small enough to enumerate


def images_of(v):
    return v.reshape(-1, HEIGHT, WIDTH, 1).astype("uint8")


def exact_log_probs(model):
    """log p(v) of all images, (2^pixels,), from the joint distribution of both layers."""
    joint = log_joint(model.energy())
    return logsumexp(joint, axis=1) - logsumexp(joint)


# === The model's distribution ===


def test_probabilities_of_all_images_sum_to_one():
    model = model_of()
    log_probs = model.log_prob(images_of(states(12)))
    np.testing.assert_allclose(log_probs, exact_log_probs(model), atol=1e-8)
    assert np.exp(log_probs).sum() == pytest.approx(1, abs=1e-8)


def test_conditionals_are_those_of_the_joint_distribution():
    model = model_of()
    joint, v, h = np.exp(log_joint(model.energy())), states(12), states(5)
    hidden = joint @ h / joint.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.encode(images_of(v)), hidden, atol=1e-5)
    visible = joint.T @ v / joint.sum(axis=0)[:, None]
    logits = array(model.visible_inputs(ops.convert_to_tensor(h.astype("float32"))))
    np.testing.assert_allclose(expit(logits), visible, atol=1e-5)


def test_a_centred_machine_is_a_plain_one_of_other_parameters():
    """b - W l and c - m W in place of b and c."""
    centred, plain = model_of(), model_of(centred=False)
    kernel, pixel_means, hidden_means = map(array, (centred.kernel, *centred.centres))
    plain.visible_bias.assign(array(centred.visible_bias) - kernel @ hidden_means)
    plain.hidden_bias.assign(array(centred.hidden_bias) - pixel_means @ kernel)
    v, h = (ops.convert_to_tensor(states(size).astype("float32")) for size in (12, 5))
    images = images_of(states(12))

    def found(model):
        inputs = model.hidden_inputs(v)
        free_energies = array(model.free_energies(v, inputs))
        return {
            "h given v": expit(array(inputs)),
            "v given h": expit(array(model.visible_inputs(h))),
            "differences in training": free_energies - free_energies[0],
            "free energies": model.free_energy(images),
            "log p(v)": model.log_prob(images),
        }

    expected = found(plain)
    for name, values in found(centred).items():
        np.testing.assert_allclose(values, expected[name], atol=1e-4, err_msg=name)


def test_new_centres_leave_the_distribution():
    model = model_of()
    model.images_seen.assign(50.0)
    model.batch_means.assign(np.full(5, 0.9))
    before, centres = exact_log_probs(model), list(map(array, model.centres))
    model.recentre(ops.convert_to_tensor(states(12)[::7].astype("float32")))
    np.testing.assert_allclose(exact_log_probs(model), before, atol=1e-4)
    assert not any(map(same, map(array, model.centres), centres))


def test_hidden_probabilities_are_scikit_learns():
    model, images = model_of(), images_of(states(12)[::5])
    energy, theirs = model.energy(), BernoulliRBM(5)
    theirs.components_, theirs.intercept_hidden_ = energy.kernel.T, energy.hidden_bias
    np.testing.assert_allclose(
        model.latents(images), theirs.transform(images.reshape(-1, 12)), atol=1e-6
    )


def test_reconstructions_are_the_more_probable_pixels_given_hidden_probabilities():
    model, images = model_of(), images_of(states(12)[::5])
    energy, hidden = model.energy(), model.encode(images)
    expected = images_of(hidden @ energy.kernel.T + energy.visible_bias > 0)
    assert same(model.reconstruct(images), expected)


# === Training ===


def gradients_of(model, loss):
    variables = model.trainable_variables
    function = backend.compiled(
        model, lambda: backend.value_and_grad(model, lambda: (loss(), {}), variables)[1]
    )
    return np.concatenate([array(gradient).ravel() for gradient in function()])


@pytest.mark.parametrize(("centred", "persistent"), [(True, False), (False, True)])
def test_many_gibbs_steps_have_the_gradient_of_the_likelihood(centred, persistent):
    settings = {"persistent": persistent, "gibbs_steps": 12, "chains": 4096}
    model = model_of(scale=0.7, centred=centred, **settings)
    data = images_of(states(12)[np.random.default_rng(0).integers(0, 300, 4096)])
    every = ops.convert_to_tensor(states(12).astype("float32"))

    def negative_log_likelihood():
        visible = model.flat(ops.convert_to_tensor(data))
        free_energies = model.free_energies(every, model.hidden_inputs(every))
        log_z = ops.logsumexp(-free_energies)
        return ops.mean(model.free_energies(visible, model.hidden_inputs(visible))) + log_z

    exact = gradients_of(model, negative_log_likelihood)
    found = gradients_of(
        model, lambda: model.objective(ops.convert_to_tensor(data), None, False)[0]
    )
    cosine = exact @ found / (np.linalg.norm(exact) * np.linalg.norm(found))
    assert cosine > 0.99
    assert np.linalg.norm(found) == pytest.approx(np.linalg.norm(exact), rel=0.1)


def test_the_pseudo_likelihood_is_that_of_a_pixel_given_all_others(monkeypatch):
    model, v = model_of(), states(12)[::3]
    log_probs = exact_log_probs(model).reshape([2] * 12)
    for pixel in (0, 7, 11):
        first = (pixel + 0.5) / 12
        monkeypatch.setattr(model, "uniform", lambda shape, first=first: ops.ones(shape) * first)
        visible = ops.convert_to_tensor(v.astype("float32"))
        inputs = model.hidden_inputs(visible)
        found = model.pseudo_likelihood(visible, inputs, model.free_energies(visible, inputs))
        numbers = np.floor((first + np.arange(len(v)) / len(v)) % 1.0 * 12 + 1e-6).astype(int)
        of_pixels = [log_probs - logsumexp(log_probs, axis=i, keepdims=True) for i in range(12)]
        rows = v.astype(int)
        chosen = [of_pixels[i][tuple(row)] for i, row in zip(numbers, rows, strict=True)]
        assert float(array(found)) == pytest.approx(-12 * np.mean(chosen), abs=1e-3)


def trained(images=DATA.train.images, epochs=1, rate=0.05, **settings):
    kgen.set_seed(0)
    model = RBM((8, 8, 1), hidden_units=16, **settings)
    model.compile(keras.optimizers.SGD(rate))
    model.fit(images, batch_size=64, epochs=epochs, verbose=0)
    return model


def test_the_visible_bias_begins_at_the_base_rates_of_the_first_batch():
    images = DATA.train.images[:64]
    energy = trained(images, rate=1e-9)  # as good as no update
    rates = (images.reshape(64, -1).mean(axis=0) + 0.05) / 1.1
    np.testing.assert_allclose(expit(energy.energy().base_bias), rates, atol=1e-6)
    np.testing.assert_allclose(expit(array(energy.visible_bias)), rates, atol=1e-5)


def test_pixel_means_are_those_of_all_images():
    images = DATA.train.images
    found = array(trained(images, epochs=2).pixel_means)
    np.testing.assert_allclose(found, images.reshape(len(images), -1).mean(axis=0), atol=1e-5)


def test_persistent_chains_go_on_and_others_are_the_last_negative_samples():
    for persistent, chains in ((True, 30), (False, 100)):
        model = trained(DATA.train.images[:64], persistent=persistent, chains=chains)
        kept = array(model.chain_states).reshape(chains, -1)
        assert kept.shape == (chains, 64)
        assert kept[:30].any(axis=1).all()
        assert kept[64:].any() == 0  # only 64 samples were drawn


def test_a_sparsity_target_is_approached():
    free, sparse = (trained(epochs=3, sparsity=sparsity) for sparsity in (0.0, 5.0))
    means = [model.latents(DATA.test.images).mean() for model in (free, sparse)]
    assert means[0] > 0.3
    assert means[1] < 0.2


def test_weight_decay_shrinks_the_weights():
    sizes = [np.square(array(trained(weight_decay=w).kernel)).sum() for w in (0.0, 1.0)]
    assert sizes[1] < 0.5 * sizes[0]


def test_images_that_are_not_binary_are_refused():
    with pytest.raises(kgen.KgenError, match=r"levels=2\), received levels=17: load binary"):
        kgen.models.create("rbm", kgen.data.load("digits"))


def test_a_side_that_is_none_is_refused():
    model = RBM((HEIGHT, WIDTH, 1), hidden_units=4)
    with pytest.raises(
        kgen.KgenError, match="Expected side to be 'lower' or 'upper', received 'Lo"
    ):
        model.log_prob(np.zeros((1, HEIGHT, WIDTH, 1), "uint8"), side="Lower")


# === Chains ===


def distance(images, probabilities):
    """Total variation between images (n, 3, 4, 1) and probabilities of all, (4096,)."""
    numbers = images.reshape(len(images), -1).astype(int) @ (2 ** np.arange(12)[::-1])
    shares = np.bincount(numbers, minlength=2**12) / len(images)
    return np.abs(shares - probabilities).sum() / 2


def test_samples_are_distributed_as_log_prob_says():
    model = model_of(scale=2.0)
    probabilities = np.exp(exact_log_probs(model))
    generator, count = np.random.default_rng(0), 8000
    drawn = states(12)[generator.choice(2**12, count, p=probabilities)]
    expected = distance(images_of(drawn), probabilities)  # of exact draws
    assert distance(model.sample(count, seed=0, steps=100), probabilities) < 1.15 * expected
    uniform = np.full(2**12, 2.0**-12)
    assert distance(model.sample(count, seed=0, steps=100), uniform) > 2 * expected


def test_completions_are_distributed_given_the_known_pixels():
    model, generator, count = model_of(scale=2.0), np.random.default_rng(1), 8000
    mask = generator.random((HEIGHT, WIDTH)) < 0.6
    image = images_of(states(12)[[1234]])
    fits = (images_of(states(12)) == image)[..., 0][:, ~mask].all(axis=1)
    probabilities = np.where(fits, np.exp(exact_log_probs(model)), 0)
    probabilities /= probabilities.sum()
    drawn = states(12)[generator.choice(2**12, count, p=probabilities)]
    expected = distance(images_of(drawn), probabilities)
    found = model.complete(np.repeat(image, count, axis=0), mask, seed=0, steps=100)
    assert distance(found, probabilities) < 1.5 * expected + 0.005


# === Estimates and pictures ===


def test_log_z_is_estimated_once_for_the_same_weights(monkeypatch):
    model, asked = model_of(), []
    monkeypatch.setattr(
        "kgen.models.energy.base.log_partition",
        lambda *_: asked.append(1) or partition.Partition(1.0, 3.0, {}),
    )
    images = images_of(states(12)[:3])
    lower, upper = (model.log_prob(images, side=side) for side in ("lower", "upper"))
    np.testing.assert_allclose(upper - lower, 2.0)
    assert len(asked) == 1
    model.kernel.assign(random(12, 5, seed=9))
    model.log_prob(images)
    assert len(asked) == 2


def test_a_run_draws_filters_and_chains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["--model", "rbm", "--data", "digits:static", "--limit", "64", "--epochs", "1"]
    fit.main([*arguments, "--batch-size", "32", "--out", "run", "--set", "hidden_units=9"])
    assert {path.name for path in (tmp_path / "run").glob("*.png")} >= {"filters.png", "chains.png"}
    found = kgen.load("run/model").pictures()
    assert found["filters"].shape == (9, 8, 8, 1)
    assert found["chains"].shape == (10, 10, 8, 8, 1)
    for images in found.values():
        assert 0 <= images.min() < images.max() <= 1
