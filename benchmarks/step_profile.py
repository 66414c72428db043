"""Whose code a training step on PyTorch spends its time in.

    KERAS_BACKEND=torch python benchmarks/step_profile.py --models vae glow

On JAX and TensorFlow a step is one compiled call; PyTorch's operations are called one by one, from
Python. Its profiler slows every call of a Python function and no operation: the shares of Python
code are upper bounds, and the seconds of an unprofiled step stand beside them. The figures go to
`benchmarks/records/step_profile-torch.json`.
"""

import argparse
import cProfile
import pstats
import time
from collections import Counter

import kgen
from benchmarks import measuring

PACKAGES = ("keras", "torch", "kgen", "numpy")
BATCH_SIZE = 64


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["vae", "dcgan", "pixelcnn", "glow"])
    parser.add_argument("--steps", type=int, default=30)
    options = parser.parse_args()
    record = measuring.record_of(options)
    for name in options.models:
        case = profiled(name, options.steps)
        shares = [f"{owner} {share:.0%}" for owner, share in case["shares"].items()]
        print(f"{name}: {1000 * case['seconds_per_step']:.1f} ms a step; {', '.join(shares)}")
        record["cases"].append({"model": name, **case})
    measuring.write(record, "step_profile")


def profiled(name, steps):
    """Seconds of a step, and {owner: share of the profiled time}, the largest first."""
    data = kgen.data.load("mnist")
    model = kgen.models.create(name, data)
    model.compile()
    images = data.train.images[: steps * BATCH_SIZE]
    labels = data.train.labels[: steps * BATCH_SIZE]

    def train():
        started = time.perf_counter()
        model.fit(images, labels, batch_size=BATCH_SIZE, verbose=0)
        return (time.perf_counter() - started) / steps

    train()  # compiles
    seconds = train()
    profile = cProfile.Profile()
    profile.runcall(train)
    own = Counter()
    for (path, _, function), (_, _, seconds_of_its_own, *_) in pstats.Stats(profile).stats.items():
        own[owner(path, function)] += seconds_of_its_own
    return {
        "seconds_per_step": seconds,
        "shares": {name: time / own.total() for name, time in own.most_common(5)},
    }


def owner(path, function):
    """Who wrote a function: PyTorch's operations, a package's Python code, or Python's own."""
    if path == "~":  # written in C
        return "operations" if "torch" in function else "built-in functions"
    parts = path.split("/")
    return next((f"Python code of {name}" for name in PACKAGES if name in parts), "other")


if __name__ == "__main__":
    main()
