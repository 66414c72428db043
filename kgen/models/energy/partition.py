"""The log-partition function of a restricted Boltzmann machine, from both sides, in float64 NumPy.

Ruslan Salakhutdinov, Iain Murray: On the Quantitative Analysis of Deep Belief Networks. 2008,
doi:10.1145/1390156.1390266. Annealed importance sampling (AIS) draws states from a base-rate model
A, whose partition function is known, and moves them through intermediate models to the machine B:

    log f_t(v) = (1 - t) a.v + t b.v + sum_j softplus(t (c_j + (v W)_j)),   t from 0 to 1
    log w = sum over k of log f_t(k)(v_k) - log f_t(k-1)(v_k),   v_k+1 ~ one Gibbs step at t(k)
    log Z_B = log Z_A + log mean w

The mean of w is unbiased, so by Jensen's inequality log Z_B comes out too small on average, and
log p(x) too large. The same steps in reverse, from samples of B to A, give log Z_A - log Z_B. The
log Z_B that follows comes out too large on average, if the samples are those of the machine (Yuri
Burda, Roger Grosse, Ruslan Salakhutdinov: Accurate and Conservative Estimates of MRF Log-likelihood
using Reverse Annealing. 2014, arXiv:1412.8566). The truth lies between the two, in expectation.

Deviation from Burda et al., whose chains start at each test image: here they start at samples of
the machine, so that one estimate of log Z serves all images.
"""

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from kgen.training import in_chunks

MOST_ENUMERATED = 20  # units of the smaller layer: 2^20 states
STATES_PER_CHUNK = 4096  # of an enumeration
RUNS, RUNS_PER_CHUNK = 100, 100  # of annealing
BURN_IN = 1000  # Gibbs steps before the reverse runs
# The published 14,500 steps, finer towards 1.
TEMPERATURES = np.concatenate(
    [np.linspace(0, 0.5, 501)[:-1], np.linspace(0.5, 0.9, 4001)[:-1], np.linspace(0.9, 1, 10_001)]
)


class Energy(NamedTuple):
    """The parameters of E(v, h) = -b.v - c.h - v W h, and of the base-rate model, float64.

    Attributes:
        kernel: W (visible, hidden).
        visible_bias: b (visible,).
        hidden_bias: c (hidden,).
        base_bias: a (visible,), logits of the base-rate model's independent pixels.
    """

    kernel: np.ndarray
    visible_bias: np.ndarray
    hidden_bias: np.ndarray
    base_bias: np.ndarray

    def free_energy(self, visible):
        """F(v) = -log sum over h of exp(-E(v, h)), in nats, (n,), of states (n, visible)."""
        inputs = visible @ self.kernel + self.hidden_bias
        return -visible @ self.visible_bias - softplus(inputs).sum(axis=1)


@dataclass(frozen=True)
class Partition:
    """An estimate of log Z from both sides; equal if it was computed exactly.

    Attributes:
        lower: log Z by annealed importance sampling, in nats.
        upper: log Z by reverse annealing, in nats.
        settings: how it was found: {"method": "enumeration"}, or the numbers of runs and of
            temperatures, and the effective sample size of the runs' weights in each direction.
    """

    lower: float
    upper: float
    settings: dict


def softplus(x):
    """log(1 + exp(x)); NumPy's logaddexp takes twice as long."""
    return np.maximum(x, 0.0) + np.log(1.0 + np.exp(-np.abs(x)))


def sigmoid(x):
    """1 / (1 + exp(-x)); SciPy's expit takes four times as long."""
    with np.errstate(over="ignore"):  # exp(-x) = inf gives 0
        return 1.0 / (1.0 + np.exp(-x))


def log_partition(energy, chains, seed=0):
    """The `Partition` of an `Energy`: exact for up to 20 units in one layer, else by annealing."""
    if min(energy.kernel.shape) <= MOST_ENUMERATED:
        exact = enumerated(energy)
        return Partition(exact, exact, {"method": "enumeration"})
    return by_annealing(energy, chains, seed)


