"""The report's sections: each a titled table of what the records hold, with a note and a plot."""

from dataclasses import dataclass

import numpy as np

from benchmarks.harness import conditions, load
from benchmarks.harness import plots as draw
from benchmarks.harness.plots import PHASES
from benchmarks.harness.ratios import paired_ratio
from benchmarks.speed.profiling import OPERATIONS

PERCENTILES = {50: 1, 95: 20, 99: 1000}  # each with the fewest calls it is printed for


@dataclass
class Section:
    """A titled table with a note and, on the page, a plot (SVG)."""

    title: str
    note: str
    heading: list
    rows: list
    plot: str = ""


def done(records):
    return [record for record in records if record["status"] == "measured"]


def sections(records, plots=False):
    """The sections that the records have something for."""
    measured = done(records)
    makers = (native, slower, profile, throughput, latency, cold_start, quality, memory, loads)
    found = [section for maker in makers if (section := maker(measured, plots)).rows]
    return [*differences(records), *found, *failures(records)]


def differences(records):
    """The conditions that are not the same for all rows, if there are any."""
    groups = conditions.groups(records)
    names = conditions.differing(groups)
    rows = [
        [
            f"[{number}]",
            *(group.conditions.get(name, "-") for name in names),
            conditions.period(group.records),
            len(group.records),
        ]
        for number, group in enumerate(groups, 1)
    ]
    note = "What is not the same for all rows; their names end with the number of theirs."
    heading = ["number", *names, "measured", "cases"]
    return [Section("Conditions that differ", note, heading, rows)] if names else []


def comparisons(records):
    """(record, form of the native code, rounds, ratio, the step's ratio), with their intervals."""
    for record in records:
        for form, seconds in record["results"]["native"].items():
            ratios = [paired_ratio(seconds["native"], seconds[name]) for name in ("kgen", "step")]
            yield record, form, len(seconds["native"]), *ratios


def native(records, plots):
    rows = []
    for record, form, rounds, (ratio, low, high), step in comparisons(records):
        words = "no difference" if low <= 1 <= high else "faster" if low > 1 else "slower"
        row = [record["name"], form, rounds, f"{ratio:.3f}", f"{low:.3f} to {high:.3f}", words]
        rows.append([*row, f"{step[0]:.3f}", f"{step[1]:.3f} to {step[2]:.3f}"])
    return Section(
        "Training throughput, kgen to native code",
        "Ratio of throughputs, with its 95 % interval: above 1, kgen is faster. The same network, "
        "optimizer, batch and data, measured by turns in one process: the ratio is the median over "
        "rounds of each round's ratio, the interval that of resampled rounds, which does not hold "
        "what differs from one process to the next. The same of kgen's compiled "
        "step alone, called in a bare loop: what it lacks is the step's own, which also keeps the "
        "means of its terms and a GAN's accuracies; what `fit` lacks more is the loop's around it.",
        ["model", "native", "rounds", "ratio", "interval", "kgen is", "step alone", "interval"],
        rows,
    )


def slower(records, plots):
    """What remains: the comparisons that kgen loses, and whose time it is."""
    rows = []
    for record, form, _, (ratio, _, high), step in comparisons(records):
        if high >= 1:
            continue
        own, loop = 1 / step[0] - 1, 1 / ratio - 1 / step[0]
        python = ["-", "-"]
        if shares := record["results"]["profile"]:
            found = shares[OPERATIONS], shares.get("keras", 0.0) + shares.get("kgen", 0.0)
            python = [f"{100 * share:.0f} %" for share in found]
        rows.append([record["name"], form, f"{100 * own:+.0f} %", f"{100 * loop:+.0f} %", *python])
    return Section(
        "Where kgen is slower, and by what",
        "The comparisons whose interval lies below 1. What the step alone takes more than the "
        "native code, and what `fit` takes more than the step, in percent of the native code's "
        "time. Then the profile of kgen's time (below): operations, and Python code of Keras and "
        "kgen. Native code of the forms `compile` and `xla` is compiled into fewer operations; "
        "kgen calls PyTorch's one by one, and leaves TensorFlow's graph to TensorFlow on a CPU, "
        "unless a model is compiled with `jit_compile=True`.",
        ["model", "native", "the step", "`fit`", "operations", "Keras and kgen"],
        rows,
    )


def profile(records, plots):
    rows = []
    for record in records:
        if shares := record["results"]["profile"]:
            owners = (OPERATIONS, record["cell"]["backend"], "keras", "kgen", "other")
            found = (100 * shares.get(owner, 0.0) for owner in owners)
            rows.append([record["name"], *(f"{share:.0f} %" for share in found)])
    return Section(
        "Where the time of a step goes",
        "Operations: on JAX and TensorFlow a step is one call of compiled code, which on JAX goes "
        "on computing while Python prepares the next (other, there, is mostly JAX's code that "
        "waits for it); on PyTorch it is a list of them, recorded from the model's code and called "
        "one by one by Python code of PyTorch. "
        "Keras and kgen feed it batches and keep the logs. The shares of Python code, by package, "
        "are upper bounds: the profiler slows calls of Python functions, and no operation.",
        ["model", "operations", "the framework", "keras", "kgen", "other"],
        rows,
    )


