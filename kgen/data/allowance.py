"""The memory limit of loading data."""

from kgen.bounds import Gigabytes, checked
from kgen.errors import KgenError
from kgen.memory import total

GB = 10**9
_SHARE = 0.5  # fraction of the machine's memory; training and the framework need the rest


def most_bytes(max_memory):
    """The argument `max_memory=` of `load` (GB) in bytes; None: half of the machine's memory.

    Raises:
        KgenError: unless it is a number above 0.
    """
    gigabytes = checked("max_memory", max_memory, Gigabytes | None)
    return int(total() * _SHARE if gigabytes is None else gigabytes * GB)


def check(needed, most, where, remedy="", what="images"):
    """Check that loading takes at most `most` bytes.

    Args:
        needed, most: bytes.
        where: what is loaded, for the message: a file, a folder or a set.
        remedy: what to do besides allowing more, ending in "or ".
        what: the items, for the message.

    Raises:
        KgenError: if more are needed.
    """
    if needed > most:
        raise KgenError(
            f"Expected {what} that take at most {most / GB:.3g} GB of memory while {where} is "
            f"loaded, received {needed / GB:.3g} GB: {remedy}allow more, "
            f"max_memory={_rounded_up(needed)} (--max-memory {_rounded_up(needed)})."
        )


def _rounded_up(number):
    return -(-number // GB)
