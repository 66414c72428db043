"""`python -m benchmarks.peers`: time kgen's training steps beside those of public packages."""

import contextlib
import importlib.util
import os
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import peers
from benchmarks.harness import cases, load, provenance
from benchmarks.harness.environments import environment_of
from benchmarks.harness.turns import Subject, by_turns
from benchmarks.peers import records
from benchmarks.peers.serve import DRAWN
from kgen import cli
from kgen.errors import KgenError
from kgen.models import REGISTRY

CHECKOUT = "pytorch-generative"  # not installed: its checkout is named
VERSIONED = {"sklearn": "scikit-learn"}  # packages whose distribution has another name


def parser():
    parser = cli.Parser("python -m benchmarks.peers", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--packages", metavar="NAME", nargs="+", choices=peers.ROWS, help="default: all installed"
    )
    parser.add_argument("--backends", metavar="NAME", nargs="+", help="default: all installed ones")
    parser.add_argument(
        f"--{CHECKOUT}", metavar="PATH", type=Path, help="a checkout of that repository"
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.5, help="of a round, default 0.5")
    parser.add_argument("--out", metavar="FILE", type=Path, default=records.default_path())
    return parser


def main(arguments=None):
    options = parser().parse_args(arguments)
    backends = options.backends or cases.installed_backends()
    rows = rows_to_measure(options)
    for name in rows:
        print(f"{name}: beside kgen on {', '.join(backends)}", flush=True)
        for record in measure(name, backends, options):
            records.append(options.out, record)
    print("\n".join("  ".join(row) for row in records.section(records.read(options.out)).rows))
    print(options.out)


def rows_to_measure(options):
    """The names of rows whose package and whose model of kgen there are here.

    Raises:
        KgenError: if there is none, or one that was named is missing.
    """
    missing = {name: reason for name in peers.ROWS if (reason := reason_to_skip(name, options))}
    for name, reason in missing.items():
        if name in (options.packages or ()):
            raise KgenError(f"Expected {name} to be measured, received {reason}.")
        print(f"without {name}: {reason}")
    rows = [name for name in options.packages or peers.ROWS if name not in missing]
    if not rows:
        raise KgenError(
            "Expected a package to compare with, received none: pip install --group peers."
        )
    return rows


def reason_to_skip(name, options):
    """Why a row cannot be measured here; "" if it can."""
    row = peers.find(name)
    if row.MODEL not in REGISTRY:
        return f"no model {row.MODEL} of kgen: register it"
    if row.PACKAGE == "pytorch_generative":
        return "" if options.pytorch_generative else f"no checkout: pass --{CHECKOUT} PATH"
    return "" if importlib.util.find_spec(row.PACKAGE) else "no package: pip install --group peers"


def measure(name, backends, options):
    """A record for each backend; kgen on all of them and the package take turns."""
    row, before = peers.find(name), load.share_before()
    started, others = datetime.now(UTC).isoformat(timespec="seconds"), load.Others()
    with contextlib.ExitStack() as stack:
        sides = {backend: ("kgen", environment_of(backend, "auto")) for backend in backends}
        sides["peer"] = "peer", peer_environment(options)
        subjects = {
            key: stack.enter_context(Subject(["benchmarks.peers.serve", name, side], environment))
            for key, (side, environment) in sides.items()
        }
        found = by_turns(subjects, options.rounds, options.seconds)
    seen = {"average": load.load_average(), "before": before, "during": others.share()}
    for backend in backends:
        sides = {"kgen": found[backend], "peer": found["peer"]}
        yield {
            "schema": records.SCHEMA,
            "peer": name,
            "peer_version": version(name),
            "cell": {
                **{"model": row.MODEL, "backend": backend, "settings": row.SETTINGS},
                "task": f"{DRAWN} samples" if hasattr(row, "drawing") else "training",
            },
            **provenance.provenance(backend),
            "started": started,
            "load": seen,
            "parameters": {side: answers[0]["parameters"] for side, answers in sides.items()},
            "seconds": {
                side: [answer["seconds"] for answer in answers] for side, answers in sides.items()
            },
        }


def peer_environment(options):
    """The environment of PyTorch, and the checkout on the path."""
    environment = environment_of("torch", "auto")
    if options.pytorch_generative:
        paths = (str(options.pytorch_generative.resolve()), environment.get("PYTHONPATH"))
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    return environment


def version(name):
    """The version of a package; the word "checkout" of the one that has none."""
    package = peers.find(name).PACKAGE
    if package == "pytorch_generative":
        return "checkout"
    return provenance.version(VERSIONED.get(package, package))


if __name__ == "__main__":
    cli.run(main)
