"""What memory there is, and one line in place of an allocation that cannot succeed."""

import os
from pathlib import Path

from kgen.errors import KgenError

GIGABYTE = 10**9
OF_AN_UNKNOWN_MACHINE = 8 * GIGABYTE
LARGE = 2**26  # bytes; less is not looked at, for looking takes 50 us
# How the frameworks, whose errors have no class in common, say that they got no memory.
WORDS = (
    *("RESOURCE_EXHAUSTED", "OOM when allocating", "bad_alloc"),
    *("allocate memory", "out of memory", "Out of memory", "not enough memory"),
)
CGROUPS = (  # of version 2, and of version 1
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)


def check_memory(needed, what, remedy, free=None):
    """Raise KgenError if `what` takes more bytes than this process can still get.

    Args:
        needed: bytes, at least.
        what: "65,536 images", say.
        remedy: what to do.
        free: bytes; None: what is free now.
    """
    if needed < LARGE:
        return
    free = available() if free is None else free
    if needed > free:
        raise KgenError(
            f"Expected {what} to fit into memory, received a need of {needed / GIGABYTE:,.1f} GB "
            f"where {free / GIGABYTE:,.1f} GB are free: {remedy}."
        )


def available():
    """Bytes that this process can still get: of the machine, its container and its own limit."""
    return max(0, min(_of_the_machine(), *map(_of_a_container, CGROUPS), _of_the_process()))


def total():
    """Bytes of memory of this machine, or of the container that this process runs in."""
    limits = (_lines(f"/sys/fs/cgroup/{limit}") for limit, _ in CGROUPS)
    numbers = [int(line) for lines in limits for line in lines if line.isdigit()]
    try:
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        machine = OF_AN_UNKNOWN_MACHINE
    return min(machine, *numbers) if numbers else machine


def is_shortage(error):
    """Whether an error, of whichever framework, says that there was no memory."""
    of_a_framework = isinstance(error, RuntimeError) or type(error).__module__.startswith("tensor")
    words = str(error)
    return isinstance(error, MemoryError) or (of_a_framework and any(w in words for w in WORDS))


def _of_the_machine():
    for line in _lines("/proc/meminfo"):
        name, _, size = line.partition(":")
        if name == "MemAvailable":
            return int(size.split()[0]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return float("inf")


def _of_a_container(names):
    numbers = [line for name in names for line in _lines(f"/sys/fs/cgroup/{name}")]
    if len(numbers) != 2 or not all(number.isdigit() for number in numbers):
        return float("inf")
    limit, used = map(int, numbers)
    return limit - used


def _of_the_process():
    """What a limit on the address space (`ulimit -v`) leaves."""
    try:
        import resource
    except ImportError:  # Windows
        return float("inf")
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    used = _lines("/proc/self/statm")
    if limit == resource.RLIM_INFINITY or not used:
        return float("inf")
    return limit - int(used[0].split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _lines(path):
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
