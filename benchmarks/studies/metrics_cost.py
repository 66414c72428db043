"""Seconds and peak memory of every metric, without a framework.

    python -m benchmarks.studies.metrics_cost

Normal features, `--rows` real, generated and held-out ones each, of `--dimensions`; the metrics one
after the other, once, in one process. The peak is that of the process up to the end of a metric, so
it never falls. Goes to `benchmarks/records/metrics_cost.json`.
"""

import argparse
import os
import resource
import time

import numpy as np
from scipy.special import softmax

from kgen import metrics

MEBIBYTE = 2**10  # of the kibibytes in which Linux counts resident memory


def cases(rows, dimensions):
    """{name: a function without arguments}."""
    generator = np.random.default_rng(0)
    real, generated, held_out = generator.normal(size=(3, rows, dimensions))
    generated = 1.1 * generated + 0.05
    probabilities = softmax(generator.normal(size=(rows, 10)), axis=1)
    return {
        "frechet_distance": lambda: metrics.frechet_distance(real, generated),
        "frechet_distance_infinity": lambda: metrics.frechet_distance_infinity(real, generated),
        "kernel_distance": lambda: metrics.kernel_distance(real, generated),
        "precision_recall": lambda: metrics.precision_recall(real, generated),
        "density_coverage": lambda: metrics.density_coverage(real, generated),
        "inception_score": lambda: metrics.inception_score(probabilities),
        "memorization": lambda: metrics.memorization(real, held_out, generated),
    }


def measure(rows, dimensions):
    """One row for each metric."""
    for name, metric in cases(rows, dimensions).items():
        started = time.perf_counter()
        metric()
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // MEBIBYTE
        yield {"metric": name, "seconds": round(seconds, 2), "peak_rss_mib": peak}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--note", default="", help="kept in the record: what else ran meanwhile")
    options = parser.parse_args()
    load = os.getloadavg()
    rows = []
    for row in measure(options.rows, options.dimensions):
        print("{metric:<28} {seconds:7.2f} s {peak_rss_mib:6} MiB".format(**row), flush=True)
        rows.append(row)
    total = round(sum(row["seconds"] for row in rows), 2)
    print(f"{'all':<28} {total:7.2f} s {rows[-1]['peak_rss_mib']:6} MiB")

    from benchmarks.studies.measuring import (  # now: it imports a framework, which takes memory
        record_of,
        write_as,
    )

    record = {**record_of(options), "load_average_before": load, "cases": rows}
    write_as(record | {"seconds": total, "peak_rss_mib": rows[-1]["peak_rss_mib"]}, "metrics_cost")


if __name__ == "__main__":
    main()
