"""`python -m benchmarks.compare A.jsonl B.jsonl`: is B slower than A? Exit status 1 says yes.

Ratios are of medians, B to A, with 95 % intervals (bootstrap). Runs that were not made by turns on
one machine differ by more than the interval says: a change counts only from 5 % on.
"""

from pathlib import Path

import numpy as np

from benchmarks import results
from kgen import cli
from kgen.errors import KgenError

LEAST_CHANGE = 0.05
RESAMPLES = 2000


def parser():
    parser = cli.Parser(
        "python -m benchmarks.compare", description="Compare two files of results, cell by cell."
    )
    parser.add_argument("before", metavar="A.jsonl", type=Path)
    parser.add_argument("after", metavar="B.jsonl", type=Path)
    return parser


def main(arguments=None):
    options = parser().parse_args(arguments)
    before, after = (by_hash(path) for path in (options.before, options.after))
    common = [name for name in before if name in after]
    if not common:
        raise KgenError(
            f"Expected cells that both files hold, received {len(before)} and {len(after)} others: "
            "measure the same models, backends, data and budget."
        )
    slower = 0
    for name in common:
        for what, old, new in timings(before[name], after[name]):
            ratio, low, high = ratio_of_medians(new, old)
            words = verdict(ratio, low, high)
            slower += words == "slower"
            cell = before[name]["cell"]
            title = f"{cell['model']} on {cell['backend']}: {what}"
            print(f"{title:<52} {ratio:5.2f} [{low:.2f}, {high:.2f}]  {words}")
    return 1 if slower else 0


def by_hash(path):
    """{hash: record} of the cells that were measured."""
    return {r["hash"]: r for r in results.read(path) if r["status"] == "measured"}


def timings(before, after):
    """(what, seconds before, seconds after): of a training step, and of every sampling batch."""
    steps = [np.array(r["results"]["training"]["seconds"]) for r in (before, after)]
    counts = [r["results"]["training"]["steps"] for r in (before, after)]
    yield "training step", steps[0] / counts[0], steps[1] / counts[1]
    for count, seconds in before["results"]["sampling"].items():
        if count in after["results"]["sampling"]:
            yield f"sampling {count}", seconds, after["results"]["sampling"][count]


def ratio_of_medians(numerator, denominator):
    """median / median and the ends of its 95 % interval; the two are resampled on their own."""
    random = np.random.default_rng(0)
    medians = [
        np.median(random.choice(np.asarray(part), (RESAMPLES, len(part))), axis=1)
        for part in (numerator, denominator)
    ]
    low, high = np.quantile(medians[0] / medians[1], [0.025, 0.975])
    return float(np.median(numerator) / np.median(denominator)), float(low), float(high)


def verdict(ratio, low, high):
    """ "slower", "faster" or "no difference"."""
    if low > 1 and ratio > 1 + LEAST_CHANGE:
        return "slower"
    if high < 1 and ratio < 1 - LEAST_CHANGE:
        return "faster"
    return "no difference"


if __name__ == "__main__":
    cli.run(main)
