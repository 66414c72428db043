"""Time training steps and convolutions with and without huge pages for large buffers.

    KERAS_BACKEND=jax python -m benchmarks.studies.huge_pages [--cases pixelcnn ...]

Both sides of a case, `kgen/huge_pages.py` and glibc's defaults, have a process of their own, and
run by turns. A step is that of training, batch 64, on images of 28x28 pixels, or the forward and
backward pass of one convolution. A ratio above 1 says that huge pages are faster: it is the median
over rounds of each round's ratio, with its 95 % bootstrap interval; then the same of processor
time, which other processes disturb less. Page faults are those of a step; peak memory is that of
the whole process. The raw samples go to `benchmarks/records/huge_pages-<backend>.json`.
"""

import argparse
import contextlib
import os

import numpy as np

from benchmarks.harness.ratios import paired_ratio
from benchmarks.harness.turns import Subject, by_turns, serve
from benchmarks.studies.measuring import record_of, write
from kgen import backend, huge_pages, models

BATCH = 64
MODELS = {  # {case: (model, levels, settings)}
    "vae": ("vae", 256, {}),
    "dcgan": ("dcgan", 256, {}),
    "glow": ("glow", 256, {}),
    "pixelcnn": ("pixelcnn", 256, {}),
    "pixelcnn_15x32": ("pixelcnn", 2, {"features": 32, "blocks": 15}),
    "gated_pixelcnn": ("gated_pixelcnn", 256, {}),
}
CONVOLUTIONS = {"convolution_32": 32, "convolution_64": 64}  # {case: channels in and out}
CASES = (*CONVOLUTIONS, *MODELS)
COLUMNS = "{:<16} {:>9} {:>9}  {:<18} {:<18} {:>9} {:>9} {:>9} {:>9}"
TIMES = {"seconds": "ratio", "processor_seconds": "of processor time"}
HEADING = ("case", "without", "with ms", *TIMES.values(), "faults", "with", "peak MiB", "with")


def training(name, levels, settings):
    """A function that trains a model for a number of steps."""
    from benchmarks.speed.bare import bare_loop

    model = models.get(name)(levels=levels, **settings)
    model.compile()
    images = np.random.default_rng(0).integers(0, levels, (BATCH, *model.image_shape), "uint8")
    loop = bare_loop(model)
    return lambda steps: loop([images] * steps)


def convolution(channels):
    """A function that runs a 3x3 convolution, forward and backward, a number of times."""
    from benchmarks.studies.transposed_convolution import Case, Stack
    from kgen import layers

    case = Case("Conv2D", (BATCH, 28, 28, channels), (channels,), 3, strides=1)
    gradients = Stack(case, layers).forward_backward()

    def run(steps):
        for _ in range(steps):
            backend.synchronise(gradients())

    return run


def serve_case(case):
    from kgen.backend.process import process_peak_memory

    run = training(*MODELS[case]) if case in MODELS else convolution(CONVOLUTIONS[case])
    serve(run, lambda: {"peak_memory": process_peak_memory()})


def environments():
    """{side: environment variables}."""
    bare = {k: v for k, v in os.environ.items() if k != huge_pages.TUNABLES}
    return {
        "without": {**bare, huge_pages.SWITCH: "0"},
        "with": {**bare, huge_pages.TUNABLES: f"{huge_pages.TUNABLE}=1"},
    }


def measure(case, rounds, seconds):
    """{side: [answer of each round]}."""
    with contextlib.ExitStack() as stack:
        arguments = ["benchmarks.studies.huge_pages", "--serve", case]
        subjects = {
            side: stack.enter_context(Subject(arguments, environment))
            for side, environment in environments().items()
        }
        return by_turns(subjects, rounds, seconds)


def row(case, found):
    """A printed line: medians of both sides, and the ratios of their times."""
    sides = [
        {name: np.array([answer[name] for answer in answers]) for name in answers[0]}
        for answers in found.values()
    ]
    cells = [case, *(f"{1000 * np.median(side['seconds']):.1f}" for side in sides)]
    for time in TIMES:
        ratio, low, high = paired_ratio(*(side[time] for side in sides))
        cells.append(f"{ratio:.2f} [{low:.2f}, {high:.2f}]")
    cells += [f"{np.median(side['page_faults']):,.0f}" for side in sides]
    cells += [f"{side['peak_memory'].max() / 2**20:,.0f}" for side in sides]
    return COLUMNS.format(*cells)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=0.5, help="of a round, default 0.5")
    parser.add_argument("--serve", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve_case(options.serve)
    record = record_of(options)
    print(f"{backend.name()} {backend.version()} on {backend.device()}")
    print(COLUMNS.format(*HEADING))
    try:
        for case in options.cases:
            found = measure(case, options.rounds, options.seconds)
            print(row(case, found), flush=True)
            record["cases"].append({"case": case, **found})
    finally:  # also of an interrupted study
        write(record, "huge_pages")


if __name__ == "__main__":
    main()