def by_annealing(energy, chains, seed=0, temperatures=TEMPERATURES, runs=RUNS):
    """The `Partition` of an `Energy` by annealed importance sampling, forwards and in reverse.

    Args:
        energy: an `Energy`.
        chains: states (n, visible) of 0 and 1 near samples of the machine; the reverse runs start
            where these are after 1000 Gibbs steps.
        seed: of all noise.
        temperatures: inverse temperatures, rising from 0 to 1.
        runs: number of runs in each direction.
    """
    visible, hidden = energy.kernel.shape
    generator = np.random.default_rng(seed)
    log_z_base = softplus(energy.base_bias).sum() + hidden * np.log(2.0)
    start = generator.random((runs, visible)) < sigmoid(energy.base_bias)
    forward = annealed(energy, start, temperatures, generator)[1]
    chains = np.resize(chains, (runs, visible))  # repeats them, or takes the first ones
    samples = annealed(energy, chains, np.ones(BURN_IN + 1), generator)[0]
    backward = annealed(energy, samples, temperatures[::-1], generator)[1]
    return Partition(
        float(log_z_base + log_mean_exp(forward)),
        float(log_z_base - log_mean_exp(backward)),
        {
            "method": "annealing",
            "runs": runs,
            "temperatures": len(temperatures) - 1,
            "effective_sample_size": effective_sample_size(forward),
            "reverse_effective_sample_size": effective_sample_size(backward),
            "seed_of_runs": seed,
        },
    )


def enumerated(energy):
    """log Z exactly, in nats: the sum over all states of the smaller layer."""
    kernel, bias, summed_bias, _ = energy
    if kernel.shape[0] < kernel.shape[1]:
        kernel, bias, summed_bias = kernel.T, summed_bias, bias
    units, total = kernel.shape[1], -np.inf
    for first in range(0, 2**units, STATES_PER_CHUNK):
        numbers = np.arange(first, min(first + STATES_PER_CHUNK, 2**units))
        states = (numbers[:, None] >> np.arange(units) & 1).astype("float64")
        terms = states @ summed_bias + softplus(states @ kernel.T + bias).sum(axis=1)
        total = np.logaddexp(total, logsumexp(terms))
    return float(total)


def annealed(energy, states, temperatures, generator):
    """Move states through models at `temperatures`, by one Gibbs step at each but the first.

    Returns:
        (states (n, visible), log weights (n,)): mean exp(log weight) estimates the ratio of the
        last model's partition function to the first model's.
    """
    states = np.asarray(states, "float64")
    return in_chunks(
        lambda part: _annealed(energy, part, temperatures, generator), states, size=RUNS_PER_CHUNK
    )


def _annealed(energy, states, temperatures, generator):
    kernel, visible_bias, hidden_bias, base_bias = energy
    log_weights = np.zeros(len(states))
    for here, there in itertools.pairwise(temperatures):
        inputs = states @ kernel + hidden_bias
        if here != there:
            hidden_part = softplus(there * inputs) - softplus(here * inputs)
            visible_part = states @ (visible_bias - base_bias)
            log_weights += (there - here) * visible_part + hidden_part.sum(axis=1)
        hidden = drawn(there * inputs, generator)
        inputs = there * (hidden @ kernel.T + visible_bias) + (1.0 - there) * base_bias
        states = drawn(inputs, generator)
    return states, log_weights


def drawn(logits, generator):
    """Independent draws of 0 and 1, float64."""
    return (generator.random(logits.shape) < sigmoid(logits)).astype("float64")


def log_mean_exp(log_weights):
    return logsumexp(log_weights) - np.log(len(log_weights))


def effective_sample_size(log_weights):
    """(sum w)^2 / sum w^2: from 1, where one run has all the weight, to the number of runs."""
    return float(np.exp(2.0 * logsumexp(log_weights) - logsumexp(2.0 * log_weights)))
