"""Time cached sampling against the plain loop, on the backend of KERAS_BACKEND.

    KERAS_BACKEND=jax python -m benchmarks.studies.autoregressive_sampling

16 binary images 28x28 by the models of `CASES`. The plain loop passes all images
through the whole network for every pixel, compiled where the backend compiles, and draws that
pixel; it is timed for `--pixels` of the 784, by turns with the cached sampler, and scaled up to all
of them. The ratio is that of the medians, with its 95 % bootstrap interval. The raw samples go to
`benchmarks/records/autoregressive_sampling-<backend>.json`.
"""

import argparse
import time

import numpy as np
from keras import ops

import kgen
from benchmarks.harness.ratios import paired_ratio
from benchmarks.studies.measuring import COLUMNS, record_of, write
from kgen import backend

IMAGES, SHAPE = 16, (28, 28, 1)
CASES = {
    "pixelcnn": {"features": 64, "blocks": 7},
    "gated_pixelcnn": {"features": 64, "blocks": 7},
    "pixelrnn": {"features": 32, "blocks": 7},
    "fvsbn": {},
    "nade": {"hidden": 500},
    "made": {"hidden": (8000,)},
    "image_transformer": {"features": 32, "blocks": 4},
}


def plain_loop(model):
    """A function that draws the given pixels of images (n, height, width, 1), in place."""

    def draw(images, uniform, row, column):
        parameters = model.parameters_of(images)
        return model.likelihood_distribution.sample(parameters[:, row, column], uniform)

    draw = backend.compiled(model, draw)

    def loop(images, uniform, pixels):
        for row, column in pixels:
            place = np.int32(row), np.int32(column)
            drawn = draw(images, uniform[:, row, column], *place)
            images[:, row, column] = ops.convert_to_numpy(drawn)

    return loop


def measure(model, warm_ups, repeats, pixels):
    """Seconds of every repeat, for all pixels: {"plain": [...], "cached": [...]}."""
    loop, generator = plain_loop(model), np.random.default_rng(0)
    places = list(np.ndindex(SHAPE[:2]))
    seconds = {"plain": [], "cached": []}
    for repeat in range(warm_ups + repeats):
        images = generator.integers(0, 2, (IMAGES, *SHAPE)).astype("uint8")
        uniform = generator.random(images.shape, "float32")
        start = time.perf_counter()
        loop(images, uniform, places[:pixels])
        middle = time.perf_counter()
        model.sample(IMAGES, seed=repeat)
        end = time.perf_counter()
        seconds["plain"].append((middle - start) * len(places) / pixels)
        seconds["cached"].append(end - middle)
    return {name: samples[warm_ups:] for name, samples in seconds.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--warm-ups", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--pixels", type=int, default=28, help="of the plain loop, default 28")
    options = parser.parse_args()
    record = record_of(options)
    print(f"{backend.name()} {backend.version()} on {backend.device()}")
    print(COLUMNS.format("model", "plain ms", "cached ms", "ratio [95 % interval]"))
    for name, settings in CASES.items():
        model = kgen.models.create(name, image_shape=SHAPE, levels=2, **settings)
        seconds = measure(model, options.warm_ups, options.repeats, options.pixels)
        ratio, low, high = paired_ratio(seconds["plain"], seconds["cached"])
        medians = [f"{1000 * np.median(samples):.1f}" for samples in seconds.values()]
        print(COLUMNS.format(name, *medians, f"{ratio:.0f} [{low:.0f}, {high:.0f}]"), flush=True)
        record["cases"].append({"model": name, "settings": settings, "seconds": seconds})
    write(record, "autoregressive_sampling")


if __name__ == "__main__":
    main()
