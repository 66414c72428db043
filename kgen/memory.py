"""Free and total memory, and a KgenError before an allocation that cannot succeed."""

import os
from pathlib import Path

from kgen.errors import KgenError

GIGABYTE = 10**9
OF_AN_UNKNOWN_MACHINE = 8 * GIGABYTE
LARGE = 2**26  # bytes; smaller needs are not checked, because a check takes 50 us
# Texts of the frameworks' out-of-memory errors, which have no common class.
WORDS = (
    *("RESOURCE_EXHAUSTED", "OOM when allocating", "bad_alloc"),
    *("allocate memory", "out of memory", "Out of memory", "not enough memory"),
)
CGROUPS = (  # (limit, usage) of cgroups version 2 and version 1
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)


def check_memory(needed, what, remedy, free=None):
    """Raise KgenError if `what` needs more bytes than this process can still get.

    Args:
        needed: bytes, a lower bound.
        what: words for the message, such as "65,536 images".
        remedy: what to do, for the message.
        free: free bytes; None to measure them now.
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
    """Free bytes for this process: the least of machine, container and process limits."""
    return max(0, min(_of_the_machine(), *map(_of_a_container, CGROUPS), _of_the_process()))


def total():
    """Total memory in bytes of this machine, or of its container if that has less."""
    limits = (_lines(f"/sys/fs/cgroup/{limit}") for limit, _ in CGROUPS)
    numbers = [int(line) for lines in limits for line in lines if line.isdigit()]
    try:
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        machine = OF_AN_UNKNOWN_MACHINE
    return min(machine, *numbers) if numbers else machine


def is_shortage(error):
    """Whether an error of Python or any framework is an out-of-memory error."""
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
    """Free bytes below the limit on the address space (`ulimit -v`); infinity without limit."""
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
