"""The log-partition function of restricted Boltzmann machines against enumeration."""

import functools

import numpy as np
import pytest
from machines import log_joint, model_of, random, random_energy, states
from scipy.special import expit, logsumexp

import kgen
from kgen.models.energy import partition
from kgen.models.energy.partition import annealed, by_annealing, enumerated
from kgen.testing.comparing import array


def strong_energy(hidden):
    """30 pixels, and weights so large that a few temperatures are too few."""
    return random_energy(30, hidden)._replace(kernel=random(30, hidden, scale=0.7))


def annealed_at(temperatures, monkeypatch):
    """Anneal at so many temperatures from 0 to 1, in 20 runs, where none are asked for."""
    settings = {"temperatures": np.linspace(0, 1, temperatures), "runs": 20}
    monkeypatch.setattr(partition, "by_annealing", functools.partial(by_annealing, **settings))


# === Enumeration ===


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (1, 3)])
def test_enumeration_sums_over_all_states_of_both_layers(shape):
    energy = random_energy(*shape)
    assert enumerated(energy) == pytest.approx(logsumexp(log_joint(energy)), abs=1e-10)


def test_enumeration_is_the_same_in_chunks(monkeypatch):
    energy = random_energy(20, 10)
    expected = enumerated(energy)
    monkeypatch.setattr(partition, "STATES_PER_CHUNK", 100)
    assert enumerated(energy) == pytest.approx(expected, abs=1e-10)


# === Annealing ===


def test_weights_of_annealing_are_unbiased_in_both_directions():
    """However few temperatures: forwards from the base rates, in reverse from exact samples."""
    energy, temperatures = random_energy(9, 6), np.linspace(0, 1, 6)
    generator, runs = np.random.default_rng(0), 40_000
    log_ratio = enumerated(energy) - np.logaddexp(0, energy.base_bias).sum() - 6 * np.log(2)
    log_probs = -energy.free_energy(states(9)) - enumerated(energy)
    samples = states(9)[generator.choice(2**9, runs, p=np.exp(log_probs))]
    start = generator.random((runs, 9)) < expit(energy.base_bias)
    for first, order, expected in ((start, 1, log_ratio), (samples, -1, -log_ratio)):
        weights = np.exp(annealed(energy, first, temperatures[::order], generator)[1] - expected)
        error = weights.std() / np.sqrt(runs)
        assert weights.std() > 0.1  # it has something to correct
        assert error < 0.05
        assert abs(weights.mean() - 1) < 4 * error


def test_weights_of_annealing_have_the_digits_of_float64():
    """One step from the base-rate model to the machine has the ratio of their f as its weight."""
    energy, images = random_energy(9, 6), states(9).astype("uint8")
    drawn, log_weights = annealed(energy, images, np.array([0.0, 1.0]), np.random.default_rng(0))
    expected = logsumexp(log_joint(energy), axis=1) - images @ energy.base_bias - 6 * np.log(2)
    assert drawn.dtype == log_weights.dtype == "float64"
    np.testing.assert_allclose(log_weights, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("hidden", [10, 13, 16])
def test_many_temperatures_find_the_exact_log_partition_function_from_both_sides(hidden):
    energy, temperatures = strong_energy(hidden), np.linspace(0, 1, 301)
    found = by_annealing(energy, np.zeros((1, 30)), 0, temperatures, runs=200)
    exact = enumerated(energy)
    assert found.lower == pytest.approx(exact, abs=0.15)
    assert found.upper == pytest.approx(exact, abs=0.15)
    assert found.settings["runs"] == 200
    assert 1 < found.settings["effective_sample_size"] < 200


@pytest.mark.parametrize("hidden", [10, 13, 16])
def test_few_temperatures_enclose_the_exact_log_partition_function(hidden):
    """Jensen's inequality: with two runs, too small by the one and too large by the other."""
    energy = strong_energy(hidden)
    few = [
        by_annealing(energy, np.zeros((1, 30)), seed, np.linspace(0, 1, 6), runs=2)
        for seed in range(60)
    ]
    errors = np.array([(found.lower, found.upper) for found in few]) - enumerated(energy)
    noise = errors.std(axis=0) / np.sqrt(len(few))
    assert errors[:, 0].mean() < -4 * noise[0]
    assert errors[:, 1].mean() > 4 * noise[1]


def test_runs_in_chunks_are_as_many_and_each_its_own(monkeypatch):
    monkeypatch.setattr(partition, "RUNS_PER_CHUNK", 8)
    energy, temperatures = random_energy(30, 13), np.linspace(0, 1, 301)
    found = by_annealing(energy, np.zeros((1, 30)), 0, temperatures, runs=60)
    exact = enumerated(energy)
    assert (found.lower, found.upper) == pytest.approx((exact, exact), abs=0.15)
    assert found.settings["runs"] == 60
    start = np.zeros((60, 30))
    drawn, log_weights = annealed(energy, start, temperatures[::30], np.random.default_rng(0))
    assert len(np.unique(drawn, axis=0)) == 60
    assert len(np.unique(log_weights)) == 60


@pytest.mark.parametrize(
    ("weights", "expected"),
    [([5, 5, 5, 5], 4), ([1e9, 1, 1, 1], 1), ([1, 0, 0], 1), ([1, 2, 3], 36 / 14)],
)
def test_the_effective_sample_size_is_that_of_weights_up_to_a_factor(weights, expected):
    """(sum of w)^2 / sum of w^2, even for a factor that float64 cannot hold."""
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights)
    for factor in (-2000, 0, 2000):
        found = partition.effective_sample_size(log_weights + factor)
        assert found == pytest.approx(expected, rel=1e-6)


