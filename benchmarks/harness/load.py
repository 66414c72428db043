"""How much of the processors other processes take, before a case and while it is measured."""

import os
import resource
import time
from pathlib import Path

LIMIT = 0.05  # of the processors' time: with more, the machine counts as loaded
SECONDS_BEFORE = 1.0


class Others:
    """The share of this machine's processor time that goes to other processes.

    It is counted from when this is made, over the processors that this process may use. Its own
    share, and that of its child processes that have ended, does not count; the time that a
    hypervisor takes away does.
    """

    def __init__(self):
        self.started, self.busy, self.own = time.monotonic(), busy_seconds(), own_seconds()

    def share(self):
        """From 0 to 1; None where the system does not tell (it does on Linux)."""
        if self.busy is None:
            return None
        others = busy_seconds() - self.busy - (own_seconds() - self.own)
        seconds = (time.monotonic() - self.started) * len(os.sched_getaffinity(0))
        return round(min(1.0, max(0.0, others / seconds)), 4)


def share_before():
    """What other processes take in one second, in which this one waits."""
    others = Others()
    time.sleep(SECONDS_BEFORE if others.busy is not None else 0)
    return others.share()


def busy_seconds(path="/proc/stat"):
    """What the processors of this process have computed since the machine started, or None."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    mine = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    ticks = 0
    for name, *fields in (line.split() for line in lines if line.startswith("cpu")):
        if name in mine:
            user, nice, system, _idle, _waiting, irq, softirq, steal = map(int, fields[:8])
            ticks += user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK") or None


def own_seconds():
    """Processor time of this process and of its children that have ended."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def load_average():
    """Processes that computed or waited to, in the mean over the last minute; own ones, too."""
    return round(os.getloadavg()[0], 2)


def worst(load):
    """The larger share of other processes in a record's `load`; None if neither is known."""
    return max((s for s in (load["before"], load["during"]) if s is not None), default=None)


def is_heavy(load):
    """Whether other processes took so much that the times of a record are too long."""
    return (worst(load) or 0.0) > LIMIT