def throughput(records, plots):
    rows, rates = [], {}
    for record in records:
        training = record["results"]["training"]
        steps = np.array(training["seconds"]) / training["steps"]
        images = training["images_per_step"] / np.median(steps)
        low, high = training["images_per_step"] / np.quantile(steps, [0.75, 0.25])
        rates[record["name"]] = images
        rows.append(
            [
                record["name"],
                f"{images:,.0f}",
                f"{low:,.0f} to {high:,.0f}",
                f"{1000 * np.median(steps):.2f}",
                len(steps),
                f"{record['results']['parameters']:,}",
            ]
        )
    return Section(
        "Training",
        "Median over rounds of one `fit`, and its quartiles; each ends when the device is done.",
        ["model", "images/s", "quartiles", "ms/step", "rounds", "parameters"],
        rows,
        draw.dots(rates, "images per second") if plots else "",
    )


def latency(records, plots):
    rows, distributions = [], {}
    for record in records:
        for count, seconds in record["results"]["sampling"].items():
            milliseconds = 1000 * np.array(seconds)
            cells = [
                f"{np.percentile(milliseconds, q):.1f}" if len(seconds) >= fewest else "-"
                for q, fewest in PERCENTILES.items()
            ]
            rate = int(count) / np.median(seconds)
            rows.append([record["name"], count, *cells, f"{rate:,.0f}", len(seconds)])
            distributions[f"{record['name']}, {count}"] = milliseconds
    return Section(
        "Sampling",
        "Milliseconds of a call of `sample(n)`; p95 from 20 calls on, p99 from 1,000.",
        ["model", "n", *(f"p{q}" for q in PERCENTILES), "images/s", "calls"],
        rows,
        draw.boxes(distributions, "milliseconds") if plots else "",
    )


def cold_start(records, plots):
    rows = []
    for record in records:
        seconds = record["results"]["cold_start"]
        cells = [f"{seconds[phase]:.2f}" if phase in seconds else "-" for phase in PHASES]
        rows.append([record["name"], *cells, f"{sum(seconds.values()):.2f}"])
    return Section(
        "Cold start",
        "Seconds of each phase in a new process.",
        ["model", *(phase.replace("_", " ") for phase in PHASES), "sum"],
        rows,
        draw.stacks({r["name"]: r["results"]["cold_start"] for r in records}) if plots else "",
    )


def quality(records, plots):
    rows, distances = [], {}
    for record in records:
        found, training = record["results"]["quality"], record["results"]["training_of_quality"]
        likelihood, samples = found["likelihood"], found["rows"].get("samples")
        cells = ["-", "-", "-"]
        if samples:
            floor = found["rows"]["real images (floor)"]["frechet_distance"]
            cells[:2] = f"{samples['frechet_distance']:.1f}", f"{floor:.1f}"
            distances[record["name"]] = samples["frechet_distance"]
        if likelihood:
            kind = likelihood["likelihood"]
            cells[2] = f"{likelihood['bits_per_dimension']:.3f} ({kind})"
        used = found["used"]
        rows.append(
            [
                record["name"],
                f"{training['seconds']:.0f}",
                f"{training['steps']:,}",
                *cells,
                f"{used['images']:,}",
                (used.get("encoder_sha256") or "-")[:8],
            ]
        )
    return Section(
        "Quality after the budget",
        "Of the model that was timed, trained for so many seconds more. Frechet distances of one "
        "encoder (its hash) and one number of images are comparable; floor: other real images.",
        ["model", "s", "steps", "Frechet", "floor", "bits/dim", "images", "encoder"],
        rows,
        draw.dots(distances, "Frechet distance") if plots and distances else "",
    )


def memory(records, plots):
    rows = [
        [
            record["name"],
            *(f"{size / 2**20:,.0f}" for size in record["results"]["peak_memory"].values()),
        ]
        for record in records
    ]
    return Section("Peak memory", "MiB.", ["model", "process", "device"], rows)


def loads(records, plots):
    rows = [
        [
            record["name"],
            *(
                "unknown" if record["load"][when] is None else f"{record['load'][when]:.1%}"
                for when in ("before", "during")
            ),
            "unknown" if record["load"]["average"] is None else record["load"]["average"],
        ]
        for record in records
        if any(value is not None for value in record["load"].values())
    ]
    return Section(
        "Load",
        "The share of the processors' time that other processes took, in the second before a case "
        f"and while it was measured: the machine counts as loaded above {load.LIMIT:.0%}. The load "
        "average of the minute before counts the harness's own processes, too.",
        ["model", "before", "during", "load average"],
        rows,
    )


def failures(records):
    rows = [
        [record["name"], record["status"], record["reason"].partition("\n")[0]]
        for record in records
        if record["status"] != "measured"
    ]
    note = "Cases that failed or took too long, and models that do not take the data."
    heading = ["model", "status", "reason"]
    return [Section("Not measured", note, heading, rows)] if rows else []