def test_the_published_temperatures():
    assert len(partition.TEMPERATURES) == 14_501
    assert (np.diff(partition.TEMPERATURES) > 0).all()
    assert partition.TEMPERATURES[[0, 500, 4500, -1]] == pytest.approx([0, 0.5, 0.9, 1])


# === From a model to annealing ===


@pytest.mark.parametrize(
    ("image_shape", "hidden", "method"),
    [
        ((5, 5, 1), 20, "enumeration"),
        ((5, 5, 1), 21, "annealing"),
        ((4, 5, 1), 25, "enumeration"),
        ((3, 7, 1), 25, "annealing"),
    ],
)
def test_up_to_20_units_of_a_layer_are_enumerated(image_shape, hidden, method, monkeypatch):
    annealed_at(2, monkeypatch)
    found = model_of(hidden, image_shape).log_partition()
    assert found.settings["method"] == method
    assert (found.lower == found.upper) == (method == "enumeration")


def test_a_model_of_many_units_is_annealed_and_evaluated_from_both_sides(monkeypatch):
    """24 hidden units, 12 of them without weights: the sum over their states has a closed form."""
    annealed_at(201, monkeypatch)
    model, used = model_of(24, (5, 5, 1), scale=0.7), np.arange(24) < 12
    model.kernel.assign(array(model.kernel) * used)
    energy = model.energy()
    small = energy._replace(kernel=energy.kernel[:, used], hidden_bias=energy.hidden_bias[used])
    exact = enumerated(small) + np.logaddexp(0, energy.hidden_bias[~used]).sum()
    assert {part.dtype for part in energy} == {np.dtype("float64")}

    found, noise = model.log_partition(), 0.2  # nats
    assert found.settings["method"] == "annealing"
    assert (found.settings["runs"], found.settings["temperatures"]) == (20, 200)
    assert found.lower != found.upper
    assert (found.lower, found.upper) == pytest.approx((exact, exact), abs=noise)

    images = np.random.default_rng(0).integers(0, 2, (30, 5, 5, 1), "uint8")
    free_energies = energy.free_energy(images.reshape(30, 25).astype("float64"))
    lower, upper = (model.log_prob(images, side=side) for side in ("lower", "upper"))
    np.testing.assert_allclose(lower, -free_energies - found.upper, atol=1e-8)
    np.testing.assert_allclose(upper, -free_energies - found.lower, atol=1e-8)
    assert (lower < upper + noise).all()

    result = kgen.evaluation.likelihood(model, kgen.data.Split(images), samples=1)
    assert result["likelihood"] == "estimate"
    assert result["log_partition"] == [found.lower, found.upper]
    assert result["negative_log_prob_nats"] == pytest.approx(-lower.mean())
    assert result["optimistic_negative_log_prob_nats"] == pytest.approx(-upper.mean())
