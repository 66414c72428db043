"""One case, measured by pytest-benchmark: training, sampling, and how good the model became.

    KERAS_BACKEND=jax pytest benchmarks --benchmark-only --model dcgan --data mnist --budget quick

The tests run in this order, on one model. Each timed call ends when the device has computed it.
"""

import os
import time

import pytest

from benchmarks.harness.cases import SAMPLING_SECONDS
from benchmarks.native import MODELS, VARIANTS
from benchmarks.speed import profiling


def test_training(benchmark, subject):
    """Seconds of a round: a number of steps, one `fit` long."""
    steps = subject.steps_of_a_round()
    benchmark.extra_info |= {
        "cold_start": subject.cold_start,
        "steps": steps,
        "images_per_step": subject.case.batch_size,
    }
    with subject.training() as train:
        benchmark.pedantic(train, args=(steps,), rounds=subject.budget.rounds, warmup_rounds=1)


def test_profile(benchmark, subject):
    """Seconds of a `fit` as long as a round, and whose code they are spent in."""
    steps = subject.steps_of_a_round()
    benchmark.pedantic(subject.train, args=(steps,), rounds=1)
    benchmark.extra_info["profile"] = profiling.shares(lambda: subject.train(steps))


@pytest.mark.parametrize("variant", sorted({name for v in VARIANTS.values() for name in v}))
def test_against_native(benchmark, subject, variant):
    """Seconds of a round by turns with one of the native code, on batches alike.

    And with one of the compiled step in a bare loop: what it takes longer than native code is the
    step's own, the rest is `fit`'s. A turn begins with a step that is not timed: after another's
    turn it takes longer.
    """
    case, variants = subject.case, VARIANTS[subject.case.backend]
    if case.model not in MODELS or variant not in variants:
        pytest.skip(f"{case.model} has no native code of that kind on {case.backend}")
    if case.budget == "test" and variant != next(iter(variants)):
        pytest.skip("the others compile for a minute")
    native = subject.native(variants[variant])

    def train_native(batches):
        for batch in batches:
            native.step(batch)
        native.synchronise()

    others = {"native": train_native, "step": subject.bare_loop}
    steps, seconds = subject.steps_of_a_round(), {name: [] for name in others}
    for train_other in others.values():
        train_other(subject.batches(steps))  # compiles
    rounds = subject.budget.rounds
    with subject.training() as train:

        def turns_of_the_others():
            for name, train_other in others.items():
                train_other(subject.batches(1))
                batches = subject.batches(steps)
                started = time.perf_counter()
                train_other(batches)
                seconds[name].append(time.perf_counter() - started)
            train(1)

        settings = {"setup": turns_of_the_others, "rounds": rounds, "warmup_rounds": 1}
        benchmark.pedantic(train, args=(steps,), **settings)
    timed = {name: samples[-rounds:] for name, samples in seconds.items()}
    benchmark.extra_info |= {"variant": variant, **timed}


@pytest.mark.parametrize("count", [1, 8, 64])
def test_sampling(benchmark, subject, count):
    """Seconds of `sample(count)`."""
    if not subject.model.can_sample:
        pytest.skip(f"{subject.case.model} has no samples")
    benchmark.extra_info["count"] = count
    subject.sample(count)  # compiles
    calls = calls_in_time(subject, count)
    benchmark.pedantic(
        subject.sample, args=(count,), rounds=calls, warmup_rounds=subject.budget.warm_ups
    )


def calls_in_time(subject, count):
    """As many calls as the budget wants, fewer where they would take too long, at least three."""
    started = time.perf_counter()
    subject.sample(count)
    seconds = time.perf_counter() - started
    most = int(SAMPLING_SECONDS[subject.case.budget] / seconds)
    return max(3, min(subject.budget.calls, most))


def test_quality(benchmark, subject):
    """Seconds of training for the budget, and what the model is worth after it."""
    from kgen import backend

    trained = benchmark.pedantic(
        subject.train_for, args=(subject.budget.training_seconds,), rounds=1
    )
    device = backend.device()
    benchmark.extra_info |= {
        "steps": trained[0],
        "quality": subject.quality(),
        "samples": subject.picture(),
        "parameters": int(subject.model.count_params()),
        "settings": subject.model.get_config(),
        "peak_memory": {
            "process_bytes": peak_of_the_process(),
            "device_bytes": backend.peak_memory(),
        },
        "environment": {
            "backend": backend.name(),
            "device": device,
            "threads": {
                name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY")
            },
            "float32_matmul": "highest" if device == "cpu" else "the framework's own",
        },
    }


def peak_of_the_process():
    from kgen.backend.process import process_peak_memory

    return process_peak_memory()
