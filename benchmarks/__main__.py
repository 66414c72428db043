"""`python -m benchmarks`: measure models on backends, one process a cell, one line a cell."""

import sys
from pathlib import Path

from benchmarks import machine, results, runner
from benchmarks.cells import BACKENDS, BUDGETS, plan
from kgen import cli

RESULTS = Path(__file__).parent / "results"


def parser():
    parser = cli.Parser(
        "python -m benchmarks",
        description="Measure models on backends. Interrupt it, and start it again to go on.",
    )
    parser.add_argument("--models", metavar="NAME", nargs="+", help="default: all")
    parser.add_argument(
        "--backends", metavar="NAME", nargs="+", default=list(BACKENDS), help="default: all"
    )
    parser.add_argument("--data", metavar="NAME", default="mnist", help="default mnist")
    parser.add_argument(
        "--budget", choices=[name for name in BUDGETS if name != "test"], default="quick"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="default benchmarks/results/<machine>.jsonl"
    )
    return parser


def main(arguments=None):
    import tqdm

    options = parser().parse_args(arguments)
    here = machine.description()
    out = options.out or RESULTS / f"{machine.short_name(here)}.jsonl"
    cells = plan(
        options.models,
        options.backends,
        data=options.data,
        budget=options.budget,
        device=options.device,
    )
    done = measured(out)
    left = [cell for cell in cells if cell.hash not in done]
    print(f"{len(left)} of {len(cells)} cells to measure, into {out}")
    failures = 0
    bar = tqdm.tqdm(left, unit="cell")
    for cell in bar:
        bar.set_postfix_str(str(cell))
        record = runner.run(cell, here)
        results.append(out, record)
        if record["status"] != "measured":
            failures += 1
            reason = record["reason"].splitlines()[-1]
            tqdm.tqdm.write(f"kgen: {cell}: {record['status']}: {reason}", file=sys.stderr)
    print(f"{len(left) - failures} measured, {failures} failed: {out}")
    return 1 if failures else 0


def measured(path):
    """The hashes of the cells that a file holds already: another --out measures them again."""
    if not path.exists():
        return set()
    return {r["hash"] for r in results.read(path) if r["status"] == "measured"}


if __name__ == "__main__":
    cli.run(main)
