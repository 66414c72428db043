"""`python -m benchmarks.compare A.jsonl B.jsonl`: is B slower than A? Exit status 1 says yes.

Cases are compared that are equal in model, backend, data, budget, batch size and device, whatever
commit, versions and machine they were measured with: these are named. Ratios are of medians, B to
A, each side resampled on its own for the 95 % interval: the two were not measured by turns, and
differ by more than the interval says. So a change counts only from 5 % on.
"""

import sys
from pathlib import Path

import numpy as np

from benchmarks.harness import load, machine, results
from benchmarks.harness.cases import Case
from benchmarks.harness.provenance import short
from benchmarks.harness.ratios import unpaired_ratio
from kgen import cli
from kgen.errors import KgenError

LEAST_CHANGE = 0.05


def parser():
    parser = cli.Parser(
        "python -m benchmarks.compare", description="Compare two files of results, case by case."
    )
    parser.add_argument("before", metavar="A.jsonl", type=Path)
    parser.add_argument("after", metavar="B.jsonl", type=Path)
    return parser


def main(arguments=None):
    options = parser().parse_args(arguments)
    before, after = (by_cell(path) for path in (options.before, options.after))
    pairs = [(before[case], after[case]) for case in before if case in after]
    if not pairs:
        raise KgenError(
            f"Expected cases that both files hold, received {len(before)} and {len(after)} others: "
            "measure the same models, backends, data and budget."
        )
    print(f"Before: {sources(old for old, _ in pairs)}. After: {sources(new for _, new in pairs)}.")
    for warning in warnings(pairs):
        print(f"kgen: warning: {warning}", file=sys.stderr)
    print("Medians after to before, with 95 % intervals; not measured by turns.")
    slower = 0
    for old, new in pairs:
        for what, seconds in timings(old, new):
            ratio, low, high = unpaired_ratio(*seconds)
            words = verdict(ratio, low, high)
            slower += words == "slower"
            title = f"{old['cell']['model']} on {old['cell']['backend']}: {what}"
            print(f"{title:<52} {ratio:5.2f} [{low:.2f}, {high:.2f}]  {words}")
    return 1 if slower else 0


def by_cell(path):
    """{hash of the case: record} of the cases that were measured, the latest of each."""
    measured = [record for record in results.read(path) if record["status"] == "measured"]
    ordered = sorted(measured, key=lambda record: record["started"])
    return {Case(**record["cell"]).hash: record for record in ordered}


def sources(records):
    """The commits of records, in words."""
    commits = sorted({short(record["commit"]) for record in records})
    return f"commit{'s' if len(commits) > 1 else ''} {', '.join(commits)}"


def warnings(pairs):
    """What else than the commit differs between two sides, or makes their times uncertain."""
    machines = {tuple(machine.words(side["machine"]) for side in pair) for pair in pairs}
    for old, new in sorted(machines):
        if old != new or old.endswith(machine.UNKNOWN):
            yield (
                f"THE MACHINES DIFFER, or are not known to be one: {old} before, {new} after. "
                "No ratio of these cases tells what a change of the code does: measure both "
                "commits on one machine."
            )
    changes = {
        f"{name} {old['versions'].get(name)} before, {version} after"
        for old, new in pairs
        for name, version in new["versions"].items()
        if old["versions"].get(name) != version
    }
    if changes:
        yield f"versions differ: {'; '.join(sorted(changes))}."
    pages = sum(bool(old.get("huge_pages")) != bool(new.get("huge_pages")) for old, new in pairs)
    if pages:
        yield (
            f"huge pages on one side only in {pages} of {len(pairs)} pairs: their ratios are not "
            "the code's alone."
        )
    heavy = sum(load.is_heavy(side["load"]) for pair in pairs for side in pair)
    if heavy:
        yield (
            f"a loaded machine: other processes took more than {load.LIMIT:.0%} of the processors' "
            f"time in {heavy} of {2 * len(pairs)} measurements. Measure these anew."
        )


def timings(before, after):
    """(what, (seconds after, seconds before)): of a training step, of every sampling batch."""
    steps = []
    for record in (after, before):
        training = record["results"]["training"]
        steps.append(np.divide(training["seconds"], training["steps"]))
    yield "training step", steps
    samples = [record["results"]["sampling"] for record in (after, before)]
    for count in samples[1]:
        if count in samples[0]:
            yield f"sampling {count}", [side[count] for side in samples]


def verdict(ratio, low, high):
    """ "slower", "faster" or "no difference"."""
    if low > 1 and ratio > 1 + LEAST_CHANGE:
        return "slower"
    if high < 1 and ratio < 1 - LEAST_CHANGE:
        return "faster"
    return "no difference"


if __name__ == "__main__":
    cli.run(main)
