"""Processes that take turns: each holds one subject, and runs its step when it is asked to.

What slows the machine slows all of them within seconds, so the ratios of their rounds compare
(`benchmarks/harness/ratios.py`), although they differ in framework or in environment variables.
"""

import contextlib
import json
import math
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

from kgen.errors import KgenError
from kgen.files import as_json

ROOT = Path(__file__).parent.parent.parent
LINES_OF_A_FAILURE = 15


def serve(run, description=dict):
    """In the process of a subject: run its step as often as each line of standard input says.

    Every answer is a line on standard output: seconds, processor seconds (of all threads, in the
    kernel, too), page faults, and what `description()` says.
    A turn begins with a step that is not timed: after another's turn it takes longer.

    Args:
        run: function of a number of steps; returns when they are computed.
        description: function to a dict.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what else is printed goes to standard error
    for line in sys.stdin:
        run(1)
        before = counts()
        run(int(line))
        found = {name: value - before[name] for name, value in counts().items()}
        print(as_json({**found, **description()}), file=answers, flush=True)


def counts():
    """What this process has taken so far; each is divided by the steps of a round."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": time.perf_counter(),
        "processor_seconds": usage.ru_utime + usage.ru_stime,
        "page_faults": usage.ru_minflt,
    }


class Subject:
    """A process that runs `serve`; a context manager that ends it.

    Args:
        arguments: of `python -m`.
        environment: the process's environment variables.

    Attributes:
        steps: of a round, after `fit_round`.
    """

    def __init__(self, arguments, environment):
        self.name, self.steps = " ".join(arguments), 1
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with contextlib.suppress(OSError):  # it has ended
            self.process.stdin.close()
        self.process.kill()
        self.process.wait()

    def fit_round(self, seconds):
        """Choose as many steps as take `seconds`; the first calls compile."""
        for _ in range(2):
            self.round()
        self.steps = math.ceil(seconds / self.round()["seconds"])

    def round(self):
        """Run a round: {name: value}, those of `counts` per step.

        Raises:
            KgenError: if the process has ended.
        """
        with contextlib.suppress(BrokenPipeError):
            print(self.steps, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise KgenError(
                f"Expected an answer of {self.name}, received none: run python -m {self.name} < "
                "/dev/null to see why."
            )
        found = json.loads(line)
        return {**found, **{name: found[name] / self.steps for name in counts()}}


def by_turns(subjects, rounds, seconds):
    """The answers of every round, {name: [...]}, of `subjects`, {name: Subject}, run by turns."""
    for subject in subjects.values():
        subject.fit_round(seconds)
    answers = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, subject in subjects.items():
            answers[name].append(subject.round())
    return answers
