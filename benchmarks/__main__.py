"""`python -m benchmarks`: measure models on backends, one process a case, one line a case."""

import importlib.util
import logging
import shlex
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.harness import provenance, results, runner
from benchmarks.harness.cases import BUDGETS, plan
from kgen import cli
from kgen.errors import Interrupted, KgenError

NEEDED = {"pytest": "pytest", "pytest_benchmark": "pytest-benchmark", "greenlet": "greenlet"}


def parser():
    parser = cli.Parser(
        "python -m benchmarks",
        description="Measure models on backends. Interrupt it, and start it again to go on: what "
        "the file holds of this machine, these versions and this commit is not measured again.",
    )
    parser.add_argument(
        "--models", metavar="NAME", nargs="+", help="default: all that take the data"
    )
    parser.add_argument("--backends", metavar="NAME", nargs="+", help="default: all installed ones")
    parser.add_argument("--data", metavar="NAME", default="mnist", help="default mnist")
    parser.add_argument(
        "--budget", choices=[name for name in BUDGETS if name != "test"], default="quick"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help=f"default {results.folder() / '<machine>.jsonl'}"
    )
    return parser


def main(arguments=None):
    options = parser().parse_args(arguments)
    out = options.out or results.default_path()
    cases = plan(
        options.models,
        options.backends,
        data=options.data,
        budget=options.budget,
        device=options.device,
    )
    check_installed()
    check_data(options.data)
    results.prepare(out)
    backends = {case.backend for case in cases}
    here = {name: provenance.provenance(name, options.device) for name in backends}
    settled = ("measured",) if options.models else ("measured", "unsuited")
    done = {record["hash"] for record in results.read(out) if record["status"] in settled}
    left = [c for c in cases if results.identity(asdict(c), here[c.backend]) not in done]
    commit = provenance.commit()
    print(f"{len(left)} of {len(cases)} cases to measure at {provenance.short(commit)}, into {out}")
    try:
        count, failures = measure(left, here, out, settled)
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"Interrupted: {out} keeps what is measured; start the same command again to go on.",
            signal.SIGINT,
        ) from error
    print(f"{count} measured, {failures} failed: {out}")
    name = [str(options.out)] if options.out else []
    command = ["python", "-m", "benchmarks.report", *name, "--html", "report.html"]
    print(f"Report: {shlex.join(command)}")
    return 1 if failures else 0


def measure(cases, here, out, settled):
    """Measure cases and write their lines; returns how many were measured, and how many failed.

    Args:
        cases: what to measure.
        here: {backend: provenance}.
        out: file to add the lines to.
        settled: statuses that are no failures.

    Raises:
        KgenError: if the sources change meanwhile.
    """
    import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    statuses, sources = [], provenance.hash_of_sources()
    bar = tqdm.tqdm(cases, unit="case", disable=not cases)
    with logging_redirect_tqdm([logging.getLogger("kgen")]):
        for case in bar:
            bar.set_postfix_str(str(case))
            record = runner.run(case, here[case.backend])
            if provenance.hash_of_sources() != sources:
                raise KgenError(
                    f"Expected the sources to stay as they were, but they changed while {case} was "
                    "measured: start again."
                )
            results.append(out, record)
            statuses.append(record["status"])
            if record["status"] not in settled:
                reason = record["reason"].partition("\n")[0]
                tqdm.tqdm.write(f"kgen: {case}: {record['status']}: {reason}", file=sys.stderr)
    return statuses.count("measured"), sum(status not in settled for status in statuses)


def check_installed():
    """Raise KgenError unless the packages are here that measure."""
    missing = [NEEDED[name] for name in NEEDED if not importlib.util.find_spec(name)]
    if missing:
        raise KgenError(
            f"Expected {', '.join(NEEDED.values())} to be installed, received no "
            f"{', '.join(missing)}: pip install {' '.join(missing)}."
        )


def check_data(name):
    """Raise KgenError unless there is a data set of this name; download it if need be."""
    from kgen import data

    data.load(name)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it, too, ends the case's process
    cli.run(main)
