"""Training for hours does not grow in memory, as far as 3,000 steps show it."""

import json
import os
import subprocess
import sys

import memory
import pytest

on_linux = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")

# Per step: 0.1 GB in a million of them. Measured on Linux, on the three backends, both models: 4 to
# 20 bytes (the history and the points are part of it) and no object. A batch here is 2 KiB.
BYTES, OBJECTS = 100, 0.01


def measured(*arguments):
    result = subprocess.run(
        [sys.executable, memory.__file__, *arguments],
        # One heap for all threads: TensorFlow's get theirs now and then, half a megabyte each.
        env={**os.environ, "PYTHONPATH": os.getcwd(), "MALLOC_ARENA_MAX": "1"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    print(result.stderr, result.stdout)
    return json.loads(result.stdout.splitlines()[-1])


@on_linux
@pytest.mark.slow
@pytest.mark.parametrize("name", ["vae", "gan"])
def test_three_thousand_steps_do_not_grow(name):
    growth = measured(name)
    assert growth["bytes"] <= BYTES
    assert growth["objects"] <= OBJECTS


@on_linux
@pytest.mark.slow
@pytest.mark.parametrize("leak", ["bytes", "objects"])
def test_a_leak_is_found(leak):
    """A callback keeps 256 bytes at every step, or an object at every twentieth."""
    assert measured("vae", leak)[leak] > {"bytes": BYTES, "objects": OBJECTS}[leak]


@on_linux
@pytest.mark.slow
@pytest.mark.parametrize("name", ["vae", "lsgan"])
def test_a_model_loaded_again_and_again_grows_less_than_one_of_keras(name):
    """On TensorFlow Keras' takes a megabyte, as `kgen.load` did, which takes a third of it now."""
    growth = measured("--load", name)
    assert growth["load"] <= max(growth["keras"] / 2, 150_000)


def test_growth_is_what_goes_on():
    steady = [(1000 * epoch, 5 * epoch) for epoch in range(memory.EPOCHS)]
    assert memory.growth(steady) == {"bytes": 10.0, "objects": 0.05}
    warming_up = [(1000 * min(epoch, memory.WARM_UP), 7) for epoch in range(memory.EPOCHS)]
    assert memory.growth(warming_up) == {"bytes": 0, "objects": 0}
    one_step_up = [(10**6 * (epoch > 25), 7) for epoch in range(memory.EPOCHS)]
    assert memory.growth(one_step_up) == {"bytes": 0, "objects": 0}
